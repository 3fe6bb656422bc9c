"""Wire shapes of review."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from service.annotations.schemas import Reason, Remark
from service.tables import Origin


class Return(BaseModel):
    """Why it goes back; ``remark`` is told beside it, pinned to the point ``at`` (x, y) of the image."""

    reason: Reason
    remark: Remark | None = None
    at: tuple[float, float] | None = None


class VersionOut(BaseModel):
    """A mask that was declared final, and what a reviewer decided about it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    user_id: int
    user: str
    origin: Origin
    step: int
    mask_digest: str
    first_prediction_id: int | None
    last_prediction_id: int | None
    first_dice: float | None
    created_at: datetime
    accepted: bool | None
    reason: str | None
    reviewer: str | None


class OpinionOut(BaseModel):
    """Another annotator's mask of the same image; Dice with this one's, HD95 in pixels, once measured."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    annotation_id: int
    user_id: int
    user: str
    mask_digest: str
    dice: float | None
    hd95: float | None
