"""Wire shapes of annotations; the prompts in them are those of ``models.prompts``."""

from datetime import datetime
from math import isfinite
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from models.prompts import Box, Prompt, Scribble
from service.tables import State

MOST_PROMPTS = 100
MOST_POINTS = 10_000
WIDEST = 10_000.0


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


DrawnPrompt = Annotated[Prompt, Field(discriminator="kind"), AfterValidator(_drawable)]


class NewInteraction(BaseModel):
    prompts: list[DrawnPrompt] = Field(min_length=1, max_length=MOST_PROMPTS)


class Skip(BaseModel):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] = Field(
        pattern=r"^[^\x00]+$"
    )


class InteractionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    n: int
    prompts: list[DrawnPrompt]


class MaskChange(BaseModel):
    """``box`` = [x0, y0, x1, y1), ``bits`` = base64(zlib(packed bits of the box, unpadded))."""

    box: list[int]
    bits: str


class PredictionOut(BaseModel):
    """A prediction; its ``mask`` changes the mask of prediction ``base``, or all of the image."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    n: int
    model: str
    context_version: int
    context_size: int
    network_ms: float
    uncertainty: float
    mask_digest: str
    base: int | None = None
    mask: MaskChange | None = None


class PicturedImage(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    width: int
    height: int


class AnnotationOut(BaseModel):
    id: int
    label_id: int
    image_id: int
    image: PicturedImage
    state: State
    version: int
    interactions: list[InteractionOut]
    prediction: PredictionOut | None
    failure: str | None
    context_version: int


class InteractionAnswer(BaseModel):
    """The interaction, and its prediction if it was there in time; ``version`` is for If-Match."""

    interaction: InteractionOut
    prediction: PredictionOut | None = None
    failure: str | None = None
    version: int


class LeaseOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    token: str
    fence: int
    expires_at: datetime


class LeaseExtended(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    fence: int
    expires_at: datetime


class Nothing(BaseModel):
    """The answer of an effect that has nothing to tell."""
