"""Images with their true masks, out of a folder or a pack: what simulated annotators work on."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from commands.errors import CommandError
from models.data import read_pack, tasks_of

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
MASK = "_mask"
FEWEST_PIXELS = 16


@dataclass(frozen=True)
class Sample:
    """One image file and the mask that its annotator has in mind, bool (height, width)."""

    name: str
    data: bytes
    truth: NDArray[np.bool_]


def read_samples(source: Path, label: str) -> list[Sample]:
    """The images of ``label`` in a pack, or of a folder with NAME.png and NAME_mask.png beside it.

    Raises CommandError, with what to do, when there are none.
    """
    if source.is_dir():
        return _from_folder(source)
    if source.suffix == ".npz" and source.is_file():
        return _from_pack(source, label)
    raise CommandError(f"{source} is neither a folder of images nor an .npz pack.")


def _from_folder(folder: Path) -> list[Sample]:
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    pairs = [(path, files[stem + MASK]) for stem, path in files.items() if stem + MASK in files]
    if not pairs:
        raise CommandError(f"{folder} holds no pairs of NAME.png and NAME{MASK}.png (or .jpg, .tif).")
    return [_pair(image, mask) for image, mask in pairs]


def _pair(image: Path, mask: Path) -> Sample:
    try:
        with Image.open(image) as opened:
            size = opened.size
        with Image.open(mask) as opened:
            truth = np.asarray(opened.convert("L")) > 127
    except (UnidentifiedImageError, OSError) as error:
        raise CommandError(f"{image.name} or {mask.name} cannot be read: {error}") from error
    if truth.shape != (size[1], size[0]):
        raise CommandError(
            f"{mask.name} is {truth.shape[1]} x {truth.shape[0]} pixels, {image.name} {size[0]} x {size[1]}."
        )
    return Sample(image.name, image.read_bytes(), truth)


def _from_pack(path: Path, label: str) -> list[Sample]:
    try:
        tasks = tasks_of(read_pack(path), min_pixels=FEWEST_PIXELS)
    except ValueError as error:
        raise CommandError(str(error)) from error
    named = {task.name.split("/", 1)[1]: task for task in tasks}
    if label not in named:
        raise CommandError(f"{path} has no label {label!r}; it has: {', '.join(sorted(named))}.")
    task = named[label]
    return [
        Sample(f"{path.stem}_{i:03d}.png", as_png(image), mask)
        for i, (image, mask) in enumerate(zip(task.images, task.masks, strict=True))
    ]


def as_png(image: NDArray[np.float32]) -> bytes:
    """An image in [0, 1] as an 8-bit greyscale PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()
