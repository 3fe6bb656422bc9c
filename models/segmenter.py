"""What the Predictor needs of a network, whichever it is; every tensor here lies in the network's square.

From rare to frequent: ``encode`` an image, ``remember`` an accepted pair, ``open`` an image with a
memory, ``decode`` prompts. What a network returns from one and takes in the next is its own affair.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from torch import Tensor

from models.encoding import Frame
from models.prompts import Prompt


class Remembered(Protocol):
    """What S context pairs left behind; the order of the pairs does not matter to a prediction."""

    def __len__(self) -> int: ...

    def extended(self, other: Self) -> Self:
        """Both memories' entries, these first."""

    def select(self, entries: Sequence[int]) -> Self:
        """The entries at these positions."""


class Segmenter(Protocol):
    """A network behind the Predictor."""

    @property
    def state_shape(self) -> tuple[int, int]:
        """Rows and columns of the logits that ``decode`` returns and takes back."""

    @property
    def uses_context(self) -> bool:
        """Whether a memory changes anything."""

    def frame(self, height: int, width: int) -> Frame:
        """How an image of this size is laid into the square."""

    def encode(self, square: Tensor) -> Any:
        """(1, 1, side, side) in [0, 1] -> what is kept of an image."""

    def remember(self, seen: Any, mask: Tensor) -> Any:
        """An encoded image and its mask (1, 1, side, side), 0 or 1 -> a ``Remembered`` of one entry."""

    def relevance(self, seen: Any, memory: Any) -> Tensor:
        """How much each entry has to say about an encoded image: (S,), sums to 1."""

    def open(self, seen: Any, memory: Any | None) -> Any:
        """An encoded image and a ``Remembered``, or none -> what every interaction starts from."""

    def decode(self, opened: Any, prompts: Sequence[Prompt], frame: Frame, previous: Tensor | None) -> Tensor:
        """Prompts in image pixels and the last logits -> logits (1, 1, *state_shape) over the square."""
