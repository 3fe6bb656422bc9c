"""What the Predictor needs of a network, whichever it is; every tensor here lies in the network's square.

A network looks at an image in one or several *scales*; a scale is one or several *views* (frames) that
share a memory: the whole image, or tiles of it. V counts the views of a scale, S the entries of a memory.
From rare to frequent: ``encode`` an image, ``remember`` an accepted pair, ``open`` an image with a
memory, ``decode`` prompts. What a network returns from one and takes in the next is its own affair.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from torch import Tensor

from models.encoding import Frame
from models.prompts import Prompt


class Remembered(Protocol):
    """What S context entries left behind; their order does not matter to a prediction."""

    def __len__(self) -> int: ...

    def extended(self, other: Self) -> Self:
        """Both memories' entries, these first."""

    def likeness(self) -> Tensor:
        """How similar the entries are to each other: (S, S) in [-1, 1]."""

    def select(self, entries: Tensor) -> Self:
        """For each of V views its own n entries, given by their positions (V, n)."""


class Segmenter(Protocol):
    """A network behind the Predictor."""

    @property
    def uses_context(self) -> bool:
        """Whether a memory changes anything."""

    @property
    def looks_closely(self) -> bool:
        """Whether small objects are shown to it once more, larger (``models.closeup``)."""

    @property
    def state_side(self) -> int:
        """Rows, and columns, of the logits that ``decode`` returns and takes back."""

    def scales(self, height: int, width: int) -> tuple[tuple[Frame, ...], ...]:
        """How an image of this size is looked at, the whole image first: the views of every scale."""

    def encode(self, squares: Tensor) -> Any:
        """The views of one scale (V, 1, side, side) in [0, 1] -> what is kept of the image at that scale."""

    def remember(self, seen: Any, masks: Tensor) -> Any:
        """Encoded views and their masks (V, 1, side, side), 0 or 1 -> a ``Remembered`` of V entries."""

    def relevance(self, seen: Any, memory: Any) -> Tensor:
        """How much each entry has to say about each encoded view: (V, S), rows sum to 1."""

    def open(self, seen: Any, memory: Any | None) -> Any:
        """Encoded views and what they read, or nothing -> what every interaction starts from.

        The memory is one that all views share, or one with entries of its own for each (``select``).
        """

    def decode(
        self,
        opened: Any,
        prompts: Sequence[Prompt],
        views: Sequence[tuple[int, Frame]],
        previous: Tensor | None,
    ) -> Tensor:
        """Logits (n, 1, state_side, state_side) of some views of a scale, given by position and frame.

        ``prompts`` are in image pixels; ``previous`` holds the last logits of these views, in that shape.
        """


class Interruptible:
    """A segmenter that calls ``before`` each pass of another one: what that raises ends the work there."""

    def __init__(self, segmenter: Segmenter, before: Callable[[], None]) -> None:
        self._segmenter, self._before = segmenter, before
        self.uses_context, self.looks_closely = segmenter.uses_context, segmenter.looks_closely
        self.state_side = segmenter.state_side

    def scales(self, height: int, width: int) -> tuple[tuple[Frame, ...], ...]:
        return self._segmenter.scales(height, width)

    def encode(self, squares: Tensor) -> Any:
        self._before()
        return self._segmenter.encode(squares)

    def remember(self, seen: Any, masks: Tensor) -> Any:
        self._before()
        return self._segmenter.remember(seen, masks)

    def relevance(self, seen: Any, memory: Any) -> Tensor:
        self._before()
        return self._segmenter.relevance(seen, memory)

    def open(self, seen: Any, memory: Any | None) -> Any:
        self._before()
        return self._segmenter.open(seen, memory)

    def decode(
        self,
        opened: Any,
        prompts: Sequence[Prompt],
        views: Sequence[tuple[int, Frame]],
        previous: Tensor | None,
    ) -> Tensor:
        self._before()
        return self._segmenter.decode(opened, prompts, views, previous)
