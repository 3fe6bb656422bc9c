"""Wire shapes of images and of what became of each uploaded file."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class ImageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    project_id: int
    name: str
    media_type: str
    width: int
    height: int
    created_at: datetime


class FileProblem(BaseModel):
    code: str
    detail: str


class UploadedFile(BaseModel):
    filename: str
    status: Literal["stored", "duplicate", "refused"]
    image: ImageOut | None = None
    problem: FileProblem | None = None


class Uploaded(BaseModel):
    images: list[UploadedFile]
