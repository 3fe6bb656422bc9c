"""Wire shapes of an import of masks: what became of each file."""

from typing import Literal

from pydantic import BaseModel

from service.images.schemas import FileProblem


class Kept(BaseModel):
    """An annotation that was left as it was, and why."""

    image_id: int
    label_id: int
    reason: str


class ImportedMasks(BaseModel):
    """``accepted`` masks of a file, ``empty`` ones among them; ``missing`` are images that it names."""

    filename: str
    status: Literal["imported", "refused"]
    accepted: int = 0
    empty: int = 0
    kept: list[Kept] = []
    missing: list[str] = []
    problem: FileProblem | None = None


class Imported(BaseModel):
    files: list[ImportedMasks]
