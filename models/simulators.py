"""The simulated annotator: clicks, strokes and boxes drawn from truth and prediction.

Masks are boolean (H, W) of any size; prompts are in image pixels (see models.prompts). Methods follow
ScribblePrompt's interaction simulation (Wong et al., ECCV 2024). There are two annotators: the one of the
evaluation protocol, who corrects the largest error by a centre click or a centreline stroke
(``first_prompts``, ``first_correction``, ``correction``), and the one of training, who does whatever people
do (``any_first``, ``any_correction``).
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import ndimage

from models.pieces import EIGHT_CONNECTED
from models.prompts import Box, Click, Prompt, Scribble
from models.strokes import Mask, Region, Rng, any_strokes, centreline_stroke, depths, region_of

PromptKind = Literal["click", "scribble", "box"]

SLACK = 0.08


# ---- the evaluation protocol


def centre_click(rng: Rng, truth: Mask, prediction: Mask) -> Click | None:
    """A click in the middle of the largest error component; None where there is no error.

    False positives and false negatives are separate components of one list; the middle is a pixel of
    maximal distance to the component's outside (the image border counts as outside), ties at random.
    """
    region = _largest_error(truth, prediction)
    return None if region is None else centre_of(rng, region)


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
    return None if region is None else centreline_stroke(rng, region)


def jittered_box(rng: Rng, truth: Mask, slack: float = SLACK) -> Box | None:
    """A box around the foreground, each side pushed out by 0 to ``slack`` times the box's extent along it.

    Always encloses every foreground pixel, never leaves the image; None for an empty mask.
    """
    if not truth.any():
        return None
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    left, right = rng.uniform(0, slack, 2) * (x1 - x0)
    top, bottom = rng.uniform(0, slack, 2) * (y1 - y0)
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


def first_correction(rng: Rng, kind: PromptKind, truth: Mask, prediction: Mask) -> list[Prompt]:
    """The first step on an image whose mask is predicted already, [] when that is right.

    Of strokes there are two, as there are on an untouched image: on the largest piece that is missed, or
    else on the object; and on the largest that is too much, or else near the object.
    """
    if kind != "scribble" or np.array_equal(truth, prediction):
        return correction(rng, kind, truth, prediction)
    missed = centreline_scribble(rng, truth, truth & prediction)
    extra = centreline_scribble(rng, truth, truth | prediction)
    strokes = [
        missed or centreline_scribble(rng, truth, np.zeros_like(truth)),
        extra or _background_stroke(rng, truth),
    ]
    return [stroke for stroke in strokes if stroke is not None]


def next_prompts(
    rng: Rng, kind: PromptKind, truth: Mask, prediction: Mask | None, *, first: bool = False
) -> list[Prompt]:
    """The annotator's next step: first prompts while nothing is predicted, corrections from then on.

    ``first`` is whether nothing has been drawn on the image yet; a prediction may be there all the same.
    [] means that the prediction equals the truth and the annotator is done.
    """
    if prediction is None:
        return first_prompts(rng, kind, truth)
    return (first_correction if first else correction)(rng, kind, truth, prediction)


# ---- training


def anywhere_in(rng: Rng, region: Region) -> Click:
    """A click on a uniformly drawn pixel of the region."""
    return _click_on(rng, region, region.crop)


def centre_of(rng: Rng, region: Region) -> Click:
    """A click on a deepest pixel of the region, where the image border counts as outside."""
    distance = ndimage.distance_transform_edt(region.crop)
    return _click_on(rng, region, distance == distance.max())


def near_border_of(rng: Rng, region: Region) -> Click:
    """A click at a random small distance inside the region's border; the image border is none."""
    depth = depths(region) * region.crop
    least = rng.uniform(0, min(float(depth.max()), rng.uniform(2, 12) * region.pen))
    return _click_on(rng, region, (depth > least) & (depth <= least + 1))


Clicker = Callable[[Rng, Region], Click]
CLICKERS: tuple[Clicker, ...] = (anywhere_in, centre_of, near_border_of)
# The middle of the background is no place that says anything about the object.
AROUND: tuple[Clicker, ...] = (anywhere_in, near_border_of)
COMBINATIONS: tuple[tuple[PromptKind, ...], ...] = (
    ("click",),
    ("scribble",),
    ("box",),
    ("box", "click"),
    ("box", "scribble"),
    ("click", "scribble"),
    ("box", "click", "scribble"),
)


def any_first(rng: Rng, truth: Mask) -> list[Prompt]:
    """First prompts in any combination of kinds, 1 to 3 positive and 0 to 3 negative of each; never empty.

    Kinds, counts and generators are drawn uniformly, as ScribblePrompt and MultiverSeg train.
    """
    nothing = np.zeros_like(truth)
    given: list[Prompt] = []
    for kind in COMBINATIONS[int(rng.integers(len(COMBINATIONS)))]:
        box = jittered_box(rng, truth, float(rng.choice([0.03, SLACK, 0.2]))) if kind == "box" else None
        given += [box] if box else []
        for _ in range(int(rng.integers(1, 4)) if kind != "box" and truth.any() else 0):
            given += _any_prompts(rng, kind, _some_error(rng, truth, nothing), CLICKERS)
        for _ in range(int(rng.integers(0, 4)) if kind != "box" and not truth.all() else 0):
            around = _surroundings(rng, truth) if kind == "scribble" else ~truth
            given += _any_prompts(rng, kind, _some_error(rng, nothing, around), AROUND)
    return given or first_prompts(rng, "click", truth)


def any_correction(rng: Rng, truth: Mask, prediction: Mask) -> list[Prompt]:
    """One scribble or 1 to 3 clicks on errors drawn by their area; [] when there is none."""
    if np.array_equal(truth, prediction):
        return []
    kind: PromptKind = "scribble" if rng.random() < 0.5 else "click"
    given: list[Prompt] = []
    for _ in range(1 if kind == "scribble" else int(rng.integers(1, 4))):
        given += _any_prompts(rng, kind, _some_error(rng, truth, prediction), CLICKERS)
    return given


def _any_prompts(
    rng: Rng, kind: PromptKind, region: Region, clickers: tuple[Clicker, ...]
) -> list[Click] | list[Scribble]:
    if kind == "scribble":
        return any_strokes(rng, region)
    return [clickers[int(rng.integers(len(clickers)))](rng, region)]


# ---- regions


def _some_error(rng: Rng, truth: Mask, prediction: Mask) -> Region:
    """A component of the error, drawn by its area; there must be an error."""
    wrong = np.flatnonzero(truth != prediction)
    row, column = divmod(int(rng.choice(wrong)), truth.shape[1])
    positive = bool(truth[row, column])
    pieces, _ = ndimage.label((truth != prediction) & (truth == positive), EIGHT_CONNECTED)
    return region_of(pieces == pieces[row, column], positive=positive)


def _largest_error(truth: Mask, prediction: Mask) -> Region | None:
    """The largest 8-connected component over false negatives and false positives."""
    missed, extra = _largest_piece(truth & ~prediction), _largest_piece(prediction & ~truth)
    if missed is None and extra is None:
        return None
    if extra is None or (missed is not None and missed[1] >= extra[1]):
        assert missed is not None
        return region_of(missed[0], positive=True)
    return region_of(extra[0], positive=False)


def _background_stroke(rng: Rng, truth: Mask) -> Scribble | None:
    """A negative stroke off the object; None when nothing is off it."""
    piece = None if truth.all() else _largest_piece(_surroundings(rng, truth))
    return None if piece is None else centreline_stroke(rng, region_of(piece[0], positive=False))


def _largest_piece(mask: Mask) -> tuple[Mask, int] | None:
    """The largest 8-connected component as a mask of the same shape, and its area."""
    pieces, count = ndimage.label(mask, EIGHT_CONNECTED)
    if not count:
        return None
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    return pieces == largest, int(areas[largest])


def _surroundings(rng: Rng, truth: Mask) -> Mask:
    """Where people draw negative strokes: usually along the object, else anywhere off it."""
    side = max(truth.shape)
    if truth.any() and rng.random() < 0.7:
        gap = ndimage.distance_transform_edt(~truth)
        band = (gap > rng.uniform(1, 4) * side / 128) & (gap < rng.uniform(6, 16) * side / 128)
        if band.any():
            return np.asarray(band)
    return ~truth


def _click_on(rng: Rng, region: Region, where: Mask) -> Click:
    """A click on one of the pixels of the crop that are True."""
    row, column = divmod(int(rng.choice(np.flatnonzero(where))), where.shape[1])
    return _click_at(region.row + row, region.column + column, region.positive)


def _click_at(row: int, column: int, positive: bool) -> Click:
    return Click(x=column + 0.5, y=row + 0.5, positive=positive)
