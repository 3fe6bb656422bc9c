"""Rows and blobs into what the Predictor takes: images encoded once, contexts extended, both kept."""

import logging
import math
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from models.encoding import Window
from models.handles import Context, EncodedImage, State
from models.predictor import Predictor
from models.quality import Pair
from service.annotations.work import Work
from service.context.queries import ContextPair
from service.images.decode import decode
from service.masks import Mask, from_png
from service.storage import Storage

logger = logging.getLogger(__name__)

# An encoded image that has been opened takes about 55 MB, a context of 256 pairs about 150 MB.
IMAGES_KEPT = 14
ENCODED_PAIRS_KEPT = 1024  # in the contexts of all labels
ANSWERS_KEPT = 16
# Of the slices of its own volume, so many are read by an image before all else.
NEIGHBOURS = 2
# How many prompts were answered; views, rows and columns; the window of the close-up. Then logits in
# [-30, 30] as steps of 1/4, packed with zlib where that makes them fewer bytes.
STATE_HEADER = struct.Struct("<4I4i")
NO_WINDOW = Window(-1, -1, -1, -1)
STEPS_PER_UNIT = 4

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values last used, of which ``limit`` are kept, or as many as weigh so much; always the newest."""

    def __init__(self, limit: int, weight: Callable[[Value], int] = lambda _: 1) -> None:
        self._limit, self._weight = limit, weight
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, which is the last used now; None when it is not kept."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep the value, and let go of those that were used longest ago."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > 1 and sum(map(self._weight, self._values.values())) > self._limit:
            self._values.popitem(last=False)


@dataclass(frozen=True)
class KeptContext:
    """The newest encoded pairs of a label that were asked for."""

    pairs: tuple[ContextPair, ...]
    context: Context

    def __len__(self) -> int:
        return len(self.pairs)

    def leading_to(self, pairs: Sequence[ContextPair]) -> "KeptContext":
        """Without what has left, if any has: its pairs are the oldest of these then, or these its oldest."""
        if all(own == other for own, other in zip(self.pairs, pairs, strict=False)):
            return self
        staying: list[int] = []
        for i, own in enumerate(self.pairs):
            if len(staying) < len(pairs) and own == pairs[len(staying)]:
                staying.append(i)
        return KeptContext(tuple(self.pairs[i] for i in staying), self.context.keeping(staying))


class Answer(NamedTuple):
    """What the network last made of an annotation; kept, because the next step begins from it."""

    state_digest: str | None
    mask: Mask | None
    state: State | None


@dataclass
class Inputs:
    """One model's encoded images and contexts; serves one thread."""

    predictor: Predictor
    storage: Storage
    images: Recent[str, EncodedImage] = field(default_factory=lambda: Recent(IMAGES_KEPT))
    contexts: Recent[int, "KeptContext"] = field(default_factory=lambda: Recent(ENCODED_PAIRS_KEPT, len))
    answers: Recent[int, Answer] = field(default_factory=lambda: Recent(ANSWERS_KEPT))

    def image(self, digest: str, *, keep: bool = True) -> EncodedImage:
        """The image with that digest, encoded; FileNotFoundError when its blob is gone.

        Unless to ``keep``, it takes no place from those that people have open.
        """
        encoded = self.images.get(digest)
        if encoded is None:
            encoded = self.predictor.encode_image(decode(self.storage.get(digest)))
            if keep:
                self.images.put(digest, encoded)
        return encoded

    def interruptible(self, before: Callable[[], None]) -> "Inputs":
        """The same, with what is kept, for work that ``before`` may end at any pass of the network."""
        return replace(self, predictor=self.predictor.interruptible(before))

    def context(self, work: Work) -> Context:
        """The context of the work's label: the one at hand, without what has left it, extended.

        How far it has been extended when the work is interrupted is there for the next time.

        Left out of it is what came after the work's version, and what others have made of the same image:
        whoever annotates it after them should not see it.
        """
        kept = self.contexts.get(work.label_id) or KeptContext((), self.predictor.encode_context([]))
        kept = kept.leading_to(work.context)
        self.contexts.put(work.label_id, kept)
        for size, pair in enumerate(work.context[len(kept) :], len(kept) + 1):
            context = self.predictor.extend_context(kept.context, *self.pair(pair, keep=False))
            kept = KeptContext(work.context[:size], context)
            self.contexts.put(work.label_id, kept)
        pinned = frozenset(i for i, pair in enumerate(work.context) if pair.pinned)
        own = frozenset(i for i, pair in enumerate(work.context) if pair.image_id == work.image_id)
        later = frozenset(range(len(work.context), len(kept.pairs)))
        return kept.context.reading_first(nearest(work), pinned).without(own | later)

    def pair(self, pair: ContextPair, *, keep: bool = True) -> Pair:
        """An accepted pair, its image encoded."""
        return self.image(pair.image_digest, keep=keep), self.mask(pair.mask_digest)

    def mask(self, digest: str) -> Mask:
        """The mask with that digest; FileNotFoundError when its blob is gone."""
        return from_png(self.storage.get(digest))

    def earlier(self, work: Work) -> Answer:
        """Mask and state of the step before; nothing for the first, and no state when it was lost.

        The state of somebody who drew by hand is what the network would have had to say to draw it.
        """
        if work.earlier is None:
            return Answer(None, None, None)
        if work.earlier.state_digest is None:
            mask = self.mask(work.earlier.mask_digest)
            drawn = self.predictor.drawn(self.image(work.image_digest), mask, work.edits[-1].prompts)
            return Answer(None, mask, drawn)
        kept = self.answers.get(work.annotation_id)
        if kept is not None and kept.state_digest == work.earlier.state_digest:
            return kept
        mask = self.mask(work.earlier.mask_digest)
        try:
            state = unpack_state(self.storage.get(work.earlier.state_digest))
        except (FileNotFoundError, ValueError):
            logger.warning("state.lost annotation=%d n=%d", work.annotation_id, work.n)
            state = None
        return Answer(work.earlier.state_digest, mask, state)


def nearest(work: Work) -> frozenset[int]:
    """The positions of those pairs that lie nearest to the image in its volume, before and behind alike.

    They look most like it, so it reads them first.
    """
    if work.series is None or work.place is None:
        return frozenset()
    near = [
        (abs(pair.place - work.place), i)
        for i, pair in enumerate(work.context)
        if pair.series == work.series and pair.place is not None and pair.image_id != work.image_id
    ]
    return frozenset(i for _, i in sorted(near)[:NEIGHBOURS])


def pack_state(state: State) -> bytes:
    """A state as ``previous`` reads it back, a byte for each logit at most."""
    logits = np.rint(state.logits.astype(np.float32) * STEPS_PER_UNIT).astype(np.int8)
    window = state.window or NO_WINDOW
    plain = logits.tobytes()
    return STATE_HEADER.pack(state.prompts, *logits.shape, *window) + min(
        plain, zlib.compress(plain, 1), key=len
    )


def unpack_state(data: bytes) -> State:
    """ValueError when ``data`` is not a whole state."""
    if len(data) < STATE_HEADER.size:
        raise ValueError(f"a state has at least {STATE_HEADER.size} bytes, not {len(data)}")
    prompts, views, height, width, *place = STATE_HEADER.unpack_from(data)
    shape, window = (views, height, width), Window(*place)
    plain = data[STATE_HEADER.size :]
    if len(plain) != math.prod(shape):
        try:
            plain = zlib.decompress(plain)
        except zlib.error as error:
            raise ValueError("the logits of a state are damaged") from error
    logits = np.frombuffer(plain, dtype=np.int8).reshape(shape)
    logits = (logits / np.float32(STEPS_PER_UNIT)).astype(np.float16)
    return State(logits, prompts, window if window != NO_WINDOW else None)
