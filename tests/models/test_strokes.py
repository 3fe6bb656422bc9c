"""How a hand draws: where its paths run, and what its strokes look like on thick and on thin objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from models import strokes
from models.encoding import NEGATIVE, POSITIVE, Frame, encode_prompts
from models.prompts import Scribble, all_inside
from models.strokes import (
    PATHS,
    Path,
    Points,
    Region,
    any_strokes,
    centreline_path,
    centreline_stroke,
    contour_path,
    depths,
    line_path,
    region_of,
)

Mask = NDArray[np.bool_]

seeds = st.integers(0, 2**32)
few = settings(max_examples=30, deadline=None)
shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))
pieces = shapes.flatmap(lambda shape: hnp.arrays(np.bool_, shape)).filter(np.any)
every_path = pytest.mark.parametrize("path", PATHS)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def ellipse(centre: tuple[int, int], radii: tuple[float, float], shape: tuple[int, int] = (128, 128)) -> Mask:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1)


DISC = ellipse((60, 64), (24, 24))
AT_THE_BORDER = ellipse((64, 0), (30, 22))
IN_THE_CORNER = ellipse((127, 127), (40, 30))
WIDE = ellipse((40, 60), (12, 50), (80, 128))
LONG = ellipse((64, 64), (20, 60))
FULL = np.ones((128, 128), np.bool_)
VESSEL = ellipse((64, 64), (1.2, 50))
PIXEL = ellipse((50, 90), (0.9, 0.9))


def drawn_by(
    path: Path, monkeypatch: pytest.MonkeyPatch, mask: Mask, count: int = 40
) -> list[list[Scribble]]:
    """What ``any_strokes`` draws on the mask along one kind of path only."""
    monkeypatch.setattr(strokes, "PATHS", (path,))
    return [any_strokes(rng(seed), region_of(mask, positive=True)) for seed in range(count)]


def ink(drawn: list[Scribble], shape: tuple[int, int], channel: int = POSITIVE) -> Mask:
    """The pixels of the image that are drawn on; the image's longer side is that of the model square."""
    return np.asarray(encode_prompts(drawn, Frame(*shape))[channel, : shape[0], : shape[1]] > 0.5)


def on(mask: Mask, drawn: list[Scribble]) -> float:
    painted = ink(drawn, mask.shape)
    return float((painted & mask).sum() / painted.sum())


def inside(region: Region, points: Points) -> Mask:
    """Which points lie within the pixels of the crop."""
    columns, rows = np.rint(points).astype(int).T
    return np.asarray(region.crop[rows, columns])


@few
@given(piece=pieces, positive=st.booleans())
def test_a_region_is_cropped_with_an_empty_margin_and_knows_where_it_was(piece: Mask, positive: bool) -> None:
    region = region_of(piece, positive=positive)
    whole = np.zeros(np.add(piece.shape, 2), np.bool_)
    rows, columns = region.crop.shape
    whole[region.row + 1 : region.row + 1 + rows, region.column + 1 : region.column + 1 + columns] = (
        region.crop
    )
    assert np.array_equal(whole[1:-1, 1:-1], piece)
    assert not np.concatenate([*region.crop[[0, -1]], *region.crop[:, [0, -1]].T]).any()
    assert region.positive is positive and region.shape == piece.shape


def test_the_depth_counts_from_the_objects_border_and_not_from_the_images() -> None:
    region = region_of(np.pad(np.ones((9, 4), np.bool_), ((5, 6), (0, 16))), positive=True)
    assert list(depths(region)[5, 1:6]) == [4, 3, 2, 1, 0]
    everything = region_of(np.ones((5, 5), np.bool_), positive=True)
    assert depths(everything)[3, 3] == depths(everything).max() == 3


@every_path
@few
@given(piece=pieces, seed=seeds)
def test_a_path_stays_within_a_pixel_of_any_region_and_has_no_leaps(
    path: Path, piece: Mask, seed: int
) -> None:
    region = region_of(piece, positive=True)
    points = path(rng(seed), region)
    assert points.shape[0] >= 1 and points.shape[1] == 2
    away = np.abs(points[:, None, ::-1] - np.argwhere(region.crop)).max(2).min(1)
    assert away.max() <= 1
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max(initial=0) < 2


@pytest.mark.parametrize("path", [line_path, centreline_path])
@few
@given(piece=pieces, seed=seeds)
def test_lines_and_centrelines_never_leave_the_region(path: Path, piece: Mask, seed: int) -> None:
    region = region_of(piece, positive=True)
    assert inside(region, path(rng(seed), region)).all()


def test_a_line_is_straight_a_centreline_is_central_a_contour_keeps_its_distance() -> None:
    bar = region_of(ellipse((64, 64), (10, 50)), positive=True)
    depth = depths(bar)
    for seed in range(15):
        line, centre, contour = (path(rng(seed), bar) for path in (line_path, centreline_path, contour_path))
        if len(line) > 2:
            assert np.linalg.svd(line - line.mean(0), compute_uv=False)[1] < 1e-6 * len(line)
        assert np.abs(centre[:, 1] - bar.crop.shape[0] // 2).max() <= 2 and len(centre) > 50
        at = ndimage.map_coordinates(depth, contour.T[::-1], order=1)
        assert np.ptp(at) < 1 and at.min() > 0


def test_contours_run_at_all_distances_from_near_the_border_to_the_middle() -> None:
    region = region_of(DISC, positive=True)
    levels = [
        float(
            np.median(
                ndimage.map_coordinates(depths(region), contour_path(rng(seed), region).T[::-1], order=1)
            )
        )
        for seed in range(60)
    ]
    assert min(levels) < 6 and max(levels) > 18


@pytest.mark.parametrize("positive", [True, False])
@few
@given(piece=pieces, seed=seeds)
def test_strokes_carry_their_sign_and_stay_in_an_image_of_any_shape(
    positive: bool, piece: Mask, seed: int
) -> None:
    region = region_of(piece, positive=positive)
    drawn = [*any_strokes(rng(seed), region), centreline_stroke(rng(seed), region)]
    assert len(drawn) >= 2
    assert all(stroke.positive is positive and stroke.width > 0 for stroke in drawn)
    assert all(len(stroke.points) >= 2 for stroke in drawn)
    assert all_inside(drawn, height=piece.shape[0], width=piece.shape[1])


@every_path
@pytest.mark.parametrize(
    "mask",
    [DISC, AT_THE_BORDER, IN_THE_CORNER, WIDE, FULL],
    ids=["disc", "at the border", "in the corner", "not square", "full"],
)
def test_most_ink_lies_on_a_thick_object_and_only_a_part_of_it_is_covered(
    path: Path, mask: Mask, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = drawn_by(path, monkeypatch, mask)
    assert np.median([on(mask, strokes) for strokes in drawn]) > 0.95
    assert min(on(mask, strokes) for strokes in drawn) > 0.6
    covered = [(ink(strokes, mask.shape) & mask).sum() / mask.sum() for strokes in drawn]
    assert 0 < np.median(covered) < 0.4


@every_path
def test_ink_runs_over_the_borders_of_a_thin_object(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [on(VESSEL, drawn) for drawn in drawn_by(path, monkeypatch, VESSEL)]
    assert 0.4 < np.median(shares) < 0.95


@every_path
def test_a_pixel_gets_a_dot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn in drawn_by(path, monkeypatch, PIXEL):
        (dot,) = drawn
        assert np.hypot(*(np.array(dot.points) - (90.5, 50.5)).T).max() < 1.5
        assert ink(drawn, PIXEL.shape)[PIXEL].all()


@every_path
def test_some_paths_are_drawn_in_pieces_with_one_pen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = drawn_by(path, monkeypatch, LONG, 80)
    broken = [strokes for strokes in drawn if len(strokes) > 1]
    assert 0 < len(broken) / len(drawn) < 0.4
    assert len({strokes[0].width for strokes in broken}) > 1
    assert all(len({stroke.width for stroke in strokes}) == 1 for strokes in broken)


def test_a_hand_wobbles_about_its_path_and_reaches_past_its_ends() -> None:
    bar = ellipse((64, 64), (1.2, 30))
    ends, away = [], []
    for seed in range(60):
        x, y = np.array(centreline_stroke(rng(seed), region_of(bar, positive=True)).points).T
        ends += [x.min() < 34, x.max() > 94]
        away.append(np.abs(y - 64.5).max())
    assert 0 < np.mean(ends) < 0.5
    assert 0.1 < np.median(away) < 2


def test_the_pen_of_training_is_of_many_widths_that_grow_with_the_image() -> None:
    def widths(side: int) -> list[float]:
        region = region_of(ellipse((side // 2, side // 2), (side / 5, side / 5), (side, side)), positive=True)
        return [any_strokes(rng(seed), region)[0].width for seed in range(30)]

    assert min(widths(128)) >= 1.5 and max(widths(128)) <= 4.5 and np.ptp(widths(128)) > 2
    assert np.mean(widths(384)) == pytest.approx(3 * np.mean(widths(128)), rel=0.2)


def test_negative_strokes_paint_the_negative_channel_alone() -> None:
    drawn = any_strokes(rng(0), region_of(DISC, positive=False))
    assert ink(drawn, DISC.shape, NEGATIVE).any() and not ink(drawn, DISC.shape).any()
