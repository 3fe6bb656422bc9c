"""Wire shapes of gold masks."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class GoldOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    image_id: int
    image_name: str
    mask_digest: str
    created_by: str
    created_at: datetime
