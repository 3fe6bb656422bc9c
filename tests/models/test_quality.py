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
    assert 0 <= wrong < right - 0.2 and right <= 1


def test_alone_there_is_nothing_to_agree_with() -> None:
    predictor = load("memory-v1")
    image = predictor.encode_image(np.eye(40))
    with pytest.raises(ValueError, match="at least one other"):
        agreement(predictor, (image, np.eye(40) > 0), [])
