"""Predictor: any image in, a mask of its size out; what is encoded once can be prompted often.

It keeps no current image: ``encode_image`` and ``encode_context`` return handles that are passed back.
Which context to use, and when to predict, is decided by the caller; which entries of a large context an
image reads is decided by ``models.policy``.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import count
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from models.closeup import blended, close_square, plane_for, window_on
from models.encoding import Floats, Frame, Window, encode_prompts, grey_plane, mask_square
from models.handles import CLOSE, WHOLE, Context, EncodedImage, Result, State
from models.pieces import may_reject, without_rejected
from models.policy import Chooser, choose
from models.prompts import Prompt, all_inside
from models.segmenter import Interruptible, Remembered, Segmenter
from models.uncertainty import uncertainty
from models.views import at_image_size, mosaic, under_ink

# More is no better: in mixed data the entries that resemble an image say more than all together, and the
# published networks pay for every entry at every interaction. Measured in models/TRAINING_LOG.md.
CAP = 16
HALF_CAP = 16  # entries of half a context that a second opinion is formed by
LOGIT_LIMIT = 30.0
DRAWN_LOGIT = 8.0  # what a person has drawn is as sure as the network's surest pixels usually are

# The whole image alone; its tiles as well, if the network knows any; or close-ups of small objects, too.
Looks = Literal["whole", "tiles", "closely"]

_new_pairs = count()


class Close(NamedTuple):
    """What a close-up says: where it is, and its logits (1, 1, h, w)."""

    frame: Frame
    logits: Tensor


class Asked(NamedTuple):
    """Views of one scale that are to be decoded: positions and frames, and their rows in the state."""

    scale: int
    views: Sequence[tuple[int, Frame]]
    rows: list[int]


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
        looks: Looks = "closely",
        lanes: int = 1,
    ) -> None:
        """``cap``: how many entries of a context a view reads at most; ``chooser`` says which.

        ``looks``: how closely images are looked at. ``lanes``: how many threads share the views of an
        image when it is prompted.
        """
        self.segmenter, self.weights_sha256, self.device = segmenter, weights_sha256, torch.device(device)
        self.cap, self.chooser, self.looks, self.lanes = cap, chooser, looks, lanes
        self._threads = ThreadPoolExecutor(lanes, "lane")

    def interruptible(self, before: Callable[[], None]) -> "Predictor":
        """The same, which calls ``before`` each pass of its network: what that raises ends the work there.

        Images and contexts that the one has encoded are the other's as well. It keeps to one lane: who is
        called away leaves the others free.
        """
        other = copy(self)
        other.lanes = 1
        other.segmenter = Interruptible(self.segmenter, before)
        return other

    def encode_image(self, image: ArrayLike) -> EncodedImage:
        """(H, W) or (H, W, 3), uint8, uint16 or float, any size; NaN counts as the darkest value.

        Raises ValueError for another shape or an image without pixels.
        """
        plane = grey_plane(image)
        scales = self.segmenter.scales(*plane.shape)[: 1 if self.looks == "whole" else None]
        closely = self.looks == "closely" and self.segmenter.looks_closely
        with torch.inference_mode():
            squares = [torch.cat([frame.into_square(plane) for frame in views]) for views in scales]
            seen = tuple(self.segmenter.encode(square.to(self.device)) for square in squares)
        return EncodedImage(scales, seen, plane_for(plane) if closely else None)

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
        entries: dict[int, Remembered] = {}
        with torch.inference_mode():
            for scale, (views, seen) in enumerate(zip(encoded.scales, encoded.seen, strict=True)):
                squares = torch.cat([mask_square(frame, mask) for frame in views])
                entries[scale] = self.segmenter.remember(seen, squares.to(self.device))
            window = self._window(encoded, mask, [])
            if window is not None:
                frame = _frame_on(encoded, window)
                square = mask_square(frame, mask).to(self.device)
                entries[CLOSE] = self.segmenter.remember(self._see(encoded, frame), square)
        return context.extended(next(_new_pairs), entries)

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

        ``previous`` is the state of the last result on this image; that of a network that looks at images in
        another way is none. With neither prompts nor context there is nothing to go on: the mask is empty and
        the uncertainty 1. ``second_opinions`` on an image without prompts take as long as the mask, and only
        its uncertainty rests on them. Raises ValueError for a prompt outside the image.
        """
        frame = image.frame
        if not all_inside(prompts, width=frame.width, height=frame.height):
            raise ValueError(f"a prompt lies outside the image of {frame.width} x {frame.height} pixels")
        if not prompts and not (len(context) and self.segmenter.uses_context):
            return self._nothing(image)
        # Of a step that was taken back, or of another network.
        if previous is not None and (previous.prompts > len(prompts) or not self._is_ours(previous, image)):
            previous = None
        if previous is not None and previous.prompts < len(prompts):
            previous = self._without_rejected(image, prompts, previous)
        with torch.inference_mode():
            logits = self._logits(image, prompts, context, previous)
            maps = _maps(image, logits)
            asked = second_opinions and not prompts
            opinions = [*maps, *self._by_halves(image, context)] if asked else maps
            canvas = image.canvas
            on_canvas = under_ink(torch.stack(maps).mean(dim=0), canvas, prompts)
            close = self._look_closely(image, on_canvas, prompts, context, previous)
        probability = _probability(on_canvas, canvas, prompts, close)
        window = None
        if close is not None:
            window = close.frame.seen
            logits = torch.cat([logits, close.logits[0]])
        state = State(logits.numpy().astype(np.float16), len(prompts), window)
        return Result(probability > 0.5, probability, uncertainty(on_canvas, opinions), state)

    def drawn(self, image: EncodedImage, mask: ArrayLike, prompts: int) -> State:
        """The state of an image whose mask, bool (H, W), was drawn by hand after so many prompts.

        Raises ValueError when the mask is not of the image's size.
        """
        side, drawn = self.segmenter.state_side, np.asarray(mask, dtype=np.bool_)
        window = self._window(image, drawn, [])
        frames = [view for views in image.scales for view in views]
        if window is not None:
            frames.append(_frame_on(image, window))
        squares = torch.cat([mask_square(frame, drawn) for frame in frames])
        sized = interpolate(squares, size=(side, side), mode="bilinear")
        return State(((2 * sized[:, 0] - 1) * DRAWN_LOGIT).numpy().astype(np.float16), prompts, window)

    def _without_rejected(self, image: EncodedImage, prompts: Sequence[Prompt], previous: State) -> State:
        """The state without the pieces of its mask that the newest prompts reject, if they do."""
        earlier, newest = prompts[: previous.prompts], prompts[previous.prompts :]
        if not may_reject(newest):  # most steps: the mask before them is not needed
            return previous
        mask = self._mask_of(previous, image, earlier)
        left = without_rejected(mask, newest, earlier)
        return previous if left is mask else self.drawn(image, left, previous.prompts)

    def _mask_of(self, state: State, image: EncodedImage, prompts: Sequence[Prompt]) -> NDArray[np.bool_]:
        """The mask that came with a state."""
        logits = torch.from_numpy(state.logits.astype(np.float32))
        close = None
        if state.window is not None:
            close = Close(_frame_on(image, state.window), logits[-1:, None])
        maps = _maps(image, logits[: image.views])
        on_canvas = under_ink(torch.stack(maps).mean(dim=0), image.canvas, prompts)
        return np.asarray(_probability(on_canvas, image.canvas, prompts, close) > 0.5)

    def open(self, image: EncodedImage, context: Context) -> tuple[Any, ...]:
        """What every interaction on an image starts from, per scale; ``predict`` does this where needed."""
        return image.opened_with(
            context, lambda seen, scale: self.segmenter.open(seen, self._read(seen, context, scale))
        )

    def _read(self, seen: Any, context: Context, scale: int) -> Remembered | None:
        """The entries that each view of an image reads: all of them, or those that the chooser takes."""
        shelf = context.shown(scale)
        if shelf is None:
            return None
        memory, owners = shelf
        if len(memory) <= self.cap:
            return memory
        likeness = memory.likeness().float().cpu().numpy()
        first = [[i for i, owner in enumerate(owners) if owner in group] for group in context.first]
        relevance = self.segmenter.relevance(seen, memory).float().cpu().numpy()
        chosen = [self.chooser(view, likeness, self.cap, first=first) for view in relevance]
        return memory.select(torch.from_numpy(np.stack(chosen)))

    def _logits(
        self, image: EncodedImage, prompts: Sequence[Prompt], context: Context, previous: State | None
    ) -> Tensor:
        """(V, side, side) of all views; tiles that the newest prompts do not touch stay as they were."""
        opened = self.open(image, context)
        fresh = previous is None
        logits, newest = self._blank(image), prompts
        if previous is not None:
            logits = torch.from_numpy(previous.logits[: image.views].astype(np.float32))
            newest = prompts[previous.prompts :]
        asked, first = [], 0
        for scale, views in enumerate(image.scales):
            touched = [
                (i, view)
                for i, view in enumerate(views)
                if fresh or scale == 0 or encode_prompts(newest, view).any()
            ]
            asked.append(Asked(scale, touched, [first + i for i, _ in touched]))
            first += len(views)

        def decode(part: Asked) -> Tensor:
            fed_back = None if fresh else logits[part.rows, None].to(self.device)
            return self.segmenter.decode(opened[part.scale], prompts, part.views, fed_back)

        parts = _shared(asked, self.lanes)
        for part, decoded in zip(parts, self._in_lanes(decode, parts), strict=True):
            logits[part.rows] = decoded[:, 0].cpu().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return logits

    def _in_lanes(self, decode: Callable[[Asked], Tensor], parts: Sequence[Asked]) -> list[Tensor]:
        """Every part decoded, by as many threads as there are lanes."""
        if self.lanes == 1:
            return [decode(part) for part in parts]
        # The mode belongs to a thread, not to a process.
        return list(self._threads.map(torch.inference_mode()(decode), parts))

    def _look_closely(
        self,
        image: EncodedImage,
        on_canvas: Tensor,
        prompts: Sequence[Prompt],
        context: Context,
        previous: State | None,
    ) -> Close | None:
        """The close-up on what the other views found and what was drawn, if it is small; None for none.

        Without prompts there is one only if the context has others to compare it with.
        """
        kept = previous.window if previous else None
        window = self._window(image, np.asarray(on_canvas > 0.5), prompts, kept)
        if window is None or not (prompts or context.shown(CLOSE)):
            return None
        frame, fed_back = _frame_on(image, window), None
        if previous is not None and previous.window == window:
            before = torch.from_numpy(previous.logits[-1:, None].astype(np.float32))
            if not encode_prompts(prompts[previous.prompts :], frame).any():
                return Close(frame, before)
            fed_back = before.to(self.device)

        def read() -> Any:
            seen = self._see(image, frame)
            return self.segmenter.open(seen, self._read(seen, context, CLOSE))

        opened = image.close_with(context, window, read)
        logits = self.segmenter.decode(opened, prompts, [(0, frame)], fed_back)
        return Close(frame, logits.cpu().clamp(-LOGIT_LIMIT, LOGIT_LIMIT))

    def _window(
        self,
        image: EncodedImage,
        mask: NDArray[np.bool_],
        prompts: Sequence[Prompt],
        kept: Window | None = None,
    ) -> Window | None:
        return None if image.plane is None else window_on(mask, image.frame, prompts, kept)

    def _see(self, image: EncodedImage, frame: Frame) -> Any:
        """A close-up, encoded."""
        assert image.plane is not None, "of this image nothing is kept to look at closely"
        return self.segmenter.encode(close_square(image.plane, frame).to(self.device))

    def _by_halves(self, image: EncodedImage, context: Context) -> list[Tensor]:
        """What each half of the context, its even and its odd pairs, makes of the untouched image."""
        if len(context) < 2:
            return []
        (memory, owners), whole = context.shelves[WHOLE], image.scales[0]
        shown = [pair for pair in range(len(context.pairs)) if pair not in context.hidden]
        maps = []
        for half in (set(shown[::2]), set(shown[1::2])):
            entries = [i for i, owner in enumerate(owners) if owner in half][-HALF_CAP:]
            part = memory.select(torch.tensor([entries] * len(whole)))
            opened = self.segmenter.open(image.seen[0], part)
            logits = self.segmenter.decode(opened, [], list(enumerate(whole)), None)
            maps.append(mosaic(image.canvas, whole, logits.cpu()))
        return maps

    def _is_ours(self, state: State, image: EncodedImage) -> bool:
        """Whether the state has the logits of this image's views, as this network sees them."""
        side, views = self.segmenter.state_side, image.views + (state.window is not None)
        return state.logits.shape == (views, side, side)

    def _blank(self, image: EncodedImage) -> Tensor:
        side = self.segmenter.state_side
        return torch.zeros(image.views, side, side)

    def _nothing(self, image: EncodedImage) -> Result:
        empty = np.zeros((image.frame.height, image.frame.width), dtype=np.float32)
        return Result(empty > 0, empty, 1.0, State(self._blank(image).numpy().astype(np.float16), 0))


def _shared(asked: Sequence[Asked], lanes: int) -> list[Asked]:
    """The same views in parts of which none takes longer than its lane's share, the largest first."""
    most = max(1, ceil(sum(len(part.views) for part in asked) / lanes))
    parts = [
        Asked(part.scale, part.views[i : i + most], part.rows[i : i + most])
        for part in asked
        for i in range(0, len(part.views), most)
    ]
    return sorted(parts, key=lambda part: len(part.views), reverse=True)


def _frame_on(image: EncodedImage, window: Window) -> Frame:
    return Frame(image.frame.height, image.frame.width, window=window)


def _map_of(close: Close, prompts: Sequence[Prompt]) -> Floats:
    """The probabilities (rows, columns) of the image's pixels in the close-up."""
    rows, columns = close.frame.inner
    square = under_ink(torch.sigmoid(close.logits[0, 0, :rows, :columns]), close.frame, prompts)
    return close.frame.out_of_square(square[None, None])


def _probability(on_canvas: Tensor, canvas: Frame, prompts: Sequence[Prompt], close: Close | None) -> Floats:
    """The map of the image's own size, with the close-up in it."""
    probability = at_image_size(on_canvas, canvas)
    if close is None:
        return probability
    return blended(probability, _map_of(close, prompts), close.frame.seen)


def _maps(image: EncodedImage, logits: Tensor) -> list[Tensor]:
    """Logits (V, h, w) of all views -> the probability map of every scale, on the image's canvas."""
    parts = torch.split(logits[:, None], [len(views) for views in image.scales])
    return [mosaic(image.canvas, views, part) for views, part in zip(image.scales, parts, strict=True)]
