"""What waits for a worker: what to predict for a step, and which work has been lost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, bindparam, exists, select
from sqlalchemy.orm import Session, aliased

from models.prompts import Prompt
from service.annotations.queries import PREDICTIONS, predictions_on
from service.annotations.steps import path_to, seen_on
from service.clock import now
from service.context.queries import ContextPair, good_from, in_control, pairs, unchecked
from service.jobs import Job
from service.queue.queries import LIVE, ahead, live
from service.tables import IMPORT, Annotation, Image, Interaction, Label, Lease, Prediction, Project, State
from service.tables.columns import UtcDateTime

# Older interactions without a prediction are sent again when somebody opens the annotation; the
# bound keeps the sweep's query as small after a year as on the first day.
LOST_WITHIN = timedelta(hours=1)

# Reads the context of a label at a version, which never changes: who has read it may remember it.
PairsReader = Callable[[Session, int, int], tuple[ContextPair, ...]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The mask before the one to be made, and the network's state then; none when it was made by hand."""

    mask_digest: str
    state_digest: str | None


@dataclass(frozen=True, slots=True)
class Edit:
    """A manual edit: the masks before and after it, and how many prompts there were by then."""

    before: str | None
    after: str
    prompts: int


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know to predict one step of one annotation."""

    annotation_id: int
    label_id: int
    image_id: int
    image_digest: str
    n: int
    prompts: tuple[Prompt, ...]
    edits: tuple[Edit, ...]
    earlier: Earlier | None
    model: str
    context_version: int
    context: tuple[ContextPair, ...]
    # Whether somebody has the image before them now.
    opened: bool = False
    # Where the image lies, if it is of a volume.
    series: str | None = None
    place: float | None = None

    @property
    def awaited(self) -> bool:
        """Whether a person waits for it."""
        return self.n > 0 or self.opened

    @property
    def context_size(self) -> int:
        """How many pairs are read: what others have made of the same image is not."""
        return sum(pair.image_id != self.image_id for pair in self.context)


def work_on_interaction(
    session: Session, interaction_id: int, read_pairs: PairsReader = pairs
) -> Work | None:
    """What to predict for an interaction; None when nobody waits for it any more."""
    steps = session.scalars(_ALL_STEPS, {"interaction_id": interaction_id}).all()
    step = next((each for each in steps if each.id == interaction_id), None)
    if step is None or step.failed_at is not None or step.mask_digest is not None:
        return None
    return _work(session, step.annotation_id, path_to(steps, step.n), read_pairs)


def work_on_first(session: Session, annotation_id: int, read_pairs: PairsReader = pairs) -> Work | None:
    """What to predict before anybody has drawn; None when it is there, or somebody has drawn."""
    return _work(session, annotation_id, (), read_pairs)


def _work(
    session: Session, annotation_id: int, path: Sequence[Interaction], read_pairs: PairsReader
) -> Work | None:
    """The work on the current step, unless it is done: one SELECT, it is in the way of every prompt."""
    n = path[-1].n if path else 0
    steps = [0, *(step.n for step in path)]
    wanted = {"annotation_id": annotation_id, "n": n, "path": steps, "now": now()}
    found = session.execute(_OPEN, wanted).first()
    if found is None or (n == 0 and found.first_failure is not None):
        return None
    version = found.context_version if found.use_context and not found.control else 0
    oldest = good_from(version, found.left)
    if found.predicted_n == n and (n > 0 or found.predicted_version >= oldest):
        return None
    context = read_pairs(session, found.label_id, version) if version else ()
    if found.predicted_version is not None and oldest <= found.predicted_version < version:
        # To read a longer context an image takes as long as for ten prompts, and a person waits meanwhile.
        before = read_pairs(session, found.label_id, found.predicted_version)
        if before == context[: len(before)]:
            version, context = found.predicted_version, context[: len(before)]  # with the pins of today
    earlier = None
    if n > 0 and found.predicted_n is not None:
        earlier = Earlier(found.mask_digest, found.state_digest)
    edits = _edits(session, annotation_id, path)
    if edits and max(step.n for step in path if step.mask_digest) > (found.predicted_n or 0):
        earlier = Earlier(edits[-1].after, None)
    return Work(
        annotation_id=annotation_id,
        label_id=found.label_id,
        image_id=found.image_id,
        image_digest=found.image_digest,
        n=n,
        prompts=tuple(prompt for step in path for prompt in step.prompts),
        edits=edits,
        earlier=earlier,
        model=found.model,
        context_version=version,
        context=context,
        opened=found.opened,
        series=found.series,
        place=found.place,
    )


def _edits(session: Session, annotation_id: int, path: Sequence[Interaction]) -> tuple[Edit, ...]:
    """The manual edits on a path, oldest first."""
    if not any(step.mask_digest for step in path):
        return ()
    predictions = predictions_on(session, annotation_id, path)
    edits, prompts = [], 0
    for index, step in enumerate(path):
        if step.mask_digest is not None:
            earlier = tuple(each for each in predictions if each.n < step.n)
            seen = seen_on(path[:index], earlier)
            before = seen.mask_digest if seen else None
            if step.edit == IMPORT:  # nobody has painted it, so the network may change all of it
                before = step.mask_digest
            edits.append(Edit(before, step.mask_digest, prompts))
        prompts += len(step.prompts)
    return tuple(edits)


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
_NEWEST_PREDICTION = PREDICTIONS.with_only_columns(Prediction.id).limit(1).scalar_subquery()
_OPEN = (
    select(
        Annotation.label_id,
        Annotation.image_id,
        Annotation.first_failure,
        Image.digest.label("image_digest"),
        Image.series,
        Image.place,
        Project.model,
        Project.use_context,
        in_control(Project.control_share).label("control"),
        Label.context_version,
        Label.left_version.label("left"),
        Prediction.n.label("predicted_n"),
        Prediction.context_version.label("predicted_version"),
        Prediction.mask_digest,
        Prediction.state_digest,
        exists()
        .where(Lease.annotation_id == Annotation.id, live(bindparam("now", type_=UtcDateTime)))
        .label("opened"),
    )
    .join(Image, Image.id == Annotation.image_id)
    .join(Label, Label.id == Annotation.label_id)
    .join(Project, Project.id == Label.project_id)
    .outerjoin(Prediction, Prediction.id == _NEWEST_PREDICTION)
    .where(
        Annotation.id == bindparam("annotation_id"),
        Annotation.state.in_(LIVE),
        Annotation.step == bindparam("n"),
    )
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
    """The current steps of annotations at work that have no prediction and have not failed."""
    return (
        select(Interaction.id)
        .join(Annotation, Annotation.id == Interaction.annotation_id)
        .where(
            Annotation.state.in_(LIVE),
            Annotation.step == Interaction.n,
            Interaction.created_at < older_than,
            Interaction.created_at > older_than - LOST_WITHIN,
            Interaction.failed_at.is_(None),
            Interaction.mask_digest.is_(None),
            ~exists().where(
                Prediction.annotation_id == Interaction.annotation_id,
                Prediction.n == Interaction.n,
            ),
        )
        .order_by(Interaction.id)
    )


def _opened_without_mask(older_than: datetime) -> Select[int]:
    """Annotations that somebody looks at, untouched and without any prediction.

    One with a prediction of an older context is left alone: a new mask would appear under the
    eyes of the person who is judging the one that is there.
    """
    drawn = aliased(Interaction)
    return (
        select(Annotation.id)
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.state == State.OPEN,
            Annotation.opened_at < older_than,
            Annotation.first_failure.is_(None),
            live(now()),
            ~exists().where(Prediction.annotation_id == Annotation.id),
            ~exists().where(drawn.annotation_id == Annotation.id),
        )
    )


def _labels_at_work() -> Select[int]:
    """Labels that somebody is annotating now."""
    return (
        select(Annotation.label_id)
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(live(now()))
        .distinct()
    )
