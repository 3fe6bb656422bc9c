"""Wire shapes of projects and their labels."""

from datetime import datetime
from typing import Annotated, Required

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from service.tables import Role, Strategy

# No control characters: they hide in lists, and PostgreSQL keeps no NUL in a text.
ShortName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NOTHING_ELSE = ConfigDict(extra="forbid")


class ModelOut(BaseModel):
    """A model that a project may choose once it is installed; the default is that of new projects."""

    name: str
    licence: str
    installed: bool
    default: bool


class ProjectSettings(BaseModel):
    """What can be changed of a project.

    Every ``review_every``-th annotation is reviewed (0: none), and one whose uncertainty is above
    ``review_above``. ``control_share`` of the images are annotated without the context.
    """

    model_config = ConfigDict(from_attributes=True)

    name: str
    model: str
    use_context: bool
    overlap: int
    review_every: int
    review_above: float | None
    review_own: bool
    control_share: float
    idle_seconds: float
    skip_reasons: list[str]


class ProjectChange(TypedDict, total=False):
    """What is not sent stays as it is."""

    __pydantic_config__ = NOTHING_ELSE  # type: ignore[misc]  # pydantic's way to configure a dict

    name: ShortName
    model: ShortName
    use_context: bool
    overlap: Annotated[int, Field(ge=1, le=20)]
    review_every: Annotated[int, Field(ge=0, le=10_000)]
    review_above: Share | None
    review_own: bool
    control_share: Share
    idle_seconds: Annotated[float, Field(ge=30, le=86_400, allow_inf_nan=False)]
    skip_reasons: Annotated[list[ShortName], Field(max_length=50)]


class NewProject(ProjectChange):
    """A name, and whatever is to differ from what is usual."""

    __pydantic_config__ = NOTHING_ELSE  # type: ignore[misc]

    name: Required[ShortName]  # type: ignore[misc]  # here it cannot be left out


class NewLabel(BaseModel):
    model_config = NOTHING_ELSE

    name: ShortName
    strategy: Strategy = Strategy.IN_ORDER
    context_limit: Annotated[int, Field(ge=1, le=100_000)] | None = None


class LabelSettings(BaseModel):
    """What can be changed of a label; the network is shown at most ``context_limit`` pairs."""

    name: str
    strategy: Strategy
    context_limit: int | None
    archived: bool


class LabelChange(TypedDict, total=False):
    """What is not sent stays as it is."""

    __pydantic_config__ = NOTHING_ELSE  # type: ignore[misc]

    name: ShortName
    strategy: Strategy
    context_limit: Annotated[int, Field(ge=1, le=100_000)] | None
    archived: bool


class LabelOut(LabelSettings):
    id: int
    project_id: int
    context_version: int


class LabelProgress(BaseModel):
    id: int
    name: str
    context_version: int
    strategy: Strategy
    archived: bool
    images: int
    accepted: int
    skipped: int


class ProjectOut(ProjectSettings):
    """With what the caller is in it, and since when it is deleted, if it is."""

    id: int
    created_at: datetime
    deleted_at: datetime | None
    role: Role
    labels: list[LabelProgress] = []
