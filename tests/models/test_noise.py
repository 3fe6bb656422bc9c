"""Smooth random fields."""

import numpy as np
import pytest
import torch

from models.noise import smooth_noise


@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0])
def test_noise_is_smooth_and_of_unit_variance_everywhere(scale: float) -> None:
    field = smooth_noise(np.random.default_rng(0), 2000, 16, scale)
    assert field.shape == (2000, 16, 16) and field.dtype == np.float32
    assert abs(field.mean(0)).max() < 0.15 and abs(field.std(0) - 1).max() < 0.15
    neighbours = (field[:, :, 1:] * field[:, :, :-1]).mean()
    assert neighbours == pytest.approx(np.exp(-0.25 / max(scale, 0.5) ** 2), abs=0.1)


def test_noise_is_the_same_in_a_training_of_half_precision() -> None:
    plain = smooth_noise(np.random.default_rng(0), 2, 32, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(smooth_noise(np.random.default_rng(0), 2, 32, 4), plain)
