"""Wire shapes of annotations; the prompts in them are those of ``models.prompts``."""

from datetime import datetime
from math import isfinite
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from models.prompts import Box, Prompt, Scribble, anchor_points
from service.tables import State

MOST_PROMPTS = 100
MOST_POINTS, MOST_POINTS_TOGETHER = 10_000, 20_000  # of one scribble, and of all that is sent at once
WIDEST = 10_000.0
MOST_BITS = 16 * 1024 * 1024


def _drawable(prompt: Prompt) -> Prompt:
    """The prompt, if a hand could have drawn it; whether it is on the image is checked later."""
    match prompt:
        case Scribble(points=points, width=width):
            if not 1 <= len(points) <= MOST_POINTS:
                raise ValueError(f"a scribble has 1 to {MOST_POINTS} points")
            if not (isfinite(width) and 0 < width <= WIDEST):
                raise ValueError(f"the width of a scribble is above 0 and at most {WIDEST:g}")
        case Box(x0=x0, y0=y0, x1=x1, y1=y1) if x0 > x1 or y0 > y1:
            raise ValueError("a box has x0 <= x1 and y0 <= y1")
    return prompt


def _painted_soon(prompts: list[Prompt]) -> list[Prompt]:
    """The prompts, if the worker that paints them has time for others as well."""
    if sum(len(anchor_points(prompt)) for prompt in prompts) > MOST_POINTS_TOGETHER:
        raise ValueError(f"prompts that are sent together have at most {MOST_POINTS_TOGETHER} points")
    return prompts


DrawnPrompt = Annotated[Prompt, Field(discriminator="kind"), AfterValidator(_drawable)]
DrawnPrompts = Annotated[list[DrawnPrompt], Field(max_length=MOST_PROMPTS), AfterValidator(_painted_soon)]


class NewInteraction(BaseModel):
    prompts: DrawnPrompts = Field(min_length=1)


Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$"),
]
Remark = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5000, pattern=r"^[^\x00]+$"),
]


class Skip(BaseModel):
    reason: Reason


class MaskChange(BaseModel):
    """``box`` = [x0, y0, x1, y1), ``bits`` = base64(zlib(packed bits of the box, unpadded))."""

    box: Annotated[list[int], Field(min_length=4, max_length=4)]
    bits: Annotated[str, Field(max_length=MOST_BITS)]


class Paint(BaseModel):
    """The pixels of a box as they are after brush or eraser, drawn upon ``step``."""

    kind: Literal["paint"]
    step: int
    change: MaskChange


class FillHoles(BaseModel):
    kind: Literal["fill_holes"]
    step: int


class KeepLargest(BaseModel):
    kind: Literal["keep_largest"]
    step: int


class Smooth(BaseModel):
    kind: Literal["smooth"]
    step: int
    radius: Annotated[float, Field(ge=1, le=50)] = 2


NewEdit = Annotated[Paint | FillHoles | KeepLargest | Smooth, Field(discriminator="kind")]


class DraftIn(BaseModel):
    """What is drawn and not yet sent: prompts that are held back, and a mask painted by hand."""

    prompts: DrawnPrompts = []
    mask: MaskChange | None = None


class DraftOut(BaseModel):
    prompts: list[DrawnPrompt]
    mask: MaskChange | None
    step: int
    saved_at: datetime


class Flag(BaseModel):
    reason: Reason | None


class NewComment(BaseModel):
    """A remark; with ``at``, pinned to that point of the image (x, y in its pixels)."""

    text: Remark
    at: tuple[float, float] | None = None


class CommentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    user_id: int
    user: str
    text: str
    x: float | None
    y: float | None
    created_at: datetime


class InteractionOut(BaseModel):
    """Step ``n``, made upon step ``parent``: prompts, or a manual edit."""

    model_config = ConfigDict(from_attributes=True)

    n: int
    parent: int
    prompts: list[DrawnPrompt]
    edit: str | None


class PredictionOut(BaseModel):
    """A prediction; its ``mask`` changes the mask whose digest is ``base``, or is all of the image."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    n: int
    model: str
    context_version: int
    context_size: int
    network_ms: float
    uncertainty: float
    mask_digest: str
    base: str | None = None
    mask: MaskChange | None = None


class EditedOut(BaseModel):
    """The mask of a manual edit; ``mask`` changes the one whose digest is ``base``, or is all of it."""

    n: int
    mask_digest: str
    base: str | None = None
    mask: MaskChange | None = None


class PicturedImage(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    width: int
    height: int


class ReturnedOut(BaseModel):
    """Why an annotation came back from its review, and who returned it."""

    model_config = ConfigDict(from_attributes=True)

    reason: str | None
    reviewer: str
    at: datetime


class AnnotationOut(BaseModel):
    """An annotation with the steps that lead to the current one; what was undone is not among them.

    What is seen is the mask of ``edited``, where there is one, else that of ``prediction``.
    """

    id: int
    label_id: int
    image_id: int
    image: PicturedImage
    state: State
    version: int
    step: int
    can_redo: bool
    interactions: list[InteractionOut]
    prediction: PredictionOut | None
    edited: EditedOut | None
    failure: str | None
    context_version: int
    control: bool | None
    assigned_to: int | None
    priority: int
    flag: str | None
    skip_reason: str | None
    returned: ReturnedOut | None


class InteractionAnswer(BaseModel):
    """The interaction, and its mask if it was there in time; ``version`` is for If-Match."""

    interaction: InteractionOut
    prediction: PredictionOut | None = None
    edited: EditedOut | None = None
    failure: str | None = None
    version: int


class LeaseOut(BaseModel):
    """The lease ends when its page is silent until ``expires_at``, or its holder idle until ``idle_at``."""

    model_config = ConfigDict(from_attributes=True)

    token: str
    fence: int
    expires_at: datetime
    idle_at: datetime


class LeaseExtended(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    fence: int
    expires_at: datetime
    idle_at: datetime
