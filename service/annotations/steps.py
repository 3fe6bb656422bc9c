"""The steps of an annotation: a tree of interactions, of which people see the path to the current one."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.tables import Interaction, Prediction


@dataclass(frozen=True, slots=True)
class Seen:
    """The mask that is seen at a step: made by step ``n``, by a prediction or (without one) by hand."""

    n: int
    mask_digest: str
    prediction: Prediction | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an annotation stands: the path of its current step, what is seen there, and what redo leads to.

    ``predictions`` are those on the path, newest first.
    """

    step: int
    path: tuple[Interaction, ...]
    predictions: tuple[Prediction, ...]
    following: int | None

    @property
    def seen(self) -> Seen | None:
        """The newest mask on the path; that of an earlier step while the current one has none yet."""
        return seen_on(self.path, self.predictions)

    @property
    def settled(self) -> bool:
        """Whether what is seen is of the current step."""
        return self.seen is not None and self.seen.n == self.step


def path_to(steps: Sequence[Interaction], n: int) -> tuple[Interaction, ...]:
    """The steps from the first one to step ``n``, each the parent of the next; none for step 0."""
    by_n = {step.n: step for step in steps}
    backwards = []
    while n:
        backwards.append(by_n[n])
        n = by_n[n].parent
    return tuple(reversed(backwards))


def following(steps: Sequence[Interaction], n: int, tip: int | None) -> int | None:
    """Where redo leads from step ``n``: towards ``tip``, and otherwise to the newest step upon it."""
    towards = (step.n for step in path_to(steps, tip or 0) if step.parent == n)
    return next(towards, None) or max((step.n for step in steps if step.parent == n), default=None)


def seen_on(path: Sequence[Interaction], predictions: Sequence[Prediction]) -> Seen | None:
    """The newest mask on a path, given its predictions, newest first."""
    edits = [step for step in path if step.mask_digest is not None]
    newest = predictions[0] if predictions else None
    if edits and (newest is None or edits[-1].n > newest.n):
        assert edits[-1].mask_digest is not None
        return Seen(edits[-1].n, edits[-1].mask_digest, None)
    return Seen(newest.n, newest.mask_digest, newest) if newest else None
