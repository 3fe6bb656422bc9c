"""Wire shapes of exports."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from service.exports.formats import FormatName
from service.ids import Id
from service.tables import Progress, State


class NewExport(BaseModel):
    """What to export: by default the accepted masks of all labels.

    `images` puts the images beside the masks (png, labelmap, numpy); `separate` makes a volume for each label
    (nifti) rather than one whose voxels have the labels' values.
    """

    format: FormatName
    labels: list[Id] | None = Field(default=None, min_length=1, max_length=1000)
    states: list[Literal[State.SUBMITTED, State.ACCEPTED, State.RETURNED]] = Field(
        default=[State.ACCEPTED], min_length=1, max_length=3
    )
    images: bool = False
    separate: bool = False


class ReportLine(BaseModel):
    """An item that is not in the file, or not as one might think."""

    item: str
    what: str


class ExportOut(BaseModel):
    """An export; `download` is where its file is, once it is done, and `digest` the ETag of that."""

    id: int
    project_id: int
    format: FormatName
    labels: list[int]
    states: list[State]
    images: bool
    separate: bool
    state: Progress
    done: int
    total: int
    percent: float
    report: list[ReportLine]
    failure: str | None
    size: int | None
    digest: str | None
    download: str | None
    created_at: datetime
    finished_at: datetime | None
