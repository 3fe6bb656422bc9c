"""Turns label maps of a synthetic task into images that look like they came from one instrument."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.noise import smooth_noise

Labels = NDArray[np.uint8]
Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Rng = np.random.Generator
# Shares of the tasks that show an instrument's artefact.
HALOED, INSONATED = 0.1, 0.12


def render(rng: Rng, labels: Labels, masks: Masks, *, artefacts: bool = True) -> Images:
    """Images (N, side, side) in [0, 1] of label maps and of the masks asked for, both (N, side, side).

    Each label has an intensity and a texture that belong to the task and vary a little between
    images; labels that make up the masks, one of which must hold a pixel, differ visibly from every
    other label in at least one of the two. On top come the instrument's blur, bias field, noise, field
    of view and tone curve, drawn for the task with some variation per image (after SynthMorph,
    Hoffmann et al., IEEE TMI 2022). ``artefacts`` lets some tasks look like phase contrast, others
    like ultrasound.
    """
    side = labels.shape[1]
    images = _tissue(rng, labels, _asked_for(labels, masks))
    if rng.random() < 0.3:
        images += _rims(labels) * np.float32(rng.choice([-1, 1]) * rng.uniform(0.1, 0.5))
    blur = rng.uniform(0.0, 1.6) * side / 128
    if blur > 0.35:
        images = ndimage.gaussian_filter(images, blur, axes=(1, 2), truncate=2.5)
    if artefacts and rng.random() < HALOED:
        images = _haloed(rng, images)
    images += smooth_noise(rng, len(images), side, rng.uniform(0.25, 0.7) * side) * _amount(rng, 0.2)
    images = _stretched(images)
    if artefacts and rng.random() < INSONATED:
        images = _insonated(rng, images)
    images = _noisy(rng, images)
    if rng.random() < 0.12:
        images = _round_view(rng, images)
    images = np.clip(images, 0, 1) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    return (1 - images if rng.random() < 0.3 else images).astype(np.float32)


def _asked_for(labels: Labels, masks: Masks) -> NDArray[np.intp]:
    """The labels that make up the masks; what merely crosses them (vessels over a disc) is left out."""
    pixels = np.bincount(labels[masks])
    return np.flatnonzero(pixels > 0.5 * pixels.max())


def _tissue(rng: Rng, labels: Labels, targets: NDArray[np.intp]) -> Images:
    """Intensity and texture of every label."""
    count, side = labels.shape[0], labels.shape[1]
    kinds = int(labels.max()) + 1
    means, amounts = _palette(rng, kinds, targets)
    means = means + rng.normal(0, rng.uniform(0.0, 0.06), (count, kinds))
    index = np.arange(count)[:, None, None]
    images = means.astype(np.float32)[index, labels]
    scales = (rng.uniform(0.6, 1.5), rng.uniform(1.5, 4), rng.uniform(4, 14))
    for scale, amount in zip(scales, amounts, strict=True):
        if amount.max() > 0.01:
            texture = smooth_noise(rng, count, side, scale * side / 128)
            images += texture * amount.astype(np.float32)[labels]
    return np.asarray(images, np.float32)


def _palette(
    rng: Rng, kinds: int, targets: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean intensity (kinds,) and texture amounts (3, kinds) of the task's labels."""
    means = rng.uniform(0, 1, kinds)
    strength = rng.choice([0.02, 0.08, 0.2], p=[0.35, 0.4, 0.25])
    amounts = rng.uniform(0, strength, (3, kinds)) * rng.integers(0, 2, (3, kinds))
    others = ~np.isin(np.arange(kinds), targets)
    if rng.random() < 0.85:
        gap = rng.uniform(0.1, 0.45)
        own = means[targets]
        near = others & (np.abs(means[:, None] - own).min(1) < gap)
        edge, away = (own.min(), -1) if own.mean() > 0.5 else (own.max(), 1)
        means[near] = edge + away * gap * rng.uniform(1, 1.5, np.count_nonzero(near))
    else:
        # Told apart by texture: same mean as one other label, but rough where that one is smooth.
        amounts[:, others] *= 0.3
        amounts[int(rng.integers(3)), targets] = rng.uniform(0.15, 0.3)
    return means, amounts


def _rims(labels: Labels) -> Images:
    """1 where the label changes between neighbouring pixels, else 0."""
    rims = np.zeros(labels.shape, np.float32)
    rims[:, 1:] += labels[:, 1:] != labels[:, :-1]
    rims[:, :, 1:] += labels[:, :, 1:] != labels[:, :, :-1]
    return np.minimum(rims, 1)


def _haloed(rng: Rng, images: Images) -> Images:
    """Borders answered by a rim of the opposite sign and insides that fade: phase contrast, bright field."""
    scale = rng.uniform(1.5, 6) * images.shape[1] / 128
    around = ndimage.gaussian_filter(images, scale, axes=(1, 2), truncate=2.5)
    return np.asarray(images + np.float32(rng.uniform(0.5, 2)) * (images - around), np.float32)


def _insonated(rng: Rng, images: Images) -> Images:
    """Ultrasound from the top edge: shadows below what is bright, gain by depth, smeared speckle.

    Takes and returns images (N, side, side); those given span [0, 1]. Shadows keep some light.
    """
    count, side = images.shape[0], images.shape[1]
    bright = np.maximum(images - np.float32(rng.uniform(0.6, 0.9)), 0)
    above = np.cumsum(bright, axis=1) - bright
    shade = np.exp(np.float32(-rng.uniform(20, 120) / side) * above)
    depth = np.linspace(-1, 1, side, dtype=np.float32)[:, None]
    gain = np.exp(np.float32(rng.uniform(-0.7, 0.7)) * depth)
    speckle = ndimage.gaussian_filter1d(smooth_noise(rng, count, side, 0.8), rng.uniform(0.6, 1.5), axis=2)
    speckle *= np.float32(rng.uniform(0.15, 0.45))
    return np.asarray(images * np.maximum(shade, np.float32(rng.uniform(0.35, 0.7))) * gain * (1 + speckle))


def _stretched(images: Images) -> Images:
    """Each image spread over [0, 1] by its own extremes, the tails of 0.5 % cut off."""
    flat = np.sort(images.reshape(len(images), -1)[:, ::4], axis=1)
    cut = max(1, flat.shape[1] // 200)
    low, high = flat[:, cut, None, None], flat[:, -cut, None, None]
    return np.asarray((images - low) / np.maximum(high - low, 1e-3), np.float32)


def _noisy(rng: Rng, images: Images) -> Images:
    """White, correlated or multiplicative (speckle) noise, one kind for the task."""
    count, side = images.shape[0], images.shape[1]
    scale = 0.5 if rng.random() < 0.6 else rng.uniform(0.6, 1.3)
    noise = smooth_noise(rng, count, side, scale) * _amount(rng, 0.12)
    if rng.random() < 0.25:
        return np.asarray(images * (1 + 2.5 * noise), np.float32)
    return np.asarray(images + noise, np.float32)


def _round_view(rng: Rng, images: Images) -> Images:
    """Black outside a disc, as in fundus photography and endoscopy."""
    side = images.shape[1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    view = np.hypot(x, y) < rng.uniform(0.47, 0.6) * side
    return np.asarray(images * view, np.float32)


def _amount(rng: Rng, most: float) -> np.float32:
    """Strengths lean to the weak side: the square of a uniform draw, up to ``most``."""
    return np.float32(most * rng.random() ** 2)
