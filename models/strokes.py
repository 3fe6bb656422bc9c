"""How a hand draws: paths through a region of a mask, made into strokes of a pen.

Regions are cropped to their object, paths are (P, 2) pixel indices (x, y) about one pixel apart, and strokes
are in image pixels (see models.prompts). The three kinds of path are those of ScribblePrompt's simulator
(Wong et al., ECCV 2024); pen width, wobble and overshoot follow what people drew in its MedScribble (strokes
about 3 px thick at 128², mostly on the object, over its borders where it is thin).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from models.noise import smooth_curves
from models.prompts import Scribble

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Rng = np.random.Generator

SKELETON: Callable[[Mask], Mask] = skeletonize
CONTOURS: Callable[[Points, float], list[Points]] = find_contours
LINES = 4


class Region(NamedTuple):
    """One piece of a mask of ``shape``, cropped with a margin of one empty pixel on every side."""

    crop: Mask
    row: int
    column: int
    positive: bool
    shape: tuple[int, int]

    @property
    def pen(self) -> float:
        """Image pixels per pixel of a 128² image: what hands are measured in."""
        return max(self.shape) / 128


def region_of(piece: Mask, *, positive: bool) -> Region:
    """The region of a mask's True pixels, of which there must be some."""
    rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
    top, left = int(rows[0]), int(columns[0])
    crop = piece[top : rows[-1] + 1, left : columns[-1] + 1]
    return Region(np.pad(crop, 1), top - 1, left - 1, positive, (piece.shape[0], piece.shape[1]))


def depths(region: Region) -> Points:
    """Distance of every pixel of the crop to the region's outside; the image may go on past its border."""
    crop = region.crop.copy()
    height, width = region.shape
    if region.row < 0:
        crop[0] = crop[1]
    if region.row + len(crop) > height:
        crop[-1] = crop[-2]
    if region.column < 0:
        crop[:, 0] = crop[:, 1]
    if region.column + crop.shape[1] > width:
        crop[:, -1] = crop[:, -2]
    return np.asarray(ndimage.distance_transform_edt(region.crop if crop.all() else crop))


def line_path(rng: Rng, region: Region) -> Points:
    """A straight line between two pixels of the region as far as it stays inside: the longest of a few."""
    pixels = np.argwhere(region.crop)
    paths = []
    for start, end in pixels[rng.integers(len(pixels), size=(LINES, 2))].astype(np.float64):
        path = np.linspace(start, end, int(np.abs(end - start).max()) + 1)
        rows, columns = np.rint(path).astype(int).T
        paths.append(path[_longest_run(region.crop[rows, columns]), ::-1])
    return max(paths, key=len)


def centreline_path(rng: Rng, region: Region) -> Points:
    """A longest path along the region's skeleton."""
    return _longest_path(rng, _skeleton(region))


def contour_path(rng: Rng, region: Region) -> Points:
    """A line at one distance inside the region's border, from just off the border to its middle."""
    depth = depths(region)
    deepest = float(depth.max())
    level = rng.uniform(min(0.5 * deepest, 2 * region.pen), 0.95 * deepest)
    lines = CONTOURS(depth, level)
    weights = np.array([len(line) for line in lines], np.float64)
    line = lines[int(rng.choice(len(lines), p=weights / weights.sum()))][:, ::-1]
    if len(line) > 2 and np.array_equal(line[0], line[-1]):
        line = np.roll(line[:-1], int(rng.integers(len(line) - 1)), axis=0)
    return _evenly(line)


Path = Callable[[Rng, Region], Points]
PATHS: tuple[Path, ...] = (line_path, centreline_path, contour_path)


def centreline_stroke(rng: Rng, region: Region) -> Scribble:
    """One careful stroke along a long part of the region's skeleton."""
    skeleton = _skeleton(region)
    path = _longest_path(rng, skeleton)
    points = _by_hand(rng, _part(rng, path, max(region.shape)), region.pen, wobble=0.5)
    # On thin structures people draw thinner than their pen: at most about 1.5 times the structure.
    thickness = np.count_nonzero(region.crop) / np.count_nonzero(skeleton)
    width = min(rng.uniform(2, 4.5) * region.pen, max(1.5, 1.5 * thickness))
    return _inked(region, points, width)


def any_strokes(rng: Rng, region: Region) -> list[Scribble]:
    """Strokes of one kind, drawn uniformly: a part of a path, or the path with gaps; never empty.

    The pen may be wider than a thin structure, the hand less steady in a thick one.
    """
    path = PATHS[int(rng.integers(len(PATHS)))](rng, region)
    parts = _broken(rng, path, region.pen) if rng.random() < 0.3 else [_part(rng, path, max(region.shape))]
    thickness = np.count_nonzero(region.crop) / max(len(path), 1)
    wobble = float(np.clip(thickness / (8 * region.pen), 0.3, 2.5))
    width = max(1.0, rng.uniform(1.5, 4.5) * region.pen)
    return [_inked(region, _by_hand(rng, part, region.pen, wobble=wobble), width) for part in parts]


def _skeleton(region: Region) -> Mask:
    skeleton = SKELETON(region.crop)
    return skeleton if skeleton.any() else region.crop


def _longest_path(rng: Rng, skeleton: Mask) -> Points:
    """Pixels (x, y) along a longest shortest path of the skeleton, by two breadth-first searches."""
    rows, columns = np.nonzero(skeleton)
    number = np.full(skeleton.shape, -1)
    number[rows, columns] = np.arange(rows.size)
    starts, ends = [], []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        # The region's empty margin keeps these neighbours inside the array.
        neighbour = number[rows + down, columns + right]
        starts.append(np.flatnonzero(neighbour >= 0))
        ends.append(neighbour[neighbour >= 0])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = sparse.coo_array((np.ones(start.size), (start, end)), (rows.size, rows.size)).tocsr()
    order, _ = csgraph.breadth_first_order(graph, int(rng.integers(rows.size)), directed=False)
    order, before = csgraph.breadth_first_order(graph, int(order[-1]), directed=False)
    path = [int(order[-1])]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.stack([columns[path], rows[path]], axis=1).astype(np.float64)


def _longest_run(inside: Mask) -> slice:
    """Where the longest run of True lies; there must be one."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]])))
    starts, stops = changes[::2], changes[1::2]
    longest = int(np.argmax(stops - starts))
    return slice(int(starts[longest]), int(stops[longest]))


def _evenly(line: Points) -> Points:
    """The same line with points about one pixel apart."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, along[-1], int(along[-1]) + 1)
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def _part(rng: Rng, path: Points, side: int) -> Points:
    """A random long part: people rarely trace all of a structure (ScribblePrompt's break-up)."""
    if len(path) < side / 12:
        return path
    length = max(1, int(min(len(path) * rng.uniform(0.5, 1), rng.uniform(0.3, 0.9) * side)))
    start = int(rng.integers(len(path) - length + 1))
    return path[start : start + length]


def _broken(rng: Rng, path: Points, pen: float) -> list[Points]:
    """The path where smooth noise is positive: about half of it, in pieces; all of it if that is nothing."""
    keep = smooth_curves(rng, 1, len(path), rng.uniform(4, 16) * pen)[0] > 0
    changes = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]])))
    pieces = [path[a:b] for a, b in zip(changes[::2], changes[1::2], strict=True) if b - a > 4 * pen]
    return pieces or [path]


def _by_hand(rng: Rng, path: Points, pen: float, *, wobble: float) -> Points:
    """The path as a hand draws it: few points, off by up to ``wobble`` pens, ends a little too far."""
    step = max(1, round(2 * pen))
    points = path[np.unique(np.append(np.arange(0, len(path), step), len(path) - 1))]
    if len(points) == 1:
        # A dot is drawn as a very short stroke.
        return np.asarray(points + np.outer([-0.25, 0.25], _unit(rng.standard_normal(2))))
    off = smooth_curves(rng, 2, len(points), 4).T * rng.uniform(0, wobble) * pen
    first, last = _unit(points[0] - points[1]), _unit(points[-1] - points[-2])
    points = points + off
    reach = rng.uniform(0, 1.5, 2) * pen * min(1, len(path) / (8 * pen))
    return np.vstack([points[0] + reach[0] * first, points, points[-1] + reach[1] * last])


def _inked(region: Region, points: Points, width: float) -> Scribble:
    """Points of the crop as a stroke on the image, kept inside it."""
    height, across = region.shape
    placed = np.clip(points + np.array([region.column + 0.5, region.row + 0.5]), 0, [across, height])
    drawn = tuple((float(x), float(y)) for x, y in placed)
    return Scribble(points=drawn, width=float(width), positive=region.positive)


def _unit(vector: Points) -> Points:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
