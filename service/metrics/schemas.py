"""Wire shapes of the metrics; the simulated annotator writes the same columns."""

from datetime import datetime

from pydantic import BaseModel


class AcceptedImage(BaseModel):
    """One accepted annotation; ``position`` counts acceptances of the label from 1."""

    position: int
    image_id: int
    image: str
    interactions: int
    context_size: int
    seconds: float | None
    accepted_at: datetime
    running_mean: float


class LabelMetrics(BaseModel):
    label_id: int
    label: str
    context_version: int
    images: int
    open: int
    accepted: int
    skipped: int
    interactions: int
    interactions_per_image: float | None


class ProjectMetrics(BaseModel):
    project_id: int
    labels: list[LabelMetrics]
