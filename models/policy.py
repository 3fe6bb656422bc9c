"""Which context entries an image reads when there are too many: relevant ones, but not all alike."""

from collections.abc import Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DIVERSITY = 0.3
# So alike are copies of one entry only: a second one says nothing and comes after everything else.
TWIN, LAST = 0.999, 2.0


class Chooser(Protocol):
    """Positions of at most ``cap`` of S entries, in ascending order; those of ``always`` come first of all.

    ``relevance`` (S,) says how much an image makes of each entry, ``likeness`` (S, S) in [-1, 1] how
    similar two entries are.
    """

    def __call__(
        self,
        relevance: NDArray[np.float32],
        likeness: NDArray[np.float32],
        cap: int,
        *,
        always: Collection[int] = (),
    ) -> NDArray[np.intp]: ...


def choose(
    relevance: NDArray[np.float32],
    likeness: NDArray[np.float32],
    cap: int,
    *,
    always: Collection[int] = (),
) -> NDArray[np.intp]:
    """A ``Chooser`` by greedy maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    The next entry is the most relevant one that is not much like those that are in already.
    """
    score = relevance / max(float(relevance.max()), 1e-12)
    chosen = np.zeros(len(score), dtype=bool)
    closest = np.zeros(len(score), dtype=np.float32)
    first = sorted(always, key=lambda i: -score[i])[:cap]
    for n in range(min(cap, len(score))):
        penalty = np.where(closest > TWIN, LAST, DIVERSITY * closest)
        merit = np.where(chosen, -np.inf, score - penalty)
        i = first[n] if n < len(first) else int(merit.argmax())
        chosen[i] = True
        closest = np.maximum(closest, likeness[i])
    return np.flatnonzero(chosen)


def newest(
    relevance: NDArray[np.float32],
    likeness: NDArray[np.float32],
    cap: int,
    *,
    always: Collection[int] = (),
) -> NDArray[np.intp]:
    """A ``Chooser`` that looks at nothing: what ``choose`` is measured against."""
    pinned = sorted(always)[-cap:]
    others = [i for i in range(len(relevance)) if i not in always]
    room = cap - len(pinned)
    return np.array(sorted([*pinned, *others[max(len(others) - room, 0) :]]), dtype=np.intp)
