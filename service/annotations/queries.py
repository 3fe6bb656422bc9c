"""Reads about annotations: one with all that belongs to it, and what waits for a worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ScalarSelect, Select, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from models.prompts import Prompt
from service.clock import now
from service.context.queries import ContextPair, pairs, unchecked, version_in_use
from service.errors import NotFound
from service.jobs import Job
from service.queue.queries import ahead
from service.tables import Annotation, Image, Interaction, Label, Lease, Prediction, Project, State

# Older interactions without a prediction are sent again when somebody opens the annotation; the
# bound keeps the sweep's query as small after a year as on the first day.
LOST_WITHIN = timedelta(hours=1)


# Reads the context of a label at a version, which never changes: who has read it may remember it.
PairsReader = Callable[[Session, int, int], tuple[ContextPair, ...]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The newest prediction before the one to be made: its row, and where mask and state are."""

    prediction_id: int
    mask_digest: str
    state_digest: str


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know to predict one step of one annotation."""

    annotation_id: int
    label_id: int
    image_id: int
    image_digest: str
    n: int
    prompts: tuple[Prompt, ...]
    earlier: Earlier | None
    model: str
    context_version: int
    context: tuple[ContextPair, ...]

    @property
    def context_size(self) -> int:
        """How many pairs are read: what others have made of the same image is not."""
        return sum(pair.image_id != self.image_id for pair in self.context)


def channel_of(annotation_id: int) -> str:
    """The event channel of an annotation."""
    return f"annotation:{annotation_id}"


def annotation(session: Session, annotation_id: int) -> Annotation:
    """The annotation with image, label and project; NotFound when there is none."""
    found = session.scalars(
        select(Annotation)
        .where(Annotation.id == annotation_id)
        .options(
            joinedload(Annotation.image, innerjoin=True),
            joinedload(Annotation.label, innerjoin=True).joinedload(Label.project, innerjoin=True),
        )
        .execution_options(populate_existing=True)
    ).first()
    return _there(found, annotation_id)


def locked(session: Session, annotation_id: int) -> Annotation:
    """The annotation and its image, nobody else's to change until the commit; NotFound without one."""
    return _there(session.scalars(_LOCKED, {"annotation_id": annotation_id}).first(), annotation_id)


_LOCKED = (
    select(Annotation)
    .join(Annotation.image)
    .options(contains_eager(Annotation.image))
    .where(Annotation.id == bindparam("annotation_id"))
    .with_for_update(of=Annotation)
    .execution_options(populate_existing=True)
)


def _there(found: Annotation | None, annotation_id: int) -> Annotation:
    if found is None:
        raise NotFound(f"There is no annotation {annotation_id}.")
    return found


def interactions(session: Session, annotation_id: int) -> Sequence[Interaction]:
    """All interactions of an annotation, in order."""
    return session.scalars(
        select(Interaction).where(Interaction.annotation_id == annotation_id).order_by(Interaction.n)
    ).all()


def newest_n(session: Session, annotation_id: int) -> int:
    """The number of the newest interaction; 0 when there is none."""
    return session.scalar(_NEWEST_N, {"annotation_id": annotation_id}) or 0


_NEWEST_N = select(func.max(Interaction.n)).where(Interaction.annotation_id == bindparam("annotation_id"))


def newest_predictions(
    session: Session, annotation_id: int, *, up_to: int, count: int
) -> Sequence[Prediction]:
    """The newest ``count`` predictions for interaction ``up_to`` or earlier, newest first."""
    return session.scalars(
        select(Prediction)
        .where(Prediction.annotation_id == annotation_id, Prediction.n <= up_to)
        .order_by(Prediction.n.desc(), Prediction.context_version.desc(), Prediction.id.desc())
        .limit(count)
    ).all()


def work_on_interaction(
    session: Session, interaction_id: int, read_pairs: PairsReader = pairs
) -> Work | None:
    """What to predict for an interaction; None when nobody waits for it any more."""
    steps = session.scalars(_ALL_STEPS, {"interaction_id": interaction_id}).all()
    if not steps or steps[-1].id != interaction_id or steps[-1].failed_at is not None:
        return None
    return _work(session, steps[-1].annotation_id, steps, read_pairs)


def work_on_first(session: Session, annotation_id: int, read_pairs: PairsReader = pairs) -> Work | None:
    """What to predict before anybody has drawn; None when it is there, or somebody has drawn."""
    if newest_n(session, annotation_id):
        return None
    return _work(session, annotation_id, (), read_pairs)


def has_current_first(session: Session, subject: Annotation) -> bool:
    """Whether there is a prediction without prompts, made with the context as it is now."""
    newest = newest_predictions(session, subject.id, up_to=0, count=1)
    return bool(newest) and newest[0].context_version >= version_in_use(subject.label)


def _work(
    session: Session, annotation_id: int, steps: Sequence[Interaction], read_pairs: PairsReader
) -> Work | None:
    """The work on an open annotation, unless it is done: one SELECT, it is in the way of every prompt."""
    n = steps[-1].n if steps else 0
    found = session.execute(_OPEN, {"annotation_id": annotation_id, "n": n}).first()
    if found is None or (n == 0 and found.first_failure is not None):
        return None
    version = found.context_version if found.use_context else 0
    if found.predicted_n == n and (n > 0 or found.predicted_version >= version):
        return None
    earlier = Earlier(found.prediction_id, found.mask_digest, found.state_digest)
    return Work(
        annotation_id=annotation_id,
        label_id=found.label_id,
        image_id=found.image_id,
        image_digest=found.image_digest,
        n=n,
        prompts=tuple(prompt for step in steps for prompt in step.prompts),
        earlier=earlier if n > 0 and found.prediction_id is not None else None,
        model=found.model,
        context_version=version,
        context=read_pairs(session, found.label_id, version) if version else (),
    )


# Made once and not for every prompt: SQLAlchemy takes longer to make a statement than to run it.
_ALL_STEPS = (
    select(Interaction)
    .where(
        Interaction.annotation_id
        == select(Interaction.annotation_id)
        .where(Interaction.id == bindparam("interaction_id"))
        .scalar_subquery()
    )
    .order_by(Interaction.n)
)


def _newest_prediction() -> ScalarSelect[int]:
    """The id of the newest prediction for interaction :n of :annotation_id or for an earlier one."""
    return (
        select(Prediction.id)
        .where(Prediction.annotation_id == bindparam("annotation_id"), Prediction.n <= bindparam("n"))
        .order_by(Prediction.n.desc(), Prediction.context_version.desc(), Prediction.id.desc())
        .limit(1)
        .scalar_subquery()
    )


_OPEN = (
    select(
        Annotation.label_id,
        Annotation.image_id,
        Annotation.first_failure,
        Image.digest.label("image_digest"),
        Project.model,
        Project.use_context,
        Label.context_version,
        Prediction.id.label("prediction_id"),
        Prediction.n.label("predicted_n"),
        Prediction.context_version.label("predicted_version"),
        Prediction.mask_digest,
        Prediction.state_digest,
    )
    .join(Image, Image.id == Annotation.image_id)
    .join(Label, Label.id == Annotation.label_id)
    .join(Project, Project.id == Label.project_id)
    .outerjoin(Prediction, Prediction.id == _newest_prediction())
    .where(Annotation.id == bindparam("annotation_id"), Annotation.state == State.OPEN)
)


def lost_work(session: Session, older_than: datetime, *, predict_ahead: int) -> list[tuple[Job, int]]:
    """Jobs that should have been done by now: asked for before ``older_than``, without a result."""
    lost = [(Job.PREDICT, row) for row in session.scalars(_unanswered(older_than))]
    lost += [(Job.PREDICT_FIRST, row) for row in session.scalars(_opened_without_mask(older_than))]
    for label_id in session.scalars(_labels_at_work()).all():
        lost += [(Job.PREDICT_FIRST, row) for row in ahead(session, label_id, predict_ahead)]
        lost += [(Job.CHECK, row) for row in unchecked(session, label_id, older_than)]
    return lost


def _unanswered(older_than: datetime) -> Select[int]:
    """The newest interactions of open annotations that have no prediction and have not failed."""
    later = aliased(Interaction)
    return (
        select(Interaction.id)
        .join(Annotation, Annotation.id == Interaction.annotation_id)
        .where(
            Annotation.state == State.OPEN,
            Interaction.created_at < older_than,
            Interaction.created_at > older_than - LOST_WITHIN,
            Interaction.failed_at.is_(None),
            ~exists().where(
                Prediction.annotation_id == Interaction.annotation_id,
                Prediction.n == Interaction.n,
            ),
            ~exists().where(later.annotation_id == Interaction.annotation_id, later.n > Interaction.n),
        )
        .order_by(Interaction.id)
    )


def _opened_without_mask(older_than: datetime) -> Select[int]:
    """Annotations that somebody looks at, untouched and without any prediction.

    One with a prediction of an older context is left alone: a new mask would appear under the
    eyes of the person who is judging the one that is there.
    """
    return (
        select(Annotation.id)
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.state == State.OPEN,
            Annotation.opened_at < older_than,
            Annotation.first_failure.is_(None),
            Lease.expires_at > now(),
            ~exists().where(Prediction.annotation_id == Annotation.id),
            ~exists().where(Interaction.annotation_id == Annotation.id),
        )
    )


def _labels_at_work() -> Select[int]:
    """Labels that somebody is annotating now."""
    return (
        select(Annotation.label_id)
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(Lease.expires_at > now())
        .distinct()
    )
