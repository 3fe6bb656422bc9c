"""The reverse check: a mask that contradicts the others is found out."""

import numpy as np
import pytest

from models.quality import agreement
from models.registry import load
from models.synthetic import demo_task


def test_a_right_mask_agrees_with_the_others_and_a_wrong_one_does_not() -> None:
    predictor = load("memory-v1")
    images, masks = demo_task(5)
    encoded = [predictor.encode_image(image) for image in images]
    others = list(zip(encoded[1:], masks[1:], strict=True))
    right = agreement(predictor, (encoded[0], masks[0]), others)
    wrong = agreement(predictor, (encoded[0], np.roll(~masks[0], 40, axis=0)), others)
    assert right is not None and wrong is not None
    assert 0 <= wrong < 0.35 < 0.6 < right <= 1


def test_others_that_contradict_each_other_are_no_judges() -> None:
    predictor = load("memory-v1")
    images, masks = demo_task(5)
    encoded = [predictor.encode_image(image) for image in images]
    noise = np.random.default_rng(0).random(masks.shape) > 0.97
    others = list(zip(encoded[1:], noise[1:], strict=True))
    assert agreement(predictor, (encoded[0], masks[0]), others) is None


def test_images_without_the_object_neither_judge_nor_are_judged() -> None:
    predictor = load("memory-v1")
    images, masks = demo_task(7)
    pairs = list(zip([predictor.encode_image(image) for image in images], masks, strict=True))
    empty = [(image, np.zeros_like(mask)) for image, mask in pairs[4:]]
    assert agreement(predictor, empty[0], pairs[:4]) is None
    assert agreement(predictor, pairs[0], [pairs[1], *empty]) is None
    among = agreement(predictor, pairs[0], pairs[1:4])
    assert among is not None and among > 0.6
    assert agreement(predictor, pairs[0], [empty[0], *pairs[1:4], *empty[1:]]) == pytest.approx(
        among, abs=1e-3
    )


def test_alone_there_is_nothing_to_agree_with() -> None:
    predictor = load("memory-v1")
    image = predictor.encode_image(np.eye(40))
    with pytest.raises(ValueError, match="at least two other"):
        agreement(predictor, (image, np.eye(40) > 0), [])
