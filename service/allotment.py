"""The work that a project is: for every image and label as many annotations as the overlap says, always."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from service import blobs
from service.tables import (
    Activity,
    Annotation,
    Comment,
    Draft,
    Image,
    Interaction,
    Label,
    Lease,
    Prediction,
    State,
    Submission,
)

# What somebody leaves behind who was at an annotation.
TRACES = (Lease, Interaction, Draft, Activity, Comment, Submission)


def allot(
    session: Session, label_ids: Iterable[int], image_ids: Sequence[int], replicas: Iterable[int]
) -> None:
    """Add an open annotation for each label, image and replica; the images come in the order given."""
    rows = [
        {
            "label_id": label_id,
            "image_id": image_id,
            "replica": replica,
            "position": image_id,
            "state": State.OPEN,
        }
        for label_id in label_ids
        for image_id in image_ids
        for replica in replicas
    ]
    if rows:
        session.execute(insert(Annotation), rows)


def set_overlap(session: Session, project_id: int, label_id: int, overlap: int) -> None:
    """Bring the annotations of every image to ``overlap``; what anybody has touched stays beyond it.

    Needs the label's row locked.
    """
    _drop(session, label_id, overlap)
    known: dict[int, set[int]] = defaultdict(set)
    for image_id, replica in session.execute(
        select(Annotation.image_id, Annotation.replica).where(Annotation.label_id == label_id)
    ):
        known[image_id].add(replica)
    images = session.scalars(select(Image.id).where(Image.project_id == project_id).order_by(Image.id))
    by_missing: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for image_id in images:
        free = (number for number in range(overlap) if number not in known[image_id])
        by_missing[tuple(free)[: max(overlap - len(known[image_id]), 0)]].append(image_id)
    for missing, image_ids in by_missing.items():
        allot(session, [label_id], image_ids, missing)


def untouched() -> ColumnElement[bool]:
    """Open, and nobody has been at it: what a machine made of it can be made again."""
    return and_(
        Annotation.state == State.OPEN,
        Annotation.opened_at.is_(None),
        Annotation.author_id.is_(None),
        Annotation.flag.is_(None),
        *(~exists().where(trace.annotation_id == Annotation.id) for trace in TRACES),
    )


def forget_first_masks(session: Session, project_id: int) -> None:
    """As if nothing had been predicted, or had failed, where nobody has begun: for another model to do.

    What somebody has open they go on judging as they see it. Needs the rows of the labels locked.
    """
    labels = select(Label.id).where(Label.project_id == project_id)
    begun = (
        exists().where(trace.annotation_id == Annotation.id) for trace in (Lease, Interaction, Submission)
    )
    afresh = and_(Annotation.label_id.in_(labels), Annotation.state == State.OPEN, *(~each for each in begun))
    lock_annotations(session, afresh)
    _forget_predictions(session, select(Annotation.id).where(afresh))
    never = {"first_attempts": 0, "first_failure": None, "first_uncertainty": None}
    session.execute(update(Annotation).where(afresh).values(**never, version=Annotation.version + 1))


def _drop(session: Session, label_id: int, overlap: int) -> None:
    """Delete the untouched annotations of each image that are more than ``overlap``, the last first."""
    lock_annotations(session, Annotation.label_id == label_id)
    order = (untouched(), Annotation.assigned_to.is_(None), Annotation.replica)
    place = func.row_number().over(partition_by=Annotation.image_id, order_by=order)
    ranked = (
        select(Annotation.id, place.label("place"), untouched().label("untouched"))
        .where(Annotation.label_id == label_id)
        .subquery()
    )
    surplus = select(ranked.c.id).where(ranked.c.place > overlap, ranked.c.untouched)
    ids = session.scalars(surplus).all()
    if ids:
        _forget_predictions(session, surplus)
    for start in range(0, len(ids), 500):
        session.execute(delete(Annotation).where(Annotation.id.in_(ids[start : start + 500])))


def lock_annotations(session: Session, which: ColumnElement[bool]) -> None:
    """Nobody else's to change until the commit; needs the rows of their labels locked.

    Whoever was at one of them, a worker too, has come to an end by now, or will find it changed or gone.
    """
    session.execute(select(Annotation.id).where(which).order_by(Annotation.id).with_for_update()).all()


def _forget_predictions(session: Session, annotation_ids: Select[int]) -> None:
    theirs = Prediction.annotation_id.in_(annotation_ids)
    blobs.note(session, {Prediction.__table__: theirs})
    session.execute(delete(Prediction).where(theirs))
