"""Synthetic tasks: usable masks, plausible images, every family, and a demo that never changes."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from models import synthetic
from models.anatomies import Anatomy
from models.synthetic import FAMILIES, FEWEST, MOST, Family, demo_task, sample_family, sample_task

SIDE, COUNT, TASKS = 64, 4, 12
by_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.strip("_"))

Task = tuple[NDArray[np.float32], NDArray[np.bool_]]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def tasks() -> dict[Family, list[Task]]:
    """A dozen tasks of every family."""
    return {f: [sample_family(rng(s), f, COUNT, SIDE) for s in range(TASKS)] for f in FAMILIES}


@by_family
def test_images_lie_between_0_and_1_and_have_contrast(
    tasks: dict[Family, list[Task]], family: Family
) -> None:
    for images, masks in tasks[family]:
        assert images.shape == masks.shape == (COUNT, SIDE, SIDE)
        assert images.dtype == np.float32 and masks.dtype == np.bool_
        assert images.min() >= 0 and images.max() <= 1  # also refuses NaN
        assert (images.std((1, 2)) > 0.02).all()


@by_family
def test_the_first_mask_is_never_empty_and_most_shares_are_usable(
    tasks: dict[Family, list[Task]], family: Family
) -> None:
    shares = np.array([masks.mean((1, 2)) for _, masks in tasks[family]])
    assert (shares[:, 0] >= FEWEST).all() and (shares[:, 0] <= MOST).all()
    assert ((shares >= FEWEST) & (shares <= MOST)).mean() > 0.85


@by_family
def test_the_subjects_of_a_task_differ(tasks: dict[Family, list[Task]], family: Family) -> None:
    for images, masks in tasks[family]:
        assert (images[0] != images[1]).any() and (masks[0] != masks[1]).any()


@by_family
def test_the_mask_shows_in_its_image(tasks: dict[Family, list[Task]], family: Family) -> None:
    """In most tasks the first mask fits its own image better than the same mask upside down."""

    def fit(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
        return abs(float(np.corrcoef(image.ravel(), mask.ravel())[0, 1]))

    better = [fit(i[0], m[0]) > fit(i[0], m[0, ::-1, ::-1]) for i, m in tasks[family]]
    assert np.mean(better) >= 0.6


@by_family
def test_the_mask_stands_out_from_its_surroundings(tasks: dict[Family, list[Task]], family: Family) -> None:
    """In most tasks brightness or roughness tells the first mask from the pixels around it."""
    told = [separation(images[0], masks[0]) for images, masks in tasks[family]]
    assert np.median(told) > 0.8
    assert np.mean(np.array(told) > 0.65) > 0.8


def separation(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of the best cue, 0.5 to 1, within five pixels of the mask."""
    smooth = ndimage.gaussian_filter(image, 1)
    rough = ndimage.gaussian_filter(np.square(image - smooth), 1.5)
    near = mask | ndimage.binary_dilation(mask, iterations=5)
    inside = mask[near]
    cues = [roc_area(cue[near], inside) for cue in (image, smooth, rough)]
    return max(max(area, 1 - area) for area in cues)


def roc_area(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """The chance that a pixel inside ranks above one outside (Mann-Whitney)."""
    ranks = stats.rankdata(values)
    positives, negatives = np.count_nonzero(inside), np.count_nonzero(~inside)
    return float(ranks[inside].sum() / positives - (positives + 1) / 2) / negatives


def test_every_family_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Family] = []

    def noted(_: np.random.Generator, family: Family, count: int, side: int, **_absent: object) -> Task:
        drawn.append(family)
        return np.zeros((count, side, side), np.float32), np.zeros((count, side, side), np.bool_)

    monkeypatch.setattr(synthetic, "sample_family", noted)
    generator = rng(0)
    for _ in range(300):
        sample_task(generator, 1, 4)
    assert set(drawn) == set(FAMILIES)
    assert drawn.count(FAMILIES[3]) > drawn.count(FAMILIES[5])  # cells matter more than fibres


@pytest.mark.parametrize("share", [0, 1], ids=["nothing", "everything"])
def test_a_family_that_only_makes_degenerate_tasks_is_replaced(share: int) -> None:
    calls = []

    def degenerate(_: np.random.Generator, count: int, side: int) -> Anatomy:
        calls.append(count)
        labels = np.full((count, side, side), share, np.uint8)
        return labels, labels == 1

    images, masks = sample_family(rng(0), degenerate, 3, SIDE)
    assert len(calls) > 1
    assert masks[0].any() and not masks.all((1, 2)).any()
    assert images.shape == masks.shape == (3, SIDE, SIDE)


def test_the_first_image_of_the_context_shows_what_is_taken_away_from_the_query() -> None:
    for seed in range(20):
        absent = np.array([True, False])
        _, masks = sample_family(rng(seed), FAMILIES[0], 2, SIDE, absent=absent)  # now and then one is empty
        assert masks.any((1, 2)).tolist() == [False, True]


def test_an_object_is_taken_away_and_what_surrounds_it_closes() -> None:
    def ringed(_: np.random.Generator, count: int, side: int) -> Anatomy:
        labels = np.full((count, side, side), 3, np.uint8)
        labels[:, 10:40, 10:40] = 1
        labels[:, 20:30, 20:30] = 2
        return labels, labels == 2

    absent = np.array([True, False, True])
    images, masks = sample_family(rng(0), ringed, 3, SIDE, artefacts=False, absent=absent)
    assert masks.any((1, 2)).tolist() == [False, True, False]
    place = slice(22, 28)
    ring, outside = images[:, 12:18, 12:38].mean((1, 2)), images[:, 45:, 45:].mean((1, 2))
    closed = abs(images[:, place, place].mean((1, 2)) - ring) < 0.5 * abs(ring - outside)
    assert closed.tolist() == [True, False, True]


@pytest.mark.parametrize(("count", "side"), [(1, 128), (17, 32), (2, 200)])
def test_tasks_have_the_size_that_was_asked_for(count: int, side: int) -> None:
    images, masks = sample_task(rng(1), count, side)
    assert images.shape == masks.shape == (count, side, side)


def test_a_task_is_repeated_by_its_seed_and_by_no_other() -> None:
    first, again, other = (
        sample_task(rng(3), 2, SIDE),
        sample_task(rng(3), 2, SIDE),
        sample_task(rng(4), 2, SIDE),
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_the_demo_is_the_same_at_every_call() -> None:
    images, masks = demo_task(5)
    sample_task(rng(9), 2)  # nothing that happens in between may matter
    images_again, masks_again = demo_task(5)
    np.testing.assert_array_equal(images, images_again)
    np.testing.assert_array_equal(masks, masks_again)


def test_the_demo_shows_cells_on_every_image() -> None:
    images, masks = demo_task(6)
    assert images.shape == masks.shape == (6, 256, 256)
    assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
    assert (masks.mean((1, 2)) > 0.01).all() and (masks.mean((1, 2)) < 0.6).all()
    inside, outside = images[masks], images[~masks]
    assert abs(inside.mean() - outside.mean()) > 0.5 * images.std()  # plain to see
