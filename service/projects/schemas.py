"""Wire shapes of projects and their labels."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from service.tables import Strategy

# No control characters: they hide in lists, and PostgreSQL keeps no NUL in a text.
ShortName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]


class NewProject(BaseModel):
    name: ShortName
    model: ShortName | None = None
    use_context: bool = True


class ModelOut(BaseModel):
    """A model that a project may choose once it is installed; the default is that of new projects."""

    name: str
    licence: str
    installed: bool
    default: bool


class NewLabel(BaseModel):
    name: ShortName
    strategy: Strategy = Strategy.IN_ORDER


class LabelChange(BaseModel):
    strategy: Strategy


class LabelOut(BaseModel):
    id: int
    project_id: int
    name: str
    context_version: int
    strategy: Strategy


class LabelProgress(BaseModel):
    id: int
    name: str
    context_version: int
    strategy: Strategy
    images: int
    accepted: int
    skipped: int


class ProjectOut(BaseModel):
    id: int
    name: str
    model: str
    use_context: bool
    created_at: datetime
    labels: list[LabelProgress] = []
