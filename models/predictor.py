"""Predictor: any image in, a mask of its size out; what is encoded once can be prompted often.

It keeps no current image: ``encode_image`` and ``encode_context`` return handles that are passed back.
Which context to use, and when to predict, is decided by the caller; which entries of a large context an
image reads is decided by ``models.policy``.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from models.encoding import Frame, encode_prompts, grey_plane, mask_square
from models.policy import Chooser, choose
from models.prompts import Prompt, all_inside
from models.segmenter import Remembered, Segmenter
from models.uncertainty import uncertainty
from models.views import at_image_size, canvas_of, mosaic, under_ink

# More is no better: in mixed data the entries that resemble an image say more than all together, and the
# published networks pay for every entry at every interaction. Measured in models/TRAINING_LOG.md.
CAP = 16
HALF_CAP = 16  # entries of half a context that a second opinion is formed by
LOGIT_LIMIT = 30.0
DRAWN_LOGIT = 8.0  # what a person has drawn is as sure as the network's surest pixels usually are

_new_pairs = count()


@dataclass(frozen=True, eq=False)
class Context:
    """Encoded accepted pairs of one label; a new one is made for every extension."""

    pairs: tuple[int, ...] = ()  # a number of its own for each
    # Per scale: the memory, and which pair each of its entries belongs to.
    memories: tuple[Remembered, ...] = ()
    owners: tuple[tuple[int, ...], ...] = ()
    pinned: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.pairs) - len(self.hidden)

    @property
    def key(self) -> tuple[tuple[int, ...], frozenset[int]]:
        """What an image reads of it: contexts with the same key are the same to every image."""
        shown = tuple(pair for i, pair in enumerate(self.pairs) if i not in self.hidden)
        return shown, frozenset(self.pairs[i] for i in self.pinned)

    def pinning(self, pairs: Collection[int]) -> "Context":
        """The same context, these pairs (by position) always read however many there are."""
        return replace(self, pinned=frozenset(pairs))

    def without(self, pairs: Collection[int]) -> "Context":
        """The same context, these pairs (by position) never read; nothing is encoded again for it."""
        return replace(self, hidden=frozenset(pairs))

    def shown(self, scale: int) -> tuple[Remembered, tuple[int, ...]]:
        """The memory at a scale without the hidden pairs, and which pair each of its entries belongs to.

        Images too small for tiles leave nothing at that scale: where all are, tiles read them whole.
        """
        owners = self.owners[scale] if scale < len(self.owners) else ()
        entries = [i for i, owner in enumerate(owners) if owner not in self.hidden]
        if not entries:
            return self.shown(0)
        memory = self.memories[scale]
        if len(entries) < len(owners):
            memory = memory.select(torch.tensor([entries]))
        return memory, tuple(owners[i] for i in entries)


@dataclass
class EncodedImage:
    """An image's features at every scale, and what it read of the last context it was predicted with."""

    scales: tuple[tuple[Frame, ...], ...]
    seen: tuple[Any, ...]
    _opened: tuple[Any, tuple[Any, ...]] | None = field(default=None, repr=False)

    @property
    def frame(self) -> Frame:
        """The view of the whole image."""
        return self.scales[0][0]

    @property
    def canvas(self) -> Frame:
        """Where what the views say is put together."""
        return canvas_of(self.frame.height, self.frame.width)

    def opened_with(self, context: Context, read: Callable[[Any, int], Any]) -> tuple[Any, ...]:
        """Per scale; the context is read at the first prediction with it, not at every interaction."""
        if self._opened is None or self._opened[0] != context.key:
            opened = tuple(read(seen, scale) for scale, seen in enumerate(self.seen))
            self._opened = (context.key, opened)
        return self._opened[1]

    def forget_context(self) -> None:
        """Frees what was read of a context; the next prediction reads again."""
        self._opened = None


@dataclass(frozen=True, eq=False)
class State:
    """Where an annotation stands: the logits (V, h, w) of all views, float16, after so many prompts."""

    logits: NDArray[np.float16]
    prompts: int


@dataclass(frozen=True)
class Result:
    """mask: bool (H, W); probability: float32 (H, W) in [0, 1]; uncertainty in [0, 1]: how much Dice is
    likely to be missing (``models.uncertainty``); state: hand back as ``previous``."""

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    uncertainty: float
    state: State


class Predictor:
    """A network behind image-pixel coordinates and numpy arrays."""

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        weights_sha256: str,
        device: str = "cpu",
        cap: int = CAP,
        chooser: Chooser = choose,
    ) -> None:
        """``cap``: how many entries of a context a view reads at most; ``chooser`` says which."""
        self.segmenter, self.weights_sha256, self.device = segmenter, weights_sha256, torch.device(device)
        self.cap, self.chooser = cap, chooser

    def encode_image(self, image: ArrayLike) -> EncodedImage:
        """(H, W) or (H, W, 3), uint8, uint16 or float, any size; NaN counts as the darkest value.

        Raises ValueError for another shape or an image without pixels.
        """
        plane = grey_plane(image)
        scales = self.segmenter.scales(*plane.shape)
        with torch.inference_mode():
            squares = [torch.cat([frame.into_square(plane) for frame in views]) for views in scales]
            seen = tuple(self.segmenter.encode(square.to(self.device)) for square in squares)
        return EncodedImage(scales, seen)

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
        mask = np.asarray(mask, dtype=np.bool_)
        memories, owners = list(context.memories), list(context.owners)
        with torch.inference_mode():
            for scale, (views, seen) in enumerate(zip(encoded.scales, encoded.seen, strict=True)):
                squares = torch.cat([mask_square(frame, mask) for frame in views])
                entries = self.segmenter.remember(seen, squares.to(self.device))
                if scale < len(memories):
                    memories[scale] = memories[scale].extended(entries)
                    owners[scale] += (len(context.pairs),) * len(views)
                else:
                    memories.append(entries)
                    owners.append((len(context.pairs),) * len(views))
        pairs = (*context.pairs, next(_new_pairs))
        return replace(context, pairs=pairs, memories=tuple(memories), owners=tuple(owners))

    def predict(
        self,
        image: EncodedImage,
        prompts: Sequence[Prompt],
        *,
        context: Context,
        previous: State | None = None,
        second_opinions: bool = True,
    ) -> Result:
        """The mask after ``prompts``: all those given on this image so far, in the order given.

        ``previous`` is the state of the last result on this image. With neither prompts nor context there
        is nothing to go on: the mask is empty and the uncertainty 1. ``second_opinions`` on an image without
        prompts take as long as the mask, and only its uncertainty rests on them. Raises ValueError for a
        prompt outside the image.
        """
        frame = image.frame
        if not all_inside(prompts, width=frame.width, height=frame.height):
            raise ValueError(f"a prompt lies outside the image of {frame.width} x {frame.height} pixels")
        if not prompts and not (len(context) and self.segmenter.uses_context):
            return self._nothing(image)
        with torch.inference_mode():
            logits = self._logits(image, prompts, context, previous)
            maps = _maps(image, logits)
            asked = second_opinions and not prompts
            opinions = [*maps, *self._by_halves(image, context)] if asked else maps
        canvas = image.canvas
        on_canvas = under_ink(torch.stack(maps).mean(dim=0), canvas, prompts)
        probability = at_image_size(on_canvas, canvas)
        state = State(logits.numpy().astype(np.float16), len(prompts))
        return Result(probability > 0.5, probability, uncertainty(on_canvas, opinions), state)

    def drawn(self, image: EncodedImage, mask: ArrayLike, prompts: int) -> State:
        """The state of an image whose mask, bool (H, W), was drawn by hand after so many prompts.

        Raises ValueError when the mask is not of the image's size.
        """
        side, drawn = self.segmenter.state_side, np.asarray(mask, dtype=np.bool_)
        squares = torch.cat([mask_square(view, drawn) for views in image.scales for view in views])
        sized = interpolate(squares, size=(side, side), mode="bilinear")
        return State(((2 * sized[:, 0] - 1) * DRAWN_LOGIT).numpy().astype(np.float16), prompts)

    def open(self, image: EncodedImage, context: Context) -> tuple[Any, ...]:
        """What every interaction on an image starts from, per scale; ``predict`` does this where needed."""
        return image.opened_with(
            context, lambda seen, scale: self.segmenter.open(seen, self._read(seen, context, scale))
        )

    def _read(self, seen: Any, context: Context, scale: int) -> Remembered | None:
        """The entries that each view of an image reads: all of them, or those that the chooser takes."""
        if not len(context):
            return None
        memory, owners = context.shown(scale)
        if len(memory) <= self.cap:
            return memory
        likeness = memory.likeness().float().cpu().numpy()
        always = [i for i, owner in enumerate(owners) if owner in context.pinned]
        relevance = self.segmenter.relevance(seen, memory).float().cpu().numpy()
        chosen = [self.chooser(view, likeness, self.cap, always=always) for view in relevance]
        return memory.select(torch.from_numpy(np.stack(chosen)))

    def _logits(
        self, image: EncodedImage, prompts: Sequence[Prompt], context: Context, previous: State | None
    ) -> Tensor:
        """(V, side, side) of all views; tiles that the newest prompts do not touch stay as they were."""
        opened = self.open(image, context)
        fresh = previous is None or previous.prompts > len(prompts)
        logits = self._blank(image)
        if previous is not None and not fresh:
            logits = torch.from_numpy(previous.logits.astype(np.float32))
        newest = prompts if fresh or previous is None else prompts[previous.prompts :]
        first = 0
        for scale, views in enumerate(image.scales):
            touched = [
                (i, view)
                for i, view in enumerate(views)
                if fresh or scale == 0 or encode_prompts(newest, view).any()
            ]
            rows = [first + i for i, _ in touched]
            if rows:
                fed_back = None if fresh else logits[rows, None].to(self.device)
                decoded = self.segmenter.decode(opened[scale], prompts, touched, fed_back)
                logits[rows] = decoded[:, 0].cpu().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
            first += len(views)
        return logits

    def _by_halves(self, image: EncodedImage, context: Context) -> list[Tensor]:
        """What each half of the context, its even and its odd pairs, makes of the untouched image."""
        if len(context) < 2:
            return []
        memory, owners, whole = context.memories[0], context.owners[0], image.scales[0]
        shown = [pair for pair in range(len(context.pairs)) if pair not in context.hidden]
        maps = []
        for half in (set(shown[::2]), set(shown[1::2])):
            entries = [i for i, owner in enumerate(owners) if owner in half][-HALF_CAP:]
            part = memory.select(torch.tensor([entries] * len(whole)))
            opened = self.segmenter.open(image.seen[0], part)
            logits = self.segmenter.decode(opened, [], list(enumerate(whole)), None)
            maps.append(mosaic(image.canvas, whole, logits.cpu()))
        return maps

    def _blank(self, image: EncodedImage) -> Tensor:
        side = self.segmenter.state_side
        return torch.zeros(sum(map(len, image.scales)), side, side)

    def _nothing(self, image: EncodedImage) -> Result:
        empty = np.zeros((image.frame.height, image.frame.width), dtype=np.float32)
        return Result(empty > 0, empty, 1.0, State(self._blank(image).numpy().astype(np.float16), 0))


def _maps(image: EncodedImage, logits: Tensor) -> list[Tensor]:
    """Logits (V, h, w) of all views -> the probability map of every scale, on the image's canvas."""
    parts = torch.split(logits[:, None], [len(views) for views in image.scales])
    return [mosaic(image.canvas, views, part) for views, part in zip(image.scales, parts, strict=True)]
