"""Images with their true masks, out of a folder or a pack: what simulated annotators work on."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from commands.errors import CommandError
from commands.originals import pairs_in, slices_of
from models.data import read_pack, tasks_of
from service.settings import Settings


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
    max_pixels = Settings().max_image_pixels
    samples = [_sample(folder, *pair, max_pixels=max_pixels) for pair in pairs_in(folder)]
    if not samples:
        raise CommandError(f"{folder} holds no pairs of an image NAME and its mask NAME_mask.")
    return samples


def _sample(folder: Path, image: Path, mask: Path, *, max_pixels: int) -> Sample:
    slices = slices_of(image, mask, max_pixels=max_pixels)
    if len(slices) > 1:
        raise CommandError(f"{image} has {len(slices)} slices; simulated annotators work on single images.")
    return Sample(image.relative_to(folder).as_posix(), image.read_bytes(), slices[0][1] != 0)


def _from_pack(path: Path, label: str) -> list[Sample]:
    try:
        tasks = tasks_of(read_pack(path))
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
