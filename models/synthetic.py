"""Synthetic tasks: one made-up structure, segmented across images of made-up subjects.

Three families cover what biomedical labels look like: regions (one anatomy warped per subject, after
SynthMorph, Hoffmann et al. 2022, and UniverSeg's synthetic shapes), objects (cells and look-alikes) and
curves (vessels, membranes, fibres). A family makes label maps; models.rendering makes the images.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.noise import smooth_curves, smooth_noise
from models.rendering import render

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Rng = np.random.Generator

# What a family returns: label maps (count, side, side) and the label that is the target.
Anatomy = tuple[Labels, int]
FEWEST, MOST = 0.005, 0.6
ATTEMPTS = 12
# A task of middling difficulty: most masks need a correction or two.
DEMO_SEED = 8


def sample_task(rng: Rng, count: int, side: int = 128) -> tuple[Images, Masks]:
    """One task: images (count, side, side) float32 in [0, 1], masks of the same shape.

    Nearly all masks cover 0.5 to 60 % of their image; the first one is never empty.
    """
    family = FAMILIES[int(rng.choice(len(FAMILIES), p=SHARES))]
    return sample_family(rng, family, count, side)


def demo_task(count: int) -> tuple[Images, Masks]:
    """The same cells at every call: images (count, 256, 256) in [0, 1] and their masks."""
    return sample_family(np.random.default_rng(DEMO_SEED), _cells, count, 256)


def sample_family(rng: Rng, family: "Family", count: int, side: int) -> tuple[Images, Masks]:
    """A task of one family; draws again while the foreground is degenerate."""
    for _ in range(ATTEMPTS):
        labels, target = family(rng, count, side)
        masks = labels == target
        shares = masks.mean((1, 2))
        if FEWEST <= shares[0] <= MOST and FEWEST <= np.median(shares) <= MOST:
            break
    else:
        labels, target = _cells(rng, count, side)
        labels[0, side // 3 : side // 2, side // 3 : side // 2] = target
        masks = labels == target
    return render(rng, labels, target), masks


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
    return labels, _one_of(rng, labels)


def _shells(rng: Rng, count: int, side: int) -> Anatomy:
    """Regions: nested star-shaped organs around one centre (disc and cup, ventricle and wall)."""
    kinds = int(rng.integers(2, 5))
    bounds = np.sort(rng.uniform(0.08, 0.42, kinds))[:, None, None, None] * side
    waves = rng.normal(0, 0.08, (kinds, 3, 2))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    home = rng.uniform(0.3, 0.7, 2) * side
    centres = home[:, None] + rng.normal(0, 0.06 * side, (2, count))
    dy, dx = y - centres[0, :, None, None], x - centres[1, :, None, None]
    angle = np.arctan2(dy, dx)
    radius = np.hypot(dy * rng.uniform(0.7, 1.4), dx)
    size = rng.uniform(0.8, 1.2, (count, 1, 1))
    labels = np.zeros((count, side, side), np.uint8)
    for bound, wave in zip(bounds, waves, strict=True):
        ripple = sum(
            a * np.cos((k + 2) * angle) + b * np.sin((k + 2) * angle) for k, (a, b) in enumerate(wave)
        )
        labels += radius < bound[0] * size * (1 + ripple)
    if rng.random() < 0.6:
        surroundings = smooth_noise(rng, count, side, rng.uniform(0.06, 0.2) * side)
        labels[(labels == 0) & (surroundings > rng.uniform(-0.5, 1))] = kinds + 1
    labels = _warped(rng, labels)
    return labels, int(rng.integers(1, kinds + 1))


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
    return labels, _one_of(rng, labels)


def _cells(rng: Rng, count: int, side: int) -> Anatomy:
    """Objects: several blobs of one kind per image, among look-alikes of other kinds."""
    scenery = smooth_noise(rng, count, side, rng.uniform(0.06, 0.3) * side) > rng.uniform(0.3, 3)
    labels = scenery.astype(np.uint8)
    target = 2
    kinds = [target] + [target + 1 + k for k in range(int(rng.integers(0, 3)))]
    radius = float(np.exp(rng.uniform(np.log(0.025), np.log(0.17)))) * side
    room = (side / (2.2 * radius)) ** 2
    for kind in reversed(kinds):
        own_radius = radius * (1 if kind == target else float(rng.choice([0.4, 0.7, 1, 1, 1.6])))
        crowd = max(1.0, rng.uniform(0.03, 0.5) * min(room, 90))
        look = (own_radius, rng.uniform(0.05, 0.35), rng.uniform(0.4, 1), rng.uniform(0, 0.12))
        for image in labels:
            _scatter(rng, image, kind, (1 + int(rng.poisson(crowd - 1)), *look))
    return labels, target


def _scatter(rng: Rng, image: Labels, kind: int, look: tuple[int, float, float, float, float]) -> None:
    """Paints blobs into one label map; ``look``: number, radius, its spread, flatness, lobedness."""
    number, radius, spread, flatness, lobes = look
    side = image.shape[0]
    centres = rng.uniform(0, side, (number, 2))
    radii = np.clip(radius * np.exp(rng.normal(0, spread, number)), 1.2, 0.3 * side)
    turns = rng.uniform(0, np.pi, number)
    flats = np.clip(flatness * np.exp(rng.normal(0, 0.15, number)), 0.25, 1)
    for (cy, cx), size, turn, flat in zip(centres, radii, turns, flats, strict=True):
        reach = int(size * 1.5) + 1
        top, left = max(0, int(cy) - reach), max(0, int(cx) - reach)
        patch = image[top : int(cy) + reach + 1, left : int(cx) + reach + 1]
        y = (np.arange(top, top + patch.shape[0]) - cy)[:, None]
        x = (np.arange(left, left + patch.shape[1]) - cx)[None, :]
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        across = across / flat
        bound = size * size
        if lobes > 0.03:
            angle = np.arctan2(across, along)
            bound = (
                bound * (1 + lobes * np.cos(2 * angle + turn * 5) + lobes * np.cos(3 * angle + turn * 9)) ** 2
            )
        patch[along * along + across * across < bound] = kind


def _membranes(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: borders between tightly packed cells; now and then the cells, not the borders."""
    number = int(rng.integers(6, 60))
    width = rng.uniform(0.8, 2.5) * side / 128
    labels = np.zeros((count, side, side), np.uint8)
    wander = smooth_noise(rng, 2 * count, side, 0.05 * side) * rng.uniform(0, 0.03) * side
    y, x = np.mgrid[:side, :side].astype(np.float32)
    for i, image in enumerate(labels):
        seeds = rng.uniform(-0.1, 1.1, (number, 2)).astype(np.float32) * side
        first = np.full((side, side), np.inf, np.float32)
        second = first.copy()
        down, across = y + wander[i], x + wander[count + i]
        for cy, cx in seeds:
            distance = (down - cy) ** 2 + (across - cx) ** 2
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
        image[np.sqrt(second) - np.sqrt(first) < 2 * width] = 1
        image[(image == 0) & (first < (rng.uniform(0.1, 0.3) * side) ** 2 / number)] = 2
    return labels, 1 if rng.random() < 0.8 else 0


def _fibres(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: level lines of smooth noise, of one width; a second, different set may distract."""
    labels = (smooth_noise(rng, count, side, 0.15 * side) > rng.uniform(0, 3)).astype(np.uint8)
    for kind in (3, 2) if rng.random() < 0.4 else (2,):
        noise = smooth_noise(rng, count, side, rng.uniform(0.04, 0.16) * side)
        slope = np.hypot(*np.gradient(noise, axis=(1, 2)))
        half = rng.uniform(0.7, 2.6) * side / 128
        level = rng.uniform(-1, 1)
        labels[np.abs(noise - level) < half * slope] = kind
    return labels, 2


def _vessels(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: branching trees whose branches bend smoothly and taper; blobs may distract."""
    labels = (smooth_noise(rng, count, side, 0.12 * side) > rng.uniform(0.5, 3)).astype(np.uint8)
    trunks, width = int(rng.integers(1, 5)), rng.uniform(0.8, 3.2) * side / 128
    bend = rng.uniform(0.02, 0.12) * 128 / side
    if rng.random() < 0.4:
        for image in labels:
            _scatter(rng, image, 3, (int(rng.integers(1, 8)), 0.04 * side, 0.3, 0.8, 0.0))
    for image in labels:
        for _ in range(trunks):
            start = rng.uniform(0, side, 2)
            start[int(rng.integers(2))] = rng.choice([0, side - 1])
            heading = np.arctan2(*(side / 2 - start)) + rng.normal(0, 0.4)
            _grow(rng, image, (float(start[0]), float(start[1]), float(heading)), (width, bend))
    return labels, 2


def _grow(rng: Rng, image: Labels, start: tuple[float, float, float], look: tuple[float, float]) -> None:
    """Draws one tree as label 2; ``start``: row, column, heading; ``look``: half width, bend."""
    side = image.shape[0]
    branches = [(*start, look[0])]
    for _ in range(12):
        if not branches:
            break
        y, x, heading, width = branches.pop(0)
        length = int(rng.uniform(0.3, 1) * side)
        headings = heading + np.cumsum(smooth_curves(rng, 1, length, 6)[0]) * look[1]
        rows, columns = y + np.cumsum(np.sin(headings)), x + np.cumsum(np.cos(headings))
        _stamp(image, rows, columns, width)
        if width > 0.7:
            for _ in range(int(rng.integers(0, 3))):
                at = int(rng.integers(length // 5, length))
                turn = rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)
                fork = (float(rows[at]), float(columns[at]), float(headings[at] + turn))
                branches.append((*fork, width * rng.uniform(0.55, 0.85)))


def _stamp(image: Labels, rows: NDArray[np.float64], columns: NDArray[np.float64], half: float) -> None:
    """Writes label 2 within ``half`` pixels of every given point."""
    reach = int(half) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(y, x) <= half
    at_y = np.rint(rows)[:, None].astype(int) + y[disc]
    at_x = np.rint(columns)[:, None].astype(int) + x[disc]
    inside = (at_y >= 0) & (at_x >= 0) & (at_y < image.shape[0]) & (at_x < image.shape[1])
    image[at_y[inside], at_x[inside]] = 2


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
FAMILIES: tuple[Family, ...] = (_tissues, _shells, _layers, _cells, _membranes, _fibres, _vessels)
SHARES = (0.27, 0.12, 0.06, 0.30, 0.07, 0.06, 0.12)
