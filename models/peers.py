"""Ways to segment that need no weights, with the methods of Predictor: what a network has to be better than.

They see what the default network sees of a whole image, the model square and the same ink in it. The
random walker (Grady, PAMI 2006) and GrabCut (Rother et al., SIGGRAPH 2004) know one image at a time; the
mask copy knows the context and nothing else.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skimage.segmentation import random_walker

from models.encoding import BOX, NEGATIVE, POSITIVE, SIDE, Frame, encode_prompts, grey_plane, mask_square
from models.handles import Result, State
from models.prompts import Box, Click, Prompt, Scribble
from models.uncertainty import expected_dice

THUMBNAIL = 32  # side of what two images are compared by
# The best of four or five values each, tried on five real tasks: a peer gets its chance.
BRUSH = 8.0  # square pixels: the radius of what a click corrects in a copied mask
EDGE_WEIGHT = 500.0  # of the random walker: how much a step in intensity holds it back
GRABCUT_ROUNDS = 5

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image in the model square: plane float32 (SIDE, SIDE) in [0, 1]."""

    frame: Frame
    plane: Floats

    @property
    def inner(self) -> Floats:
        """The part of the square that the image covers."""
        rows, columns = self.frame.inner
        return self.plane[:rows, :columns]


@dataclass(frozen=True, eq=False)
class Pairs:
    """A context: pictures and their masks, bool (SIDE, SIDE)."""

    entries: tuple[tuple[Picture, Bools], ...] = ()

    def __len__(self) -> int:
        return len(self.entries)


class Peer(ABC):
    """The methods of Predictor over one question: how likely is each pixel the object's?"""

    def encode_image(self, image: ArrayLike) -> Picture:
        """(H, W) or (H, W, 3) of any size; ValueError as Predictor raises it."""
        plane = grey_plane(image)
        frame = Frame(*plane.shape)
        return Picture(frame, np.asarray(frame.into_square(plane)[0, 0].numpy()))

    def encode_context(self, pairs: Iterable[tuple[ArrayLike, ArrayLike]]) -> Pairs:
        """(image, mask) pairs; none is the empty context."""
        context = Pairs()
        for image, mask in pairs:
            context = self.extend_context(context, image, mask)
        return context

    def extend_context(self, context: Pairs, image: ArrayLike | Picture, mask: ArrayLike) -> Pairs:
        """The context with one more pair; ValueError when image and mask differ in size."""
        picture = image if isinstance(image, Picture) else self.encode_image(image)
        square = mask_square(picture.frame, np.asarray(mask, dtype=np.bool_))
        return Pairs((*context.entries, (picture, square[0, 0].numpy() > 0)))

    def predict(
        self, image: Picture, prompts: Sequence[Prompt], *, context: Pairs, previous: State | None = None
    ) -> Result:
        """The mask after ``prompts``: all those of this image so far. ``previous`` is not needed."""
        inner = self.foreground(image, prompts, context)
        probability = image.frame.out_of_square(torch.from_numpy(inner.astype(np.float32))[None, None])
        mask = probability > 0.5
        state = State(np.zeros((0, 0, 0), dtype=np.float16), len(prompts))
        return Result(mask, probability, 1 - expected_dice(torch.from_numpy(probability)), state)

    @abstractmethod
    def foreground(self, image: Picture, prompts: Sequence[Prompt], context: Pairs) -> Floats | Bools:
        """Probability of the object on ``image.inner``, of its shape, or a boolean mask."""


class RandomWalker(Peer):
    """The side whose ink a walker starting at a pixel reaches first; steps in intensity hold it back."""

    def foreground(self, image: Picture, prompts: Sequence[Prompt], context: Pairs) -> Floats | Bools:
        """Without negative ink the image's border stands for it."""
        inside, outside = _seeds(prompts, image)
        if not inside.any() or (inside | outside).all():
            return inside
        if not outside.any():
            return ~outside
        seeds = np.where(inside, 1, np.where(outside, 2, 0))
        # Where nothing differs, a slope stands for it: as even, and its deviation can be divided by.
        pixels = image.inner if image.inner.std() else np.indices(seeds.shape).sum(0)
        walked = random_walker(pixels, seeds, beta=EDGE_WEIGHT, mode="bf", return_full_prob=True)
        return np.asarray(walked[0], dtype=np.float32).clip(0, 1)


class GrabCut(Peer):
    """Mixtures of intensities of object and background in turn with a graph cut, by OpenCV."""

    def __init__(self) -> None:
        """Raises ValueError when OpenCV is not installed."""
        try:
            self._cv2: Any = importlib.import_module("cv2")
        except ImportError as error:
            raise ValueError("GrabCut needs OpenCV: pip install opencv-python-headless") from error

    def foreground(self, image: Picture, prompts: Sequence[Prompt], context: Pairs) -> Floats | Bools:
        """Without negative ink the image's border stands for it."""
        cv2 = self._cv2
        inside, outside = _seeds(prompts, image)
        if not inside.any():
            return inside
        if not outside.any():
            return ~outside
        # With ink alone the object is taken to be small, and grows by more ink; a box is its first guess.
        boxed = any(isinstance(prompt, Box) for prompt in prompts)
        labels = np.full(inside.shape, cv2.GC_PR_FGD if boxed else cv2.GC_PR_BGD, dtype=np.uint8)
        labels[outside], labels[inside] = cv2.GC_BGD, cv2.GC_FGD
        pixels = np.repeat((image.inner * 255).round().astype(np.uint8)[..., None], 3, axis=2)
        mixtures = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(pixels, labels, None, *mixtures, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


class MaskCopy(Peer):
    """The mask of the context image whose pixels are most alike, corrected by painting."""

    def foreground(self, image: Picture, prompts: Sequence[Prompt], context: Pairs) -> Floats | Bools:
        """Strokes and clicks, as discs, are painted; a box clears its outside, and fills where nothing is."""
        mask: Bools = np.zeros((SIDE, SIDE), dtype=np.bool_)
        if context.entries:
            mask = min(context.entries, key=lambda entry: _difference(entry[0], image))[1]
        painted = encode_prompts([_brushed(p, min(image.frame.scale)) for p in prompts], image.frame) > 0.5
        if painted[BOX].any():
            mask = mask & painted[BOX] if (mask & painted[BOX]).any() else painted[BOX]
        mask = (mask | painted[POSITIVE]) & ~painted[NEGATIVE]
        rows, columns = image.frame.inner
        return mask[:rows, :columns]


def _seeds(prompts: Sequence[Prompt], image: Picture) -> tuple[Bools, Bools]:
    """What the prompts say is the object, and what is not, on ``image.inner``; the first wins where both."""
    rows, columns = image.inner.shape
    box, positive, negative = encode_prompts(prompts, image.frame)[:, :rows, :columns] > 0.5
    inside, outside = positive, negative
    if box.any():
        outside = outside | ~box
        if not inside.any():
            inside = _middle(box) & ~negative
    if not negative.any():
        border = np.ones((rows, columns), dtype=np.bool_)
        border[1:-1, 1:-1] = False
        outside = outside | border
    return inside, outside & ~inside


def _middle(box: Bools) -> Bools:
    """The middle third of a filled rectangle along both axes, one pixel at least."""
    middle = np.zeros_like(box)
    ys, xs = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    rows, columns = (slice(a[len(a) // 3], a[len(a) // 3] + max(1, len(a) // 3)) for a in (ys, xs))
    middle[rows, columns] = True
    return middle


def _difference(one: Picture, other: Picture) -> float:
    """Mean squared difference of two pictures' thumbnails."""
    blocks = (THUMBNAIL, SIDE // THUMBNAIL, THUMBNAIL, SIDE // THUMBNAIL)
    apart = (one.plane - other.plane).reshape(blocks).mean(axis=(1, 3))
    return float(np.square(apart).mean())


def _brushed(prompt: Prompt, scale: float) -> Prompt:
    """A click as a disc of the brush's size; strokes and boxes as they are."""
    if isinstance(prompt, Click):
        return Scribble(((prompt.x, prompt.y),), 2 * BRUSH / scale, prompt.positive)
    return prompt
