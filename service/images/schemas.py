"""Wire shapes of images, of the files they came in, and of what became of each uploaded file."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_DIGESTS = 10_000


class ImageOut(BaseModel):
    """A pixel stands for ``stored * scale + offset``, shown from black at ``window_low`` to white at
    ``window_high``; without a window it is shown as it is. ``spacing`` is millimetres between pixels, [x, y].
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    project_id: int
    source_id: int
    frame: int
    name: str
    media_type: str
    width: int
    height: int
    scale: float
    offset: float
    window_low: float | None
    window_high: float | None
    spacing: list[float] | None
    series: str | None
    place: float | None
    created_at: datetime


class ImageDetail(ImageOut):
    """An image, the ids of the images before and behind it in its series, and its number there, from 1."""

    before_id: int | None
    behind_id: int | None
    series_count: int
    series_number: int
    source_name: str
    source_media_type: str


class SourceOut(BaseModel):
    """A file as it was uploaded; ``image_ids`` are of its slices, in order."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    project_id: int
    name: str
    digest: str
    media_type: str
    size: int
    geometry: dict[str, Any] | None
    created_at: datetime
    image_ids: list[int]


class FileProblem(BaseModel):
    code: str
    detail: str


class UploadedFile(BaseModel):
    """``image`` is that of a file with one picture, ``source`` the file itself, with all of its images."""

    filename: str
    status: Literal["stored", "duplicate", "refused"]
    image: ImageOut | None = None
    source: SourceOut | None = None
    problem: FileProblem | None = None


class Uploaded(BaseModel):
    images: list[UploadedFile]


class Digests(BaseModel):
    """SHA-256 digests of files, in hexadecimal."""

    digests: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=MOST_DIGESTS)]
