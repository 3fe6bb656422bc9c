"""Wire shapes of the context."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, computed_field

from service.context.queries import version_of

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=400, pattern=r"^[^\x00]+$"),
]


class ContextEntryOut(BaseModel):
    """An entry; ``quality`` in [0, 1] says how well it and the others explain each other, once checked.

    ``over_limit``: it would be in, but the label's ``context_limit`` is reached and newer ones are shown.

    What it helped: the mean Dice with the final mask of the first masks that were made while it was in the
    context, ``helped_dice`` of ``helped_count``, beside those made before it, ``before_dice`` of
    ``before_count``. None where there are none.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    annotation_id: int
    image_id: int
    image_name: str
    added_version: int
    added_reason: str | None
    removed_version: int | None
    removed_reason: str | None
    standby: bool
    pinned: bool
    pinned_by: str | None
    accepted_by: str | None
    accepted_at: datetime | None
    quality: float | None
    uncertainty: float | None
    second_look: bool
    over_limit: bool
    helped_dice: float | None
    helped_count: int
    before_dice: float | None
    before_count: int

    @computed_field
    def version(self) -> str:
        """For If-Match."""
        return version_of(self)

    @computed_field
    def thumbnail(self) -> str:
        """The address of the image with the mask on it."""
        return f"/api/context/{self.id}/thumbnail"

    @computed_field
    def why(self) -> str:
        """Why it is in the context, or why it is not."""
        if self.removed_reason is not None:
            return self.removed_reason
        reason = self.added_reason or f"accepted by {self.accepted_by}"
        if self.over_limit:
            return f"{reason}, but left out: the context is full, and newer masks are shown"
        return f"{reason}, pinned by {self.pinned_by}" if self.pinned_by else reason


class ContextEntryChange(BaseModel):
    """What is left out stays as it is."""

    pinned: bool | None = None
    excluded: bool | None = None


class Withdrawal(BaseModel):
    reason: Reason


class ImportedPair(BaseModel):
    """What became of a pair: its new entry; or why there is none, because the project's own work stays."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    image_id: int
    entry_id: int | None
    detail: str | None


class ImportedContext(BaseModel):
    source: str
    pairs: list[ImportedPair]
