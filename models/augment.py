"""Augmentation in two levels: one draw for a whole task, and one for each of its images.

The task level changes what is asked (flips, inverted intensities, mask and background swapped, the
edge instead of the region) and must be shared by target and context; the image level makes subjects
differ. The operations are UniverSeg's task and example augmentation (Butoi et al., ICCV 2023).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.noise import smooth_noise

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Rng = np.random.Generator
# Per image: the window's share of the side, and (2, N) how far its middle is off, rows then columns.
View = tuple[NDArray[np.float64], NDArray[np.float64]]
CLOSE_VIEWS = 0.4
SMALLEST_SHARE = 0.15


def augment_task(rng: Rng, images: Images, masks: Masks) -> tuple[Images, Masks]:
    """One draw for all: images (N, H, W) in [0, 1] and masks (N, H, W), both square; new arrays."""
    if rng.random() < 0.5:
        images, masks = images[:, :, ::-1], masks[:, :, ::-1]
    if rng.random() < 0.5:
        turns = int(rng.integers(4))
        images, masks = np.rot90(images, turns, (1, 2)), np.rot90(masks, turns, (1, 2))
    if rng.random() < 0.25:
        images = 1 - images
    if rng.random() < 0.3:
        images = images ** np.float32(np.exp(rng.uniform(-0.6, 0.6)))
    return np.array(images, np.float32), np.array(_other_question(rng, masks), bool)


def _other_question(rng: Rng, masks: Masks) -> Masks:
    """The masks, or now and then their edges, a slightly thicker or thinner version, their inverse."""
    draw = rng.random()
    if draw < 0.05:
        masks = _edges(masks, int(rng.integers(1, 3)))
    elif draw < 0.10:
        grown = ndimage.binary_dilation(masks, _PLANE)
        shrunk = ndimage.binary_erosion(masks, _PLANE, border_value=1)
        other = grown if rng.random() < 0.5 or _lost(masks, shrunk) else shrunk
        masks = other
    if rng.random() < 0.10:
        flipped = ~masks
        masks = flipped if flipped.any((1, 2)).all() else masks
    return masks


_PLANE = ndimage.generate_binary_structure(2, 1)[None]


def _edges(masks: Masks, thickness: int) -> Masks:
    """A band of ``thickness`` pixels on either side of every boundary."""
    grown = ndimage.binary_dilation(masks, _PLANE, iterations=thickness)
    shrunk = ndimage.binary_erosion(masks, _PLANE, iterations=thickness, border_value=1)
    edges: Masks = grown & ~shrunk
    return masks if _lost(masks, edges) else edges


def _lost(masks: Masks, changed: Masks) -> bool:
    """Whether nothing is left of a mask that held something."""
    return bool((masks.any((1, 2)) & ~changed.any((1, 2))).any())


def augment_images(
    rng: Rng, images: Images, masks: Masks, *, close_views: float = CLOSE_VIEWS
) -> tuple[Images, Masks]:
    """Each image on its own: warp, then intensities. Same shapes as given, images stay in [0, 1].

    How far images may turn, how closely they are looked at and how the outside is filled is one draw
    for the task; ``close_views`` is the share of tasks that are looked at closely. A warp that would
    erase a mask is undone for that image, so small structures survive.
    """
    count, side = images.shape[0], images.shape[1]
    turn = np.pi if rng.random() < 0.25 else rng.uniform(0, 0.5)
    mode = "constant" if rng.random() < 0.5 else "reflect"
    close = rng.random() < close_views
    view = np.ones(count), np.zeros((2, count))
    if close:
        view = _on_parts(rng, masks) if rng.random() < 0.5 else _on_objects(rng, masks)
    rows, columns = _warps(rng, count, side, turn, view)
    warped, moved = np.empty_like(images), np.empty_like(masks)
    for i in range(count):
        at = np.stack([rows[i], columns[i]])
        moved[i] = ndimage.map_coordinates(masks[i].view(np.uint8) * 255, at, order=1, mode=mode) > 127
        if masks[i].any() and not moved[i].any():
            warped[i], moved[i] = images[i], masks[i]
        else:
            ndimage.map_coordinates(images[i], at, warped[i], order=1, mode=mode)
    return _intensities(rng, warped), moved


def _on_objects(rng: Rng, masks: Masks) -> View:
    """Windows around the whole object of each image, as a close-up sees it, inside the image.

    Where there is no object they are as large as the others, anywhere.
    """
    count, side = masks.shape[0], masks.shape[1]
    shares = np.ones(count)
    centres = rng.uniform(0, side - 1, (2, count))
    margins = rng.uniform(0.85, 1.15, (count,)) * rng.uniform(1.2, 2.2)
    for i, mask in enumerate(masks):
        if mask.any():
            pixels = np.argwhere(mask)
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            shares[i] = (high - low + 1).max() * margins[i] / side
            centres[:, i] = (low + high) / 2
    empty = ~masks.any((1, 2))
    if empty.any() and not empty.all():
        shares[empty] = np.median(shares[~empty])
    shares = np.clip(shares, SMALLEST_SHARE, 1)
    stray = np.full(count, 0.1)
    if rng.random() < 0.3:
        stray[0] = 0.4  # a first mask that is wrong leads the query's astray
    centres += rng.uniform(-stray, stray, (2, count)) * shares * side
    return _inside(shares, centres, side)


def _on_parts(rng: Rng, masks: Masks) -> View:
    """Windows on part of each image, as a tile sees it: on the object, inside the image."""
    count, side = masks.shape[0], masks.shape[1]
    shares = np.clip(rng.uniform(0.35, 0.9) * rng.uniform(0.9, 1.1, count), 0.3, 1)
    centres = np.full((2, count), (side - 1) / 2)
    for i, mask in enumerate(masks):
        pixels = np.flatnonzero(mask)
        if pixels.size:
            centres[:, i] = divmod(int(rng.choice(pixels)), side)
    centres += rng.uniform(-0.3, 0.3, (2, count)) * shares * side
    return _inside(shares, centres, side)


def _inside(shares: NDArray[np.float64], centres: NDArray[np.float64], side: int) -> View:
    """Windows with these middles (2, N), moved to where none reaches beyond its image."""
    room = (1 - shares) * side / 2
    return shares, np.clip(centres - (side - 1) / 2, -room, room)


def _warps(rng: Rng, count: int, side: int, turn: float, view: View) -> tuple[Images, Images]:
    """Where each output pixel comes from: rows and columns, each (count, side, side)."""
    shares, offsets = view
    centre = (side - 1) / 2
    y, x = np.mgrid[:side, :side].astype(np.float32) - centre
    angle = rng.uniform(-turn, turn, count)[:, None, None]
    # A quarter of the images keep their scale, angle and place: serving sees such images too.
    free = (rng.random(count) < 0.75)[:, None, None]
    angle = np.where(free, angle, 0)
    scale_y, scale_x = np.where(free, rng.uniform(1 / 1.2, 1 / 0.8, (2, count, 1, 1)), 1)
    scale_y, scale_x = scale_y * shares[:, None, None], scale_x * shares[:, None, None]
    shift_y, shift_x = np.where(free, rng.uniform(-0.1, 0.1, (2, count, 1, 1)) * side, 0)
    shift_y, shift_x = shift_y * shares[:, None, None], shift_x * shares[:, None, None]
    shift_y, shift_x = shift_y + offsets[0, :, None, None], shift_x + offsets[1, :, None, None]
    cos, sin = np.cos(angle), np.sin(angle)
    strength = np.where(rng.random(count) < 0.5, rng.uniform(0, 0.02 * side, count), 0)
    bend = smooth_noise(rng, 2 * count, side, rng.uniform(0.06, 0.16) * side)
    bend *= np.tile(strength, 2)[:, None, None]
    rows = centre + scale_y * (cos * y - sin * x) + shift_y + bend[:count]
    columns = centre + scale_x * (sin * y + cos * x) + shift_x + bend[count:]
    return rows.astype(np.float32), columns.astype(np.float32)


def _intensities(rng: Rng, images: Images) -> Images:
    """Brightness and contrast, gamma, blur and noise, drawn for each image; clipped to [0, 1]."""
    count = len(images)
    contrast = np.where(rng.random(count) < 0.5, rng.uniform(0.7, 1.3, count), 1)
    offset = np.where(rng.random(count) < 0.5, rng.uniform(-0.1, 0.1, count), 0)
    images = (images - 0.5) * contrast[:, None, None].astype(np.float32)
    images += (0.5 + offset[:, None, None]).astype(np.float32)
    images = np.clip(images, 0, 1)
    for i in np.flatnonzero(rng.random(count) < 0.25):
        images[i] **= np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    for i in np.flatnonzero(rng.random(count) < 0.2):
        images[i] = ndimage.gaussian_filter(images[i], rng.uniform(0.3, 1.1), truncate=3)
    for i in np.flatnonzero(rng.random(count) < 0.25):
        images[i] += rng.standard_normal(images[i].shape, np.float32) * rng.uniform(0, 0.06)
    return np.clip(images, 0, 1).astype(np.float32)
