"""Synthetic tasks: one made-up structure, segmented across images of made-up subjects.

Three kinds of families cover what biomedical labels look like: regions (one anatomy warped per subject,
after SynthMorph, Hoffmann et al. 2022, and UniverSeg's synthetic shapes), objects (cells, nuclei and
look-alikes) and curves (vessels, worms, membranes, fibres). A family makes label maps and says what of
them is asked for (regions here, the others in models.anatomies); models.rendering makes the images.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomies import (
    Anatomy,
    Labels,
    Masks,
    Rng,
    cells,
    discs,
    fibres,
    lookalikes,
    membranes,
    nucleated,
    vessels,
    worms,
)
from models.noise import smooth_curves, smooth_noise
from models.rendering import render

Images = NDArray[np.float32]

FEWEST, MOST = 0.005, 0.6
ATTEMPTS = 12
# A task of middling difficulty: most masks need a correction or two.
DEMO_SEED = 8


def sample_task(
    rng: Rng, count: int, side: int = 128, absent: NDArray[np.bool_] | None = None
) -> tuple[Images, Masks]:
    """One task: images (count, side, side) float32 in [0, 1], masks of the same shape.

    Nearly all masks cover 0.5 to 60 % of their image; the first two are never empty, unless ``absent``
    (count,) says so: from those images the object is taken away, and what surrounds it closes.
    """
    family = FAMILIES[int(rng.choice(len(FAMILIES), p=SHARES))]
    return sample_family(rng, family, count, side, absent=absent)


def demo_task(count: int) -> tuple[Images, Masks]:
    """The same cells at every call: images (count, 256, 256) in [0, 1] and their masks."""
    return sample_family(np.random.default_rng(DEMO_SEED), cells, count, 256, artefacts=False)


def sample_family(
    rng: Rng,
    family: "Family",
    count: int,
    side: int,
    *,
    artefacts: bool = True,
    absent: NDArray[np.bool_] | None = None,
) -> tuple[Images, Masks]:
    """A task of one family; draws again while the foreground is degenerate."""
    for _ in range(ATTEMPTS):
        labels, masks = family(rng, count, side)
        shares = masks.mean((1, 2))
        shown = shares[:2].min() >= FEWEST  # in a query, and in the image that says what is meant in it
        if shown and shares[0] <= MOST and FEWEST <= np.median(shares) <= MOST:
            break
    else:
        labels, masks = cells(rng, count, side)
        box = slice(side // 3, side // 2)
        labels[:2, box, box], masks[:2, box, box] = 2, True
    for i in () if absent is None else np.flatnonzero(absent):
        labels[i], masks[i] = _without(labels[i], masks[i]), False
    return render(rng, labels, masks, artefacts=artefacts), masks


def _without(labels: Labels, mask: Masks) -> Labels:
    """The map (side, side) with the label nearest to each pixel of the mask in its place."""
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)])


def _tissues(rng: Rng, count: int, side: int) -> Anatomy:
    """Regions: each label is where its smooth field wins; subjects share fields, then warp."""
    kinds = int(rng.integers(3, 10))
    scale = rng.uniform(0.07, 0.25) * side
    fields = smooth_noise(rng, kinds, side, scale)
    if rng.random() < 0.4:
        fields = np.float32(0.4) * fields - np.float32(3 / side) * _distances_to_seeds(rng, kinds, side)
    if rng.random() < 0.25:
        fields = fields + fields[:, :, ::-1]
    own = rng.uniform(0, 0.35)
    labels = np.stack(
        [(fields + own * smooth_noise(rng, kinds, side, scale)).argmax(0) for _ in range(count)]
    ).astype(np.uint8)
    if rng.random() < 0.4:
        labels = np.where(_body(rng, side), labels + 1, 0).astype(np.uint8)
    labels = _warped(rng, labels)
    return labels, labels == _one_of(rng, labels)


def _shells(rng: Rng, count: int, side: int) -> Anatomy:
    """Regions: nested star-shaped organs around one centre (disc and cup, ventricle and wall)."""
    kinds = int(rng.integers(2, 5))
    bounds = np.sort(rng.uniform(0.08, 0.42, kinds)).astype(np.float32) * side
    waves = rng.normal(0, 0.08, (kinds, 6)).astype(np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    home = rng.uniform(0.3, 0.7, 2) * side
    centres = (home[:, None] + rng.normal(0, 0.06 * side, (2, count))).astype(np.float32)
    dy, dx = y - centres[0, :, None, None], x - centres[1, :, None, None]
    angle = np.arctan2(dy, dx)
    radius = np.hypot(dy * np.float32(rng.uniform(0.7, 1.4)), dx)
    harmonics = np.stack([wave((k + 2) * angle) for k in range(3) for wave in (np.cos, np.sin)])
    size = rng.uniform(0.8, 1.2, (count, 1, 1)).astype(np.float32)
    labels = np.zeros((count, side, side), np.uint8)
    for bound, wave in zip(bounds, waves, strict=True):
        ripple = np.tensordot(wave, harmonics, 1)
        labels += radius < bound * size * (1 + ripple)
    if rng.random() < 0.6:
        surroundings = smooth_noise(rng, count, side, rng.uniform(0.06, 0.2) * side)
        labels[(labels == 0) & (surroundings > rng.uniform(-0.5, 1))] = kinds + 1
    labels = _warped(rng, labels)
    return labels, labels == int(rng.integers(1, kinds + 1))


def _layers(rng: Rng, count: int, side: int) -> Anatomy:
    """Regions: stacked layers with wavy borders (retina, skin, vessel walls in ultrasound)."""
    kinds = int(rng.integers(3, 8))
    borders = np.sort(rng.uniform(0.1, 0.9, kinds - 1)) * side
    shape = smooth_curves(rng, 1, side, 0.3 * side) * rng.uniform(0, 0.08) * side
    own = smooth_curves(rng, count, side, rng.uniform(0.15, 0.4) * side) * rng.uniform(0.01, 0.06) * side
    height = np.arange(side)[None, :, None] - (shape + own)[:, None, :]
    labels = np.zeros((count, side, side), np.uint8)
    for border in borders:
        ripple = smooth_curves(rng, count, side, 0.1 * side) * rng.uniform(0, 0.015) * side
        labels += height > border + ripple[:, None, :]
    labels = _warped(rng, labels)
    return labels, labels == _one_of(rng, labels)


def _distances_to_seeds(rng: Rng, kinds: int, side: int) -> Images:
    """Distance of every pixel to a random point per label, (kinds, side, side), in pixels."""
    seeds = rng.uniform(0, side, (kinds, 2, 1, 1))
    y, x = np.mgrid[:side, :side]
    return np.asarray(np.hypot(y - seeds[:, 0], x - seeds[:, 1]), dtype=np.float32)


def _body(rng: Rng, side: int) -> Masks:
    """A roundish outline that fills much of the image, (side, side)."""
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / side
    half_height, half_width = rng.uniform(0.32, 0.48, 2)
    wobble = smooth_noise(rng, 1, side, 0.15 * side)[0] * 0.08
    return np.asarray((y / half_height) ** 2 + (x / half_width) ** 2 + wobble < 1)


def _warped(rng: Rng, labels: Labels) -> Labels:
    """Each map bent by its own smooth field, nearest neighbour; how much is one draw for the task."""
    count, side = labels.shape[0], labels.shape[1]
    bend = smooth_noise(rng, 2 * count, side, rng.uniform(0.1, 0.25) * side)
    bend *= np.float32(rng.uniform(0.01, 0.05) * side)
    bend += rng.normal(0, 0.02 * side, (2 * count, 1, 1)).astype(np.float32)
    at = np.arange(side, dtype=np.float32)
    rows = np.clip(np.rint(at[:, None] + bend[:count]), 0, side - 1).astype(np.intp)
    columns = np.clip(np.rint(at[None, :] + bend[count:]), 0, side - 1).astype(np.intp)
    return np.asarray(labels[np.arange(count)[:, None, None], rows, columns])


def _one_of(rng: Rng, labels: Labels) -> int:
    """A label that covers a usable share of the first map (any label when none does)."""
    shares = np.bincount(labels[0].ravel()) / labels[0].size
    usable = np.flatnonzero((shares > FEWEST) & (shares < MOST))
    usable = usable[usable > 0] if usable.size > 1 else usable
    return int(rng.choice(usable)) if usable.size else int(shares.argmax())


Family = Callable[[Rng, int, int], Anatomy]
FAMILIES: tuple[Family, ...] = (
    _tissues,
    _shells,
    _layers,
    cells,
    membranes,
    fibres,
    vessels,
    nucleated,
    worms,
    discs,
    lookalikes,
)
SHARES = (0.22, 0.08, 0.06, 0.24, 0.06, 0.05, 0.10, 0.07, 0.04, 0.04, 0.04)
