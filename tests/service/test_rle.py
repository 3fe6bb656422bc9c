"""Run lengths are COCO's, to the byte, for every mask."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from service.masks import Mask
from service.rle import AT_ONCE, area_of, box_of, counts_of, from_text, mask_of, to_text, together

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


def one_pixel(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[height // 2, width - 1] = True
    return mask


@example(np.zeros((7, 5), dtype=np.bool_))
@example(np.ones((5, 7), dtype=np.bool_))
@example(np.ones((1, 1), dtype=np.bool_))
@example(np.zeros((1, 1), dtype=np.bool_))
@example(one_pixel(301, 207))
@given(masks)
def test_a_mask_is_written_as_coco_writes_it_and_read_back(mask: Mask) -> None:
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = counts_of(mask)
    assert to_text(counts) == theirs["counts"].decode()
    assert area_of(counts) == coco.area(theirs)
    assert box_of(mask) == list(coco.toBbox(theirs))
    np.testing.assert_array_equal(mask_of(from_text(to_text(counts)), *mask.shape), mask)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=50))
def test_run_lengths_of_any_size_come_back(runs: list[int]) -> None:
    counts = np.array(runs, dtype=np.int64)
    np.testing.assert_array_equal(from_text(to_text(counts)), counts)


def test_no_text_is_no_runs() -> None:
    assert from_text("").size == 0


@pytest.mark.parametrize("text", ["\x00", "p" * 30 + "0", "o", "ä", "1~"])
def test_what_is_no_run_lengths_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="run length"):
        from_text(text)


def test_run_lengths_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="not of 4 x 3 pixels"):
        mask_of(np.array([5, 2]), 3, 4)


@pytest.mark.parametrize("huge", [[2**62] * 4 + [4096], [2**63 - 1, 2**63 - 1, 4098], [4097, -1]])
def test_run_lengths_that_add_up_by_overflow_are_refused(huge: list[int]) -> None:
    counts = np.array(huge)
    assert counts.sum() == 64 * 64
    with pytest.raises(ValueError, match="not of 64 x 64 pixels"):
        mask_of(counts, 64, 64)


@given(st.lists(arrays(np.bool_, (7, 9)), max_size=5), st.sampled_from([1, 20, AT_ONCE]))
def test_several_masks_are_one_where_any_of_them_is(several: list[Mask], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.rle.AT_ONCE", at_once)
        mask = together(map(counts_of, several), 7, 9)
    np.testing.assert_array_equal(mask, np.any([np.zeros((7, 9), dtype=np.bool_), *several], axis=0))
