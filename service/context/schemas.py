"""Wire shapes of the context."""

from pydantic import BaseModel, ConfigDict


class ContextEntryOut(BaseModel):
    """An entry; ``quality`` in [0, 1] says how well it and the others explain each other, once checked."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    annotation_id: int
    image_id: int
    added_version: int
    removed_version: int | None
    removed_reason: str | None
    pinned: bool
    quality: float | None
    uncertainty: float | None
    second_look: bool


class ContextEntryChange(BaseModel):
    """What is left out stays as it is."""

    pinned: bool | None = None
    excluded: bool | None = None
