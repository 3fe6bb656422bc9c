"""Objects and curves of made-up subjects: label maps, and what of them a task asks for.

Every function here is a family of models.synthetic: ``family(rng, count, side)`` returns an ``Anatomy``.
What is seen and what is asked are two things: a mask may join labels (a cell and its nucleus), reach
under a label (a disc under its vessels) or hold some pixels of a label only (one of several look-alikes).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.noise import smooth_curves, smooth_noise

Masks = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Points = NDArray[np.float64]
Rng = np.random.Generator

# What is seen, label maps (count, side, side), and what is asked for, masks of the same shape.
Anatomy = tuple[Labels, Masks]
# Of a body (label 2) with a core (label 3): the rest of the body, the core, or all of it.
PARTS = ((2,), (3,), (2, 3))


class Look(NamedTuple):
    """Blobs of one kind: lengths in pixels, the rest as shares."""

    radius: float
    spread: float = 0.0
    flatness: float = 1.0
    lobes: float = 0.0
    core: float = 0.0


class Thread(NamedTuple):
    """A smoothly bending line: where it starts, in pixels and radians, and how it looks."""

    row: float
    column: float
    heading: float
    length: int
    half_width: float
    bend: float


def cells(rng: Rng, count: int, side: int) -> Anatomy:
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
        look = Look(own_radius, rng.uniform(0.05, 0.35), rng.uniform(0.4, 1), rng.uniform(0, 0.12))
        for image in labels:
            _scatter(rng, image, kind, look, _anywhere(rng, side, 1 + int(rng.poisson(crowd - 1))))
    return labels, labels == target


def nucleated(rng: Rng, count: int, side: int) -> Anatomy:
    """Objects: cells with a nucleus each; asked for are the cytoplasm, the nuclei or the whole cells."""
    scenery = smooth_noise(rng, count, side, rng.uniform(0.06, 0.3) * side) > rng.uniform(0.5, 3)
    labels = scenery.astype(np.uint8)
    radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.17)))) * side
    look = Look(
        radius, rng.uniform(0.05, 0.3), rng.uniform(0.5, 1), rng.uniform(0, 0.1), rng.uniform(0.3, 0.65)
    )
    crowd = rng.uniform(0.1, 0.5) * (side / (2.2 * radius)) ** 2
    others = 0.3 * crowd if rng.random() < 0.3 else 0
    for image in labels:
        _scatter(rng, image, 4, look._replace(core=0), _anywhere(rng, side, int(rng.poisson(others))))
        _scatter(rng, image, 2, look, _anywhere(rng, side, 1 + int(rng.poisson(crowd))))
    return labels, np.isin(labels, PARTS[int(rng.integers(3))])


def discs(rng: Rng, count: int, side: int) -> Anatomy:
    """Regions: a cup in a disc with vessels over both, as in the fundus; masks reach under the vessels."""
    labels = np.zeros((count, side, side), np.uint8)
    centres = rng.uniform(0.3, 0.7, 2) * side + rng.normal(0, 0.05 * side, (count, 2))
    look = Look(rng.uniform(0.08, 0.25) * side, 0.1, rng.uniform(0.8, 1), rng.uniform(0, 0.05))
    cup = rng.uniform(0.35, 0.75)
    spots = Look(rng.uniform(0.015, 0.04) * side, 0.4, 0.8)
    for image, centre in zip(labels, centres, strict=True):
        _scatter(rng, image, 1, spots, _anywhere(rng, side, int(rng.integers(0, 12))))
        _scatter(rng, image, 2, look._replace(core=cup * rng.uniform(0.85, 1.15)), centre[None])
    masks = np.isin(labels, PARTS[int(rng.integers(3))])
    half, bend = rng.uniform(0.6, 1.6) * side / 128, rng.uniform(0.01, 0.04) * 128 / side
    for image, (row, column) in zip(labels, centres, strict=True):
        for heading in rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))):
            _grow(rng, image, 4, Thread(row, column, float(heading), 0, half, bend))
    return labels, masks


def lookalikes(rng: Rng, count: int, side: int) -> Anatomy:
    """Objects: things of one look; their size alone, or their place alone, tells which are asked for."""
    scenery = smooth_noise(rng, count, side, rng.uniform(0.06, 0.3) * side) > rng.uniform(0.5, 3)
    labels = scenery.astype(np.uint8)
    (_of_two_sizes if rng.random() < 0.5 else _at_own_places)(rng, labels)
    masks = labels == 2
    labels[labels == 3] = 2
    return labels, masks


def _of_two_sizes(rng: Rng, labels: Labels) -> None:
    """Large and small blobs anywhere; those asked for are label 2, the others label 3."""
    side = labels.shape[1]
    small = rng.uniform(0.02, 0.05) * side
    large = small * rng.uniform(2, 3)
    kinds = (2, 3) if rng.random() < 0.6 else (3, 2)
    look = Look(0, 0.08, rng.uniform(0.6, 1), rng.uniform(0, 0.08))
    numbers = rng.integers((1, 4), (6, 16))
    for image in labels:
        many = 1 + rng.poisson(numbers - 1)
        centres = _apart(rng, side, np.repeat([large, small], many))
        for kind, radius, places in zip(kinds, (large, small), np.split(centres, many[:1]), strict=True):
            _scatter(rng, image, kind, look._replace(radius=radius), places)


def _at_own_places(rng: Rng, labels: Labels) -> None:
    """The same few blobs in every image, each near its own place; the first is label 2, the others 3."""
    side = labels.shape[1]
    look = Look(rng.uniform(0.06, 0.12) * side, 0.1, rng.uniform(0.6, 1), rng.uniform(0, 0.1))
    homes = _apart(rng, side, np.full(int(rng.integers(2, 6)), 1.3 * look.radius))
    for image in labels:
        places = homes + rng.normal(0, 0.03 * side, 2) + rng.normal(0, 0.01 * side, homes.shape)
        _scatter(rng, image, 3, look, places[1:])
        _scatter(rng, image, 2, look, places[:1])


def _anywhere(rng: Rng, side: int, number: int) -> Points:
    """Random places, (number, 2): rows and columns in pixels."""
    return rng.uniform(0, side, (number, 2))


def _apart(rng: Rng, side: int, radii: Points) -> Points:
    """Places (len(radii), 2) for discs of these radii that do not touch, as far as there is room."""
    centres = np.zeros((len(radii), 2))
    for i, radius in enumerate(radii):
        tries = rng.uniform(radius, side - radius, (24, 2))
        gaps = np.linalg.norm(tries[:, None] - centres[None, :i], axis=2) - radii[:i] - radius
        room = gaps.min(1, initial=side)
        fits = room > 0.03 * side
        centres[i] = tries[fits.argmax() if fits.any() else room.argmax()]
    return centres


def _scatter(rng: Rng, image: Labels, kind: int, look: Look, centres: Points) -> None:
    """Paints blobs into one label map at ``centres`` (n, 2), pixels; their cores as ``kind + 1``."""
    side, number = image.shape[0], len(centres)
    radii = np.clip(look.radius * np.exp(rng.normal(0, look.spread, number)), 1.2, 0.3 * side)
    turns = rng.uniform(0, np.pi, number)
    flats = np.clip(look.flatness * np.exp(rng.normal(0, 0.15, number)), 0.25, 1)
    for (cy, cx), size, turn, flat in zip(centres, radii, turns, flats, strict=True):
        reach = int(size * 1.5) + 1
        top, left = max(0, int(cy) - reach), max(0, int(cx) - reach)
        patch = image[top : max(0, int(cy) + reach + 1), left : max(0, int(cx) + reach + 1)]
        y = (np.arange(top, top + patch.shape[0]) - cy)[:, None]
        x = (np.arange(left, left + patch.shape[1]) - cx)[None, :]
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        across = across / flat
        bound = size * size
        if look.lobes > 0.03:
            angle = np.arctan2(across, along)
            waves = look.lobes * np.cos(2 * angle + turn * 5) + look.lobes * np.cos(3 * angle + turn * 9)
            bound = bound * (1 + waves) ** 2
        inside = along * along + across * across < bound
        patch[inside] = kind
        if look.core:
            aside = rng.uniform(-0.5, 0.5) * (1 - look.core) * size
            patch[inside & ((along - aside) ** 2 + across * across < (look.core * size) ** 2)] = kind + 1


def membranes(rng: Rng, count: int, side: int) -> Anatomy:
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
    return labels, labels == (1 if rng.random() < 0.8 else 0)


def fibres(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: level lines of smooth noise, of one width; a second, different set may distract."""
    labels = (smooth_noise(rng, count, side, 0.15 * side) > rng.uniform(0, 3)).astype(np.uint8)
    for kind in (3, 2) if rng.random() < 0.4 else (2,):
        noise = smooth_noise(rng, count, side, rng.uniform(0.04, 0.16) * side)
        slope = np.hypot(*np.gradient(noise, axis=(1, 2)))
        half = rng.uniform(0.7, 2.6) * side / 128
        level = rng.uniform(-1, 1)
        labels[np.abs(noise - level) < half * slope] = kind
    return labels, labels == 2


def worms(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: thin bodies of one width among debris; threads of another width may distract."""
    labels = np.zeros((count, side, side), np.uint8)
    half, length = rng.uniform(0.8, 3) * side / 128, rng.uniform(0.2, 0.6) * side
    bend = rng.uniform(0.01, 0.07) * 128 / side
    debris = Look(rng.uniform(0.008, 0.03) * side, 0.5, rng.uniform(0.4, 1), rng.uniform(0, 0.12))
    specks, others = int(rng.integers(0, 40)), rng.uniform(1, 6) if rng.random() < 0.4 else 0
    other_half = half * float(rng.choice([0.4, 2.5]))
    number = rng.uniform(0, 8)
    for image in labels:
        _scatter(rng, image, 1, debris, _anywhere(rng, side, int(rng.poisson(specks))))
        for kind, width, many in ((3, other_half, rng.poisson(others)), (2, half, 1 + rng.poisson(number))):
            for row, column, turn in rng.uniform(0, 1, (many, 3)) * (side, side, 2 * np.pi):
                steps = int(length * rng.uniform(0.8, 1.2))
                _draw(rng, image, kind, Thread(row, column, turn, steps, width, bend))
    return labels, labels == 2


def vessels(rng: Rng, count: int, side: int) -> Anatomy:
    """Curves: branching trees whose branches bend smoothly and taper; blobs may distract."""
    labels = (smooth_noise(rng, count, side, 0.12 * side) > rng.uniform(0.5, 3)).astype(np.uint8)
    trunks, half = int(rng.integers(1, 5)), rng.uniform(0.8, 3.2) * side / 128
    bend = rng.uniform(0.02, 0.12) * 128 / side
    if rng.random() < 0.4:
        for image in labels:
            blobs = _anywhere(rng, side, int(rng.integers(1, 8)))
            _scatter(rng, image, 3, Look(0.04 * side, 0.3, 0.8), blobs)
    for image in labels:
        for _ in range(trunks):
            start = rng.uniform(0, side, 2)
            start[int(rng.integers(2))] = rng.choice([0, side - 1])
            heading = np.arctan2(*(side / 2 - start)) + rng.normal(0, 0.4)
            _grow(rng, image, 2, Thread(start[0], start[1], float(heading), 0, half, bend))
    return labels, labels == 2


def _grow(rng: Rng, image: Labels, kind: int, trunk: Thread) -> None:
    """Draws one tree; how long ``trunk`` and its branches get is drawn here."""
    side = image.shape[0]
    branches = [trunk]
    for _ in range(12):
        if not branches:
            break
        branch = branches.pop(0)._replace(length=int(rng.uniform(0.3, 1) * side))
        rows, columns, headings = _draw(rng, image, kind, branch)
        if branch.half_width > 0.7:
            for _ in range(int(rng.integers(0, 3))):
                at = int(rng.integers(branch.length // 5, branch.length))
                heading = headings[at] + rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)
                half = branch.half_width * rng.uniform(0.55, 0.85)
                branches.append(Thread(rows[at], columns[at], heading, 0, half, trunk.bend))


def _draw(rng: Rng, image: Labels, kind: int, thread: Thread) -> tuple[Points, Points, Points]:
    """Paints one thread; returns the rows, columns and headings along it, each (length,)."""
    headings = thread.heading + np.cumsum(smooth_curves(rng, 1, thread.length, 6)[0]) * thread.bend
    rows = thread.row + np.cumsum(np.sin(headings))
    columns = thread.column + np.cumsum(np.cos(headings))
    _stamp(image, kind, rows, columns, thread.half_width)
    return rows, columns, headings


def _stamp(image: Labels, kind: int, rows: Points, columns: Points, half: float) -> None:
    """Writes ``kind`` within ``half`` pixels of every given point."""
    reach = int(half) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(y, x) <= half
    at_y = np.rint(rows)[:, None].astype(int) + y[disc]
    at_x = np.rint(columns)[:, None].astype(int) + x[disc]
    inside = (at_y >= 0) & (at_x >= 0) & (at_y < image.shape[0]) & (at_x < image.shape[1])
    image[at_y[inside], at_x[inside]] = kind
