"""Wire shapes of the metrics; the simulated annotator writes the same columns."""

from collections.abc import Mapping
from datetime import date, datetime

from pydantic import BaseModel

from service.tables import State


class AcceptedImage(BaseModel):
    """One accepted annotation; ``position`` counts acceptances of the label from 1.

    ``active_seconds`` are those in which somebody was at work on it, ``seconds`` those from its opening to
    its acceptance; ``first_dice`` compares the first prediction with the accepted mask.
    """

    position: int
    annotation_id: int
    image_id: int
    image: str
    annotator_id: int | None
    annotator: str | None
    control: bool
    interactions: int
    edits: int
    untouched: bool
    context_size: int | None
    first_dice: float | None
    active_seconds: float
    seconds: float | None
    accepted_at: datetime
    running_mean: float


class CurvePoint(BaseModel):
    """A piece of the curve: its last image, and the mean interactions of its images."""

    position: int
    accepted_at: datetime
    context_size: int | None
    running_mean: float
    interactions: float | None
    control_interactions: float | None


class Interval(BaseModel):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Work(BaseModel):
    """What was done; what is null has nothing that it could be the mean of.

    ``accepted`` images exclude imported ones. Gold is told to managers only.
    """

    accepted: int
    interactions: int
    edits: int
    untouched: int
    active_seconds: float
    interactions_per_image: float | None
    untouched_share: float | None
    active_seconds_per_image: float | None
    first_dice: float | None
    reviewed: int
    returned: int
    return_share: float | None
    compared: int
    agreement_dice: float | None
    agreement_hd95: float | None
    gold_checked: int | None
    gold_dice: float | None


class Projection(BaseModel):
    """What the rest will take at the rate of the newest images; null when there is too little to go by."""

    images: int
    interactions: Interval | None
    hours: Interval | None
    sentence: str


class Savings(BaseModel):
    """What the context saves an image, against the images that were annotated without it."""

    control_images: int
    context_images: int
    interactions: Interval | None
    share: Interval | None
    seconds: Interval | None
    sentence: str


class LabelMetrics(BaseModel):
    label_id: int
    label: str
    context_version: int
    images: int
    states: Mapping[State, int]
    imported: int
    work: Work
    projection: Projection
    savings: Savings


class AnnotatorMetrics(BaseModel):
    """What somebody did themselves on the images that they submitted."""

    user_id: int
    name: str
    work: Work


class DayMetrics(BaseModel):
    """A calendar day in UTC."""

    day: date
    work: Work


class PairMetrics(BaseModel):
    """How well two people agree on a label."""

    label_id: int
    first_id: int
    first: str
    second_id: int
    second: str
    images: int
    dice: float
    hd95: float | None


class ProjectMetrics(BaseModel):
    project_id: int
    images: int
    states: Mapping[State, int]
    imported: int
    work: Work
    projection: Projection
    savings: Savings
    labels: list[LabelMetrics]
    annotators: list[AnnotatorMetrics]
    days: list[DayMetrics]
    pairs: list[PairMetrics]


class ImageAgreement(BaseModel):
    """How well two people's newest masks of one image agree; ``hd95`` in pixels, null when one is empty."""

    image_id: int
    image: str
    first_annotation_id: int
    first: str
    second_annotation_id: int
    second: str
    dice: float
    hd95: float | None
