"""Predictor: any image in, a mask of its size out; what is encoded once can be prompted often.

It keeps no current image: ``encode_image`` and ``encode_context`` return handles that are passed back.
Which context to use, and when to predict, is decided by the caller.
"""

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from models.encoding import SIDE, Frame, encode_prompts, grey_plane, mask_square
from models.memory import ContextMemory, Memory, Opened
from models.prompts import Prompt, all_inside

State = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Context:
    """Encoded accepted pairs of one label; a new one is made for every extension."""

    memory: Memory | None = None

    def __len__(self) -> int:
        return 0 if self.memory is None else len(self.memory)


@dataclass
class EncodedImage:
    """An image's features, and what it read of the last context it was predicted with."""

    frame: Frame
    features: tuple[Tensor, ...]
    # Weak, or every image ever opened would keep the whole memory of its day alive.
    _opened: tuple[weakref.ref[Context], Opened] | None = field(default=None, repr=False)

    def opened_with(self, context: Context, network: ContextMemory) -> Opened:
        """The context is read at the first prediction with it, not at every interaction."""
        if self._opened is None or self._opened[0]() is not context:
            self._opened = (weakref.ref(context), network.open(self.features, context.memory))
        return self._opened[1]

    def forget_context(self) -> None:
        """Frees what was read of a context; the next prediction reads again."""
        self._opened = None


@dataclass(frozen=True)
class Result:
    """mask: bool (H, W); probability: float32 (H, W) in [0, 1]; uncertainty in [0, 1]: one minus the
    Dice that the probabilities themselves expect of the mask; state: hand back as ``previous``."""

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    uncertainty: float
    state: State


class Predictor:
    """A context-memory network behind image-pixel coordinates and numpy arrays."""

    def __init__(self, network: ContextMemory, *, weights_sha256: str, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.weights_sha256 = weights_sha256

    def encode_image(self, image: ArrayLike) -> EncodedImage:
        """(H, W) or (H, W, 3), uint8, uint16 or float, any size; NaN counts as the darkest value.

        Raises ValueError for another shape or an image without pixels.
        """
        plane = grey_plane(image)
        frame = Frame(*plane.shape)
        with torch.inference_mode():
            features = self.network.encode(frame.into_square(plane).to(self.device))
        return EncodedImage(frame, features)

    def encode_context(self, pairs: Iterable[tuple[ArrayLike, ArrayLike]]) -> Context:
        """(image, mask) pairs, masks bool (H, W) of their image's size; no pairs is the empty context."""
        context = Context()
        for image, mask in pairs:
            context = self.extend_context(context, image, mask)
        return context

    def extend_context(self, context: Context, image: ArrayLike | EncodedImage, mask: ArrayLike) -> Context:
        """The context with one more pair; costs one encoding, or none for an image encoded already.

        Raises ValueError when image and mask differ in size.
        """
        encoded = image if isinstance(image, EncodedImage) else self.encode_image(image)
        square = mask_square(encoded.frame, np.asarray(mask, dtype=np.bool_))
        with torch.inference_mode():
            entry = self.network.remember(encoded.features, square.to(self.device))
            return Context(entry if context.memory is None else context.memory.extended(entry))

    def predict(
        self,
        image: EncodedImage,
        prompts: Sequence[Prompt],
        *,
        context: Context,
        previous: State | None = None,
    ) -> Result:
        """The mask after ``prompts``: all those given on this image so far, in the order given.

        ``previous`` is the state of the last result on this image. With neither prompts nor context there
        is nothing to go on: the mask is empty and the uncertainty 1. Raises ValueError for a prompt
        outside the image.
        """
        frame = image.frame
        if not all_inside(prompts, width=frame.width, height=frame.height):
            raise ValueError(f"a prompt lies outside the image of {frame.width} x {frame.height} pixels")
        if not prompts and not len(context):
            return _nothing(frame)
        with torch.inference_mode():
            opened = image.opened_with(context, self.network)
            logits = self.network.decode(opened, self._channels(prompts, frame, previous))
            return _result(frame, logits.float().cpu())

    def _channels(self, prompts: Sequence[Prompt], frame: Frame, previous: State | None) -> Tensor:
        channels = np.zeros((1, 4, SIDE, SIDE), dtype=np.float32)
        channels[0, :3] = encode_prompts(prompts, frame)
        if previous is not None:
            channels[0, 3] = previous
        return torch.from_numpy(channels).to(self.device)


def _result(frame: Frame, logits: Tensor) -> Result:
    probability = frame.out_of_square(torch.sigmoid(logits))
    mask = probability > 0.5
    total = float(probability.sum()) + float(mask.sum())
    expected_dice = 2 * float(probability[mask].sum()) / total if total else 0.0
    state = logits[0, 0].clamp(-30, 30).numpy().astype(np.float16)
    return Result(mask, probability, min(1.0, max(0.0, 1 - expected_dice)), state)


def _nothing(frame: Frame) -> Result:
    shape = (frame.height, frame.width)
    empty = np.zeros(shape, dtype=np.float32)
    return Result(empty > 0, empty, 1.0, np.zeros((SIDE, SIDE), dtype=np.float16))
