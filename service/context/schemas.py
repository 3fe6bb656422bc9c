"""Wire shapes of the context."""

from pydantic import BaseModel, ConfigDict


class ContextEntryOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    annotation_id: int
    image_id: int
    added_version: int
