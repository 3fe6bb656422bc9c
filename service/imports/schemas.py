"""Wire shapes of an import of masks: what became of each file."""

from typing import Literal

from pydantic import BaseModel

from service.images.schemas import FileProblem


class Kept(BaseModel):
    """An annotation that was left as it was, and why."""

    image_id: int
    label_id: int
    reason: str


class Settled(BaseModel):
    """Of each mask of a part of an import why its annotation was kept as it was; None where it was not."""

    reasons: list[str | None]


class RefusedImage(BaseModel):
    """An image that a file names, and why nothing that the file has of it was taken."""

    file_name: str
    problem: FileProblem


class ImportedMasks(BaseModel):
    """``accepted`` masks of a file, ``empty`` ones among them; ``blank`` slices were left open.

    ``missing`` are images that it names and the project has not.
    """

    filename: str
    status: Literal["imported", "refused"]
    accepted: int = 0
    empty: int = 0
    blank: int = 0
    kept: list[Kept] = []
    missing: list[str] = []
    refused: list[RefusedImage] = []
    problem: FileProblem | None = None


class ImportedFiles(BaseModel):
    files: list[ImportedMasks]
