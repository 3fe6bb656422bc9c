"""What a Predictor hands out and takes back: encoded images, contexts, states and results."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.encoding import Frame, Window
from models.segmenter import Remembered
from models.views import canvas_of

# The scales of a context: whole images, their tiles, and close-ups of small objects.
WHOLE, TILES, CLOSE = range(3)


class Shelf(NamedTuple):
    """What a context has at one scale: the memory, and which pair each of its entries belongs to."""

    memory: Remembered
    owners: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Context:
    """Encoded accepted pairs of one label; a new one is made for every extension."""

    pairs: tuple[int, ...] = ()  # a number of its own for each
    shelves: Mapping[int, Shelf] = field(default_factory=dict)
    first: tuple[frozenset[int], ...] = ()  # by position: read before all others, group after group
    hidden: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.pairs) - len(self.hidden)

    @property
    def key(self) -> tuple[Collection[int], ...]:
        """What an image reads of it: contexts with the same key are the same to every image."""
        shown = tuple(pair for i, pair in enumerate(self.pairs) if i not in self.hidden)
        return shown, *(frozenset(self.pairs[i] for i in group) for group in self.first)

    def reading_first(self, *groups: Collection[int]) -> "Context":
        """The same context, of which these pairs (by position) are read first, group after group."""
        return replace(self, first=tuple(map(frozenset, groups)))

    def without(self, pairs: Collection[int]) -> "Context":
        """The same context, these pairs (by position) never read; nothing is encoded again for it."""
        return replace(self, hidden=frozenset(pairs))

    def keeping(self, pairs: Sequence[int]) -> "Context":
        """Only these pairs (by position, in order), all read; nothing is encoded again for it."""
        places = {old: new for new, old in enumerate(pairs)}
        shelves = {}
        for scale, (memory, owners) in self.shelves.items():
            if entries := [i for i, owner in enumerate(owners) if owner in places]:
                left = memory.select(torch.tensor([entries]))
                shelves[scale] = Shelf(left, tuple(places[owners[i]] for i in entries))
        return Context(tuple(self.pairs[i] for i in pairs), shelves)

    def extended(self, pair: int, entries: Mapping[int, Remembered]) -> "Context":
        """The context with one more pair, which left these entries at these scales."""
        shelves = dict(self.shelves)
        for scale, memory in entries.items():
            owners = (len(self.pairs),) * len(memory)
            kept = shelves.get(scale)
            shelves[scale] = (
                Shelf(memory, owners)
                if kept is None
                else Shelf(kept.memory.extended(memory), kept.owners + owners)
            )
        return replace(self, pairs=(*self.pairs, pair), shelves=shelves)

    def shown(self, scale: int) -> Shelf | None:
        """What there is at a scale without the hidden pairs; None for nothing.

        Images too small for tiles leave none: where all are, tiles read them whole.
        """
        memory, owners = self.shelves.get(scale, (None, ()))
        entries = [i for i, owner in enumerate(owners) if owner not in self.hidden]
        if memory is None or not entries:
            return self.shown(WHOLE) if scale == TILES else None
        if len(entries) < len(owners):
            memory = memory.select(torch.tensor([entries]))
        return Shelf(memory, tuple(owners[i] for i in entries))


@dataclass
class EncodedImage:
    """An image's features at every scale, and what it read of the last context it was predicted with.

    ``plane`` is the image as close-ups are cut from it, float16 in [0, 1]; None where there are none.
    """

    scales: tuple[tuple[Frame, ...], ...]
    seen: tuple[Any, ...]
    plane: NDArray[np.float16] | None = None
    _opened: tuple[Any, tuple[Any, ...]] | None = field(default=None, repr=False)
    _close: tuple[Any, Any] | None = field(default=None, repr=False)

    @property
    def frame(self) -> Frame:
        """The view of the whole image."""
        return self.scales[0][0]

    @property
    def canvas(self) -> Frame:
        """Where what the views say is put together."""
        return canvas_of(self.frame.height, self.frame.width)

    @property
    def views(self) -> int:
        """How many views there are of it, close-ups apart."""
        return sum(map(len, self.scales))

    def opened_with(self, context: Context, read: Callable[[Any, int], Any]) -> tuple[Any, ...]:
        """Per scale; the context is read at the first prediction with it, not at every interaction."""
        if self._opened is None or self._opened[0] != context.key:
            opened = tuple(read(seen, scale) for scale, seen in enumerate(self.seen))
            self._opened = (context.key, opened)
        return self._opened[1]

    def close_with(self, context: Context, window: Window, read: Callable[[], Any]) -> Any:
        """The same for the close-up; only that of the newest window is kept."""
        key = (context.key, window)
        if self._close is None or self._close[0] != key:
            self._close = (key, read())
        return self._close[1]

    def forget_context(self) -> None:
        """Frees what was read of a context; the next prediction reads again."""
        self._opened = self._close = None


@dataclass(frozen=True, eq=False)
class State:
    """Where an annotation stands: the logits (V, h, w) of all views, float16, after so many prompts.

    The last of them is the close-up on ``window``, if there is one.
    """

    logits: NDArray[np.float16]
    prompts: int
    window: Window | None = None


@dataclass(frozen=True)
class Result:
    """mask: bool (H, W); probability: float32 (H, W) in [0, 1]; uncertainty in [0, 1]: how much Dice is
    likely to be missing (``models.uncertainty``); state: hand back as ``previous``."""

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    uncertainty: float
    state: State
