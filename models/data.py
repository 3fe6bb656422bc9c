"""Training data: packs of labelled images on disk, and the episodes drawn from them.

An episode is a query image and some context images that all show the same structure: the hierarchical
draw data set → label → subject of UniverSeg and ScribblePrompt, mixed with synthetic tasks and with
superpixel tasks (ScribblePrompt's synthetic labels).
"""

import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from zipfile import BadZipFile

import numpy as np
import skimage.transform
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

from models.augment import augment_images, augment_task
from models.synthetic import sample_task

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Rng = np.random.Generator
Licence = Literal["A", "B", "C"]

# An image with fewer pixels of a label does not hold it.
FEWEST_PIXELS = 16
AVOID_SUBJECT = 0.7
# Images without the object: how often the query is one, and how often the context holds some.
ABSENT_FROM_QUERY, ABSENT_FROM_CONTEXT = 0.1, 0.25
FEWEST_LACKING = 3


@dataclass(frozen=True)
class Pack:
    """One data set: images uint8 (N, H, W), labels uint8 (N, H, W) with k for label_names[k - 1].

    Images with the same entry in ``subjects`` show
    the same patient, slide or sequence; an empty entry means that this is not known.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    label_names: tuple[str, ...]
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One label of one pack: images float32 (N, H, W) in [0, 1], masks bool (N, H, W).

    ``lacking`` are images in which there is nothing of it. Of files as people have them all these are lists,
    each image of its own size and of any kind that is predicted.
    """

    name: str
    images: Images | list[NDArray[Any]]
    masks: Masks | list[Masks]
    lacking: Images | list[NDArray[Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Usable:
    """A label of a pack by its value: which images hold it, at least two, and which have nothing of it."""

    value: int
    held: NDArray[np.intp]
    lacking: NDArray[np.intp]


def read_packs(folder: Path, licences: Collection[str]) -> list[Pack]:
    """The packs of ``folder``/*.npz whose licence class is in ``licences``, sorted by name.

    The classes (A free, B research only, C unknown) come from the table in DATASETS.md, beside the packs or
    one level above. Raises ValueError for a missing table and a pack that the table does not list.
    """
    classes = _read_table(folder)
    packs = []
    for path in sorted(folder.glob("*.npz")):
        if path.stem not in classes:
            raise ValueError(f"{path} is not in DATASETS.md: add a row with its class")
        if classes[path.stem] in licences:
            packs.append(read_pack(path))
    return packs


def _read_table(folder: Path) -> dict[str, Licence]:
    """The licence class of every pack in the DATASETS.md that belongs to the folder."""
    candidates = [folder / "DATASETS.md", folder.resolve().parent / "DATASETS.md"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise ValueError(f"no DATASETS.md in or above {folder}: it must give each pack's licence class")
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in found.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    header = rows[0] if rows else []
    if not {"name", "class"} <= set(header):
        raise ValueError(f"{found} needs a table with the columns name and class")
    name, licence = header.index("name"), header.index("class")
    table: dict[str, Licence] = {}
    for row in rows[2:]:
        if len(row) != len(header) or row[licence] not in ("A", "B", "C"):
            raise ValueError(f"{found}: row {row[0]!r} is broken, or its class is not A, B or C")
        table[row[name]] = cast(Licence, row[licence])
    return table


def read_pack(path: Path) -> Pack:
    """One pack file; ValueError, with what is wrong, for one that is not a pack."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            pack = Pack(
                name=path.stem,
                images=np.asarray(arrays["images"]),
                labels=np.asarray(arrays["labels"]),
                label_names=tuple(str(name) for name in arrays["label_names"]),
                subjects=tuple(str(subject) for subject in arrays["subject"]),
            )
    except (
        OSError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        EOFError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{path} is not a pack (an .npz of images, labels, label_names, subject): {error}"
        ) from error
    if pack.images.dtype != np.uint8 or pack.labels.dtype != np.uint8:
        raise ValueError(f"{path}: images {pack.images.dtype} and labels {pack.labels.dtype} must be uint8")
    if pack.images.ndim != 3 or pack.images.shape != pack.labels.shape:
        raise ValueError(f"{path}: images {pack.images.shape} and labels {pack.labels.shape} differ")
    if len(pack.subjects) != len(pack.images):
        raise ValueError(f"{path}: {len(pack.images)} images, but {len(pack.subjects)} subjects")
    return pack


def tasks_of(pack: Pack) -> list[Task]:
    """The usable labels of a pack as tasks, each over the images that hold it."""
    return [
        Task(
            name=f"{pack.name}/{pack.label_names[label.value - 1]}",
            images=_as_float(pack.images[label.held]),
            masks=pack.labels[label.held] == label.value,
            lacking=_as_float(pack.images[label.lacking]),
        )
        for label in usable_labels(pack)
    ]


def usable_labels(pack: Pack) -> list[Usable]:
    """The labels that at least two images of the pack hold."""
    usable = []
    for value in range(1, len(pack.label_names) + 1):
        pixels = np.count_nonzero(pack.labels == value, axis=(1, 2))
        held = np.flatnonzero(pixels >= FEWEST_PIXELS)
        if held.size > 1:
            usable.append(Usable(value, held, np.flatnonzero(pixels == 0)))
    return usable


def _absent(rng: Rng, context_size: int) -> NDArray[np.bool_]:
    """In which images of an episode, the query first, the object is missing: (1 + context_size,)."""
    absent = np.zeros(1 + context_size, bool)
    if context_size:
        absent[0] = rng.random() < ABSENT_FROM_QUERY
    if rng.random() < ABSENT_FROM_CONTEXT:
        absent[2:] = rng.random(max(0, context_size - 1)) < rng.uniform(0, 0.5)
    return absent


def _as_float(images: NDArray[np.uint8]) -> Images:
    return images.astype(np.float32) / np.float32(255)


class EpisodeSampler:
    """Draws augmented episodes from packs, from synthetic tasks and from superpixel tasks."""

    def __init__(
        self,
        packs: Sequence[Pack],
        *,
        synthetic_share: float,
        superpixel_share: float,
        side: int = 128,
    ) -> None:
        """The shares are probabilities of a draw; what they leave goes to the labels of the packs.

        Raises ValueError for shares that are none, and for packs that hold no label where one is needed.
        """
        if min(synthetic_share, superpixel_share) < 0 or synthetic_share + superpixel_share > 1:
            raise ValueError("synthetic_share and superpixel_share must be ≥ 0 and sum to at most 1")
        self._synthetic = synthetic_share
        self._superpixel = superpixel_share
        self._side = side
        self._labels = [(pack, usable) for pack in packs if (usable := usable_labels(pack))]
        if not self._labels and synthetic_share < 1:
            raise ValueError("no pack holds a usable label: give packs or set synthetic_share to 1")

    def draw(self, rng: Rng, context_size: int) -> tuple[Images, Masks]:
        """One episode: images (1 + context_size, side, side) in [0, 1] and masks; the query is first.

        Now and then the object is missing: from the query where there is a context to say what is meant, or
        from images of the context other than its first.
        """
        kind, absent = rng.random(), _absent(rng, context_size)
        if kind < self._synthetic:
            images, masks = sample_task(rng, 1 + context_size, self._side, absent)
        elif kind < self._synthetic + self._superpixel:
            images, masks = self._superpixels(rng, 1 + context_size)
        else:
            images, masks = self._real(rng, context_size, absent)
        return augment_images(rng, *augment_task(rng, images, masks))

    def _real(self, rng: Rng, context_size: int, absent: NDArray[np.bool_]) -> tuple[Images, Masks]:
        """A data set, one of its labels, a query and its context, each drawn uniformly."""
        pack, labels = self._labels[int(rng.integers(len(self._labels)))]
        label = labels[int(rng.integers(len(labels)))]
        held, lacking = label.held, label.lacking
        enough = lacking.size >= FEWEST_LACKING
        query = int(rng.choice(lacking if enough and absent[0] else held))
        others = held[held != query]
        subject = pack.subjects[query]
        if subject and rng.random() < AVOID_SUBJECT:
            strangers = np.array([i for i in others if pack.subjects[i] != subject], np.intp)
            if strangers.size >= context_size:
                others = strangers
        context = rng.choice(others, context_size, replace=context_size > others.size)
        if enough:
            context[absent[1:]] = rng.choice(lacking[lacking != query], np.count_nonzero(absent[1:]))
        chosen = np.concatenate([[query], context]).astype(np.intp)
        return self._sized(_as_float(pack.images[chosen]), pack.labels[chosen] == label.value)

    def _superpixels(self, rng: Rng, count: int) -> tuple[Images, Masks]:
        """One superpixel of one real image, ``count`` times over; augmentation makes them differ."""
        pack = self._labels[int(rng.integers(len(self._labels)))][0]
        image = _as_float(pack.images[int(rng.integers(len(pack.images)))])
        pieces = felzenszwalb(image, scale=float(rng.integers(1, 500)), sigma=0.5, min_size=32)
        shares = np.bincount(pieces.ravel()) / pieces.size
        usable = np.flatnonzero((shares > 0.004) & (shares < 0.6))
        piece = int(rng.choice(usable)) if usable.size else int(shares.argmin())
        images, masks = self._sized(image[None], (pieces == piece)[None])
        return np.repeat(images, count, 0), np.repeat(masks, count, 0)

    def _sized(self, images: Images, masks: Masks) -> tuple[Images, Masks]:
        """Images and masks brought to the sampler's side."""
        shape = (len(images), self._side, self._side)
        if images.shape == shape:
            return images, masks
        # skimage ships annotations for some functions only, and these are not among them.
        resize: Callable[..., Images] = skimage.transform.resize
        resized = resize(images, shape, order=1, anti_aliasing=True).astype(np.float32)
        return resized, resize(masks.astype(np.float32), shape, order=1, anti_aliasing=True) >= 0.5
