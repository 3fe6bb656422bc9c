"""The simulated annotator: clicks, centreline scribbles and boxes drawn from truth and prediction.

Masks are boolean (H, W) of any size; prompts are in image pixels (see models.prompts). Methods follow
ScribblePrompt's interaction simulation (Wong et al., ECCV 2024) as its evaluation uses them; pen width,
wobble and overshoot follow what people drew in MedScribble (about 3 px at 128², mostly on the object).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from skimage.morphology import skeletonize

from models.noise import smooth_curves
from models.prompts import Box, Click, Prompt, Scribble

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Rng = np.random.Generator
PromptKind = Literal["click", "scribble", "box"]

EIGHT_CONNECTED = np.ones((3, 3), bool)
SKELETON: Callable[[Mask], Mask] = skeletonize


class Region(NamedTuple):
    """One connected piece of a mask, cropped with a margin of one empty pixel on every side."""

    crop: Mask
    row: int
    column: int
    positive: bool


def centre_click(rng: Rng, truth: Mask, prediction: Mask) -> Click | None:
    """A click in the middle of the largest error component; None where there is no error.

    False positives and false negatives are separate components of one list; the middle is a pixel of
    maximal distance to the component's outside (the image border counts as outside), ties at random.
    """
    region = _largest_error(truth, prediction)
    if region is None:
        return None
    distance = ndimage.distance_transform_edt(region.crop)
    deepest = np.flatnonzero(distance == distance.max())
    row, column = np.unravel_index(int(rng.choice(deepest)), distance.shape)
    return _click_at(region.row + int(row), region.column + int(column), region.positive)


def random_click(rng: Rng, truth: Mask, prediction: Mask) -> Click | None:
    """A click on a uniformly drawn pixel of the error; None where there is no error."""
    wrong = np.flatnonzero(truth != prediction)
    if not wrong.size:
        return None
    row, column = divmod(int(rng.choice(wrong)), truth.shape[1])
    return _click_at(row, column, bool(truth[row, column]))


def centreline_scribble(rng: Rng, truth: Mask, prediction: Mask) -> Scribble | None:
    """One human-like stroke along the skeleton of the largest error component; None without error."""
    region = _largest_error(truth, prediction)
    return None if region is None else _stroke(rng, region, truth.shape)


def jittered_box(rng: Rng, truth: Mask) -> Box | None:
    """A box around the foreground, each side pushed out by 0 to 8 % of the box's extent along it.

    Always encloses every foreground pixel, never leaves the image; None for an empty mask.
    """
    if not truth.any():
        return None
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    left, right = rng.uniform(0, 0.08, 2) * (x1 - x0)
    top, bottom = rng.uniform(0, 0.08, 2) * (y1 - y0)
    height, width = truth.shape
    return Box(
        x0=max(0.0, x0 - left),
        y0=max(0.0, y0 - top),
        x1=min(float(width), x1 + right),
        y1=min(float(height), y1 + bottom),
    )


def first_prompts(rng: Rng, kind: PromptKind, truth: Mask) -> list[Prompt]:
    """What an annotator draws on an untouched image; never empty.

    "click": one positive centre click. "box": one box. "scribble": one positive stroke and one
    negative stroke near the object. For an empty mask there is only a negative click or stroke.
    """
    nothing = np.zeros_like(truth)
    if kind == "scribble":
        strokes = [centreline_scribble(rng, truth, nothing), _background_stroke(rng, truth)]
        return [stroke for stroke in strokes if stroke is not None]
    if not truth.any():
        click = random_click(rng, truth, ~nothing)
        return [click] if click is not None else []
    prompt = jittered_box(rng, truth) if kind == "box" else centre_click(rng, truth, nothing)
    return [prompt] if prompt is not None else []


def correction(rng: Rng, kind: PromptKind, truth: Mask, prediction: Mask) -> list[Prompt]:
    """One corrective prompt on the largest error, [] when there is none; "box" corrects by clicks."""
    draw = centreline_scribble if kind == "scribble" else centre_click
    prompt = draw(rng, truth, prediction)
    return [prompt] if prompt is not None else []


def next_prompts(rng: Rng, kind: PromptKind, truth: Mask, prediction: Mask | None) -> list[Prompt]:
    """The annotator's next step: first prompts while nothing is predicted, corrections from then on.

    [] means that the prediction equals the truth and the annotator is done.
    """
    if prediction is None:
        return first_prompts(rng, kind, truth)
    return correction(rng, kind, truth, prediction)


def _click_at(row: int, column: int, positive: bool) -> Click:
    return Click(x=column + 0.5, y=row + 0.5, positive=positive)


def _largest_error(truth: Mask, prediction: Mask) -> Region | None:
    """The largest 8-connected component over false negatives and false positives."""
    missed, extra = _largest_piece(truth & ~prediction), _largest_piece(prediction & ~truth)
    if missed is None and extra is None:
        return None
    if extra is None or (missed is not None and missed[1] >= extra[1]):
        assert missed is not None
        return _region(missed[0], positive=True)
    return _region(extra[0], positive=False)


def _largest_piece(mask: Mask) -> tuple[Mask, int] | None:
    """The largest 8-connected component as a mask of the same shape, and its area."""
    pieces, count = ndimage.label(mask, EIGHT_CONNECTED)
    if not count:
        return None
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    return pieces == largest, int(areas[largest])


def _region(piece: Mask, *, positive: bool) -> Region:
    rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
    crop = piece[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(np.pad(crop, 1), int(rows[0]) - 1, int(columns[0]) - 1, positive)


def _background_stroke(rng: Rng, truth: Mask) -> Scribble | None:
    """A negative stroke in the background, usually along the object; None when there is none."""
    if truth.all():
        return None
    side = max(truth.shape)
    near = ~truth
    if truth.any() and rng.random() < 0.7:
        gap = ndimage.distance_transform_edt(~truth)
        band = (gap > rng.uniform(1, 4) * side / 128) & (gap < rng.uniform(6, 16) * side / 128)
        near = band if band.any() else near
    piece = _largest_piece(near)
    return None if piece is None else _stroke(rng, _region(piece[0], positive=False), truth.shape)


def _stroke(rng: Rng, region: Region, shape: tuple[int, ...]) -> Scribble:
    """A hand-drawn stroke along a long part of the region's skeleton, in image coordinates."""
    height, width = shape[0], shape[1]
    pen = max(height, width) / 128
    skeleton = SKELETON(region.crop)
    if not skeleton.any():
        skeleton = region.crop
    path = _longest_path(rng, skeleton)
    points = _by_hand(rng, _part(rng, path, max(height, width)), pen)
    points += np.array([region.column + 0.5, region.row + 0.5])
    points = np.clip(points, 0, [width, height])
    # On thin structures people draw thinner than their pen: at most about 1.5 times the structure.
    thickness = np.count_nonzero(region.crop) / np.count_nonzero(skeleton)
    width_drawn = min(rng.uniform(2, 4.5) * pen, max(1.5, 1.5 * thickness))
    return Scribble(
        points=tuple((float(x), float(y)) for x, y in points),
        width=float(width_drawn),
        positive=region.positive,
    )


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


def _part(rng: Rng, path: Points, side: int) -> Points:
    """A random long part: people rarely trace all of a structure (ScribblePrompt's break-up)."""
    if len(path) < side / 12:
        return path
    length = max(1, int(min(len(path) * rng.uniform(0.5, 1), rng.uniform(0.3, 0.9) * side)))
    start = int(rng.integers(len(path) - length + 1))
    return path[start : start + length]


def _by_hand(rng: Rng, path: Points, pen: float) -> Points:
    """The path as a hand draws it: few points, a smooth wobble, ends a little too far."""
    step = max(1, round(2 * pen))
    points = path[np.unique(np.append(np.arange(0, len(path), step), len(path) - 1))]
    if len(points) == 1:
        # A dot is drawn as a very short stroke.
        return np.asarray(points + np.outer([-0.25, 0.25], _unit(rng.standard_normal(2))))
    wobble = smooth_curves(rng, 2, len(points), 4).T * rng.uniform(0, 0.5) * pen
    first, last = _unit(points[0] - points[1]), _unit(points[-1] - points[-2])
    points = points + wobble
    reach = rng.uniform(0, 1.5, 2) * pen * min(1, len(path) / (8 * pen))
    return np.vstack([points[0] + reach[0] * first, points, points[-1] + reach[1] * last])


def _unit(vector: Points) -> Points:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
