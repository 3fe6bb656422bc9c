"""Smooth random fields: the raw material of synthetic anatomy, textures, warps and wobbling pens."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, count: int, side: int, scale: float) -> FloatArray:
    """Gaussian-blurred white noise, (count, side, side), zero mean and unit variance at every pixel.

    ``scale`` is the standard deviation of the blur in pixels (the "smooth noise" of ScribblePrompt's
    simulators and of SynthMorph). The blur is done as two small matrix products on a coarse grid, so
    it costs the same at every scale; by torch, which takes no more cores than it was given: where all are
    busy, NumPy's threads wait for each other for ten times as long.
    """
    basis = _basis(side, round(scale, 1))
    coarse = rng.standard_normal((count, basis.shape[1], basis.shape[1]), dtype=np.float32)
    with torch.autocast("cpu", enabled=False):  # it may be a training that asks
        field = torch.from_numpy(basis) @ torch.from_numpy(coarse) @ torch.from_numpy(basis.T)
    return np.asarray(field.numpy())


def smooth_curves(rng: np.random.Generator, count: int, length: int, scale: float) -> FloatArray:
    """Gaussian-blurred white noise along one axis, (count, length), zero mean and unit variance."""
    basis = _basis(length, round(scale, 1))
    coarse = rng.standard_normal((count, basis.shape[1]), dtype=np.float32)
    return np.asarray(coarse @ basis.T, dtype=np.float32)


@lru_cache(maxsize=512)
def _basis(side: int, scale: float) -> FloatArray:
    """Gaussian bumps on a grid one ``scale`` apart, (side, bumps); rows have unit length."""
    spread = max(scale, 0.5)
    grid = np.arange(-3 * spread, side + 3 * spread, spread)
    bumps = np.exp(-0.5 * ((np.arange(side)[:, None] + 0.5 - grid[None, :]) / spread) ** 2)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    return bumps.astype(np.float32)
