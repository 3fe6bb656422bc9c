"""Augmentation: images and masks change together, and no mask is lost."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from models.augment import SMALLEST_SHARE, _on_objects, augment_images, augment_task

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Augment = Callable[[np.random.Generator, Images, Masks], tuple[Images, Masks]]

SIDE = 64
seeds = st.integers(0, 2**32)
both = pytest.mark.parametrize("augment", [augment_task, augment_images])
few = settings(max_examples=40, deadline=None)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def hooks(count: int = 3) -> Masks:
    """Objects without any symmetry, off the centre."""
    masks = np.zeros((count, SIDE, SIDE), np.bool_)
    masks[:, 12:48, 14:26] = True
    masks[:, 36:48, 14:50] = True
    return masks


def as_images(masks: Masks, dark: float = 0.3, bright: float = 0.7) -> Images:
    return np.where(masks, np.float32(bright), np.float32(dark)).astype(np.float32)


@both
@few
@given(seed=seeds, side=st.integers(8, 40), count=st.integers(1, 4))
def test_images_stay_between_0_and_1_and_nothing_changes_its_type(
    augment: Augment, seed: int, side: int, count: int
) -> None:
    source = rng(seed)
    images = source.random((count, side, side), np.float32)
    images[0, 0, :2] = 0, 1
    masks = source.random((count, side, side)) < source.random()
    changed, moved = augment(source, images, masks)
    assert changed.shape == moved.shape == (count, side, side)
    assert changed.dtype == np.float32 and moved.dtype == np.bool_
    assert changed.min() >= 0 and changed.max() <= 1  # also refuses NaN


@both
@few
@given(seed=seeds, row=st.integers(0, 31), column=st.integers(0, 31), size=st.sampled_from([1, 2, 32]))
def test_no_mask_is_ever_erased(augment: Augment, seed: int, row: int, column: int, size: int) -> None:
    masks = np.zeros((3, 32, 32), np.bool_)
    masks[:, row : row + size, column : column + size] = True
    masks[0] = True
    _, moved = augment(rng(seed), as_images(masks), masks)
    assert moved.any((1, 2)).all()


@both
@few
@given(seed=seeds)
def test_what_was_given_is_left_as_it_was(augment: Augment, seed: int) -> None:
    masks = hooks()
    images = as_images(masks)
    changed, moved = augment(rng(seed), images, masks)
    changed[:], moved[:] = 0.5, True  # the result shares no memory either
    np.testing.assert_array_equal(masks, hooks())
    np.testing.assert_array_equal(images, as_images(hooks()))


@both
def test_a_seed_repeats_the_augmentation_and_another_seed_does_not(augment: Augment) -> None:
    masks = hooks()
    drawn = [augment(rng(seed), as_images(masks), masks) for seed in (0, 1, 2, 3, 0)]
    np.testing.assert_array_equal(drawn[0][0], drawn[-1][0])
    np.testing.assert_array_equal(drawn[0][1], drawn[-1][1])
    assert any((drawn[0][0] != other[0]).any() for other in drawn[1:-1])


@few
@given(seed=seeds)
def test_the_task_level_is_one_draw_for_all_images(seed: int) -> None:
    masks = hooks(4)
    images, moved = augment_task(rng(seed), as_images(masks), masks)
    assert (images == images[0]).all() and (moved == moved[0]).all()


@few
@given(seed=seeds)
def test_the_task_level_moves_masks_with_their_images(seed: int) -> None:
    """The mask, its edge, its inverse: away from the object's border, the image decides which."""
    masks = hooks()
    images, moved = augment_task(rng(seed), as_images(masks), masks)
    for image, mask in zip(images, moved, strict=True):
        one = image > (image.min() + image.max()) / 2
        for region in (one, ~one):
            deep = ndimage.distance_transform_edt(np.pad(region, 4, mode="edge"))[4:-4, 4:-4] > 4
            assert deep.any() and np.unique(mask[deep]).size == 1


def test_the_task_level_mostly_keeps_the_question_and_sometimes_asks_others() -> None:
    masks = hooks(1)
    area, kept, inverted, other = int(masks.sum()), 0, 0, 0
    for seed in range(400):
        _, moved = augment_task(rng(seed), as_images(masks), masks)
        found = int(moved.sum())
        kept += found == area
        inverted += found == moved.size - area
        other += found not in (area, moved.size - area)
    assert 0.74 < kept / 400 < 0.88 and 0.04 < inverted / 400 < 0.15 and 0.05 < other / 400 < 0.16


def test_all_eight_orientations_occur() -> None:
    masks = hooks(1)
    seen = {augment_task(rng(s), as_images(masks), masks)[0][0].round(1).tobytes() for s in range(300)}
    upright = {
        np.rot90(image, turns).tobytes()
        for image in (as_images(masks)[0], as_images(masks)[0, :, ::-1])
        for turns in range(4)
    }
    assert len(upright) == 8 and upright <= seen


@few
@given(seed=seeds)
def test_a_warp_moves_masks_with_their_images(seed: int) -> None:
    masks = hooks(4)
    images, moved = augment_images(rng(seed), as_images(masks), masks)
    for image, mask in zip(images, moved, strict=True):
        # Neither the edge, which may be blurred, nor what came in from outside, which may be black.
        inner = ndimage.binary_erosion(mask, iterations=2)
        outer = ~ndimage.binary_dilation(mask, iterations=2)
        if inner.any():
            level = float(np.median(image[inner]))
            assert (np.abs(image[inner] - level) < 0.3).mean() > 0.97
            assert (image[outer] < level).mean() > 0.97


def test_each_image_is_warped_on_its_own_but_not_every_one() -> None:
    masks = hooks(200)
    _, moved = augment_images(rng(0), as_images(masks), masks, close_views=0)
    kinds = {mask.tobytes() for mask in moved}
    unmoved = (moved == masks).all((1, 2)).mean()
    assert len(kinds) > 100
    assert 0.03 < unmoved < 0.4


def test_a_warp_keeps_most_of_the_object_in_the_image() -> None:
    masks = hooks(30)
    shares = areas_after_warps(masks, close_views=0) / masks[0].sum()
    assert 0.8 < shares.mean() < 1.15
    assert shares.min() > 0.4


def test_a_close_view_enlarges_the_object_and_never_loses_it() -> None:
    masks = hooks(30)
    shares = areas_after_warps(masks, close_views=1) / masks[0].sum()
    assert 1.3 < shares.mean() < 4
    assert shares.min() > 0


def test_a_close_up_brings_small_objects_to_the_size_of_large_ones_whole() -> None:
    masks = np.zeros((40, SIDE, SIDE), np.bool_)
    for i, mask in enumerate(masks):
        size, at = 4 + i % 20, i
        mask[at : at + size, -at - size - 1 : -at - 1] = True
    shares, offsets = _on_objects(rng(0), masks)
    middle = (SIDE - 1) / 2
    for mask, share, offset in zip(masks, shares, offsets.T, strict=True):
        rows, columns = np.nonzero(mask)
        for pixels, place in ((rows, offset[0]), (columns, offset[1])):
            low, high = middle + place - share * SIDE / 2, middle + place + share * SIDE / 2
            spare = 0.1 * (high - low) + 1
            assert low - spare <= pixels.min() and pixels.max() <= high + spare
            assert low >= -1 and high <= SIDE
        assert share == SMALLEST_SHARE or 0.4 < (np.ptp(rows) + 1) / (share * SIDE) < 1


def test_a_close_up_of_nothing_is_as_large_as_the_others_and_anywhere() -> None:
    masks = np.zeros((40, SIDE, SIDE), np.bool_)
    masks[::2, 20:30, 20:30] = True
    shares, offsets = _on_objects(rng(0), masks)
    assert shares[1::2].mean() == pytest.approx(np.median(shares[::2]))
    assert offsets[:, 1::2].std() > 2 * offsets[:, ::2].std()


def areas_after_warps(masks: np.ndarray, *, close_views: float) -> np.ndarray:
    """Pixels of each mask after eight draws of the augmentation."""
    drawn = [augment_images(rng(s), as_images(masks), masks, close_views=close_views) for s in range(8)]
    return np.concatenate([moved.sum((1, 2)) for _, moved in drawn])


def test_edges_and_thinner_masks_are_asked_for_where_an_image_has_nothing_too() -> None:
    masks = hooks(3)
    masks[1] = False
    drawn = [augment_task(rng(seed), as_images(masks), masks)[1] for seed in range(300)]
    areas, plain = {int(each[0].sum()) for each in drawn}, int(masks[0].sum())
    assert min(areas) < plain < max(area for area in areas if area < SIDE * SIDE / 2)
    assert any(not each[0][20:24, 20:24].all() and each[0].any() and not each[1].any() for each in drawn)


def test_an_empty_mask_stays_empty() -> None:
    masks = np.zeros((6, SIDE, SIDE), np.bool_)
    _, moved = augment_images(rng(0), as_images(hooks(6)), masks)
    assert not moved.any()
