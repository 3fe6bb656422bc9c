"""Which context entries an image reads when there are too many: relevant ones, but not all alike."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DIVERSITY = 0.3
# So alike are copies of one entry only: a second one says nothing and comes after everything else.
TWIN, LAST = 0.999, 2.0


class Chooser(Protocol):
    """Positions of at most ``cap`` of S entries, in ascending order.

    ``relevance`` (S,) says how much an image makes of each entry, ``likeness`` (S, S) in [-1, 1] how
    similar two entries are. Those of ``first`` come before all others, of its groups the earlier one first.
    """

    def __call__(
        self,
        relevance: NDArray[np.float32],
        likeness: NDArray[np.float32],
        cap: int,
        *,
        first: Sequence[Collection[int]] = (),
    ) -> NDArray[np.intp]: ...


def choose(
    relevance: NDArray[np.float32],
    likeness: NDArray[np.float32],
    cap: int,
    *,
    first: Sequence[Collection[int]] = (),
) -> NDArray[np.intp]:
    """A ``Chooser`` by greedy maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    The next entry is the most relevant one that is not much like those that are in already; within a group
    the most relevant one.
    """
    score = relevance / max(float(relevance.max()), 1e-12)
    chosen = np.zeros(len(score), dtype=bool)
    closest = np.zeros(len(score), dtype=np.float32)
    ahead = _in_turn(first, score)
    for _ in range(min(cap, len(score))):
        penalty = np.where(closest > TWIN, LAST, DIVERSITY * closest)
        merit = np.where(chosen, -np.inf, score - penalty)
        i = next(ahead, int(merit.argmax()))
        chosen[i] = True
        closest = np.maximum(closest, likeness[i])
    return np.flatnonzero(chosen)


def newest(
    relevance: NDArray[np.float32],
    likeness: NDArray[np.float32],
    cap: int,
    *,
    first: Sequence[Collection[int]] = (),
) -> NDArray[np.intp]:
    """A ``Chooser`` that looks at nothing: what ``choose`` is measured against."""
    everything = range(len(relevance))
    ranked = list(_in_turn([*first, everything], everything))
    return np.array(sorted(ranked[:cap]), dtype=np.intp)


def _in_turn(
    groups: Sequence[Collection[int]], score: Sequence[float] | NDArray[np.float32]
) -> Iterator[int]:
    """The entries of one group after the other, each entry once, in a group those that score most first."""
    return iter(dict.fromkeys(i for group in groups for i in sorted(group, key=lambda i: -score[i])))
