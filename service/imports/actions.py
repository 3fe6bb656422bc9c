"""The rules of importing masks: which annotations they settle.

A mask that is imported makes its annotation accepted, as if somebody had submitted it, unless somebody works
on it or has settled it: nothing that a person did is overwritten, but an earlier import is. An empty mask
says that there is nothing to find; it is accepted, but shows the network nothing, so it does not enter the
context.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service import blobs
from service.annotations.closing import accept_imported
from service.context.actions import add_entry, remove_entries
from service.imports import queries
from service.projects.queries import lock_label
from service.tables import Annotation, State

# So many masks are settled in one unit of work: on SQLite nobody else can write while it lasts.
TOGETHER = 200


@dataclass(frozen=True, slots=True)
class Drawn:
    """The mask of an image for a label; its PNG is in the storage."""

    image_id: int
    label_id: int
    digest: str
    empty: bool


def accept(session: Session, user_id: int, drawn: Sequence[Drawn]) -> list[str | None]:
    """Settle the annotations of these masks; of each that is kept as it was, why.

    There is one mask of each image and label. With overlap the first annotation of each image is settled,
    which is not always the first replica: when less overlap is wanted, the one that was begun stays.
    """
    told: list[str | None] = [None] * len(drawn)
    taken: list[int] = []
    for label_id in sorted({each.label_id for each in drawn}):
        lock_label(session, label_id)
        of_label = [(n, each) for n, each in enumerate(drawn) if each.label_id == label_id]
        found: dict[int, tuple[Annotation, bool]] = {}
        for first in queries.annotations(session, label_id, {each.image_id for _, each in of_label}):
            found.setdefault(first[0].image_id, first)
        for n, each in of_label:
            if each.image_id not in found:
                told[n] = "it has been deleted meanwhile"
                continue
            annotation, worked_on = found[each.image_id]
            told[n] = _settled(annotation, each, worked_on=worked_on)
            if told[n] is None:
                _take(session, annotation, user_id, each)
                taken.append(annotation.id)
        session.flush()
    blobs.note_states(session, *taken)
    return told


def _take(session: Session, annotation: Annotation, user_id: int, drawn: Drawn) -> None:
    """Accept the mask, in the place of one that was imported before."""
    if annotation.state is State.ACCEPTED:
        remove_entries(session, annotation, "another mask was imported in its place")
        annotation.state = State.OPEN
    accept_imported(session, annotation, user_id, drawn.digest)
    if not drawn.empty:
        add_entry(session, annotation, drawn.digest)


def _settled(annotation: Annotation, drawn: Drawn, *, worked_on: bool) -> str | None:
    """Why an imported mask is not for this annotation; None when it is."""
    replaced = annotation.imported and annotation.mask_digest != drawn.digest
    if annotation.state is not State.OPEN and not (annotation.state is State.ACCEPTED and replaced):
        return f"it is {annotation.state} already"
    if worked_on:
        return "somebody works on it"
    return None
