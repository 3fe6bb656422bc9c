"""The rules of annotating: prompts, manual edits, undo and redo, drafts, flags and comments."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import ColumnElement, and_, delete
from sqlalchemy.orm import Session

from models.prompts import Click, Prompt, all_inside
from service import blobs
from service.annotations import queries
from service.annotations.steps import Standing
from service.clock import now
from service.context.queries import good_for, version_for
from service.db import on_commit
from service.errors import NothingToUndo, NotOpen, PromptOutside, VersionStale
from service.etag import names
from service.jobs import Job, Jobs
from service.metrics.actions import note_activity
from service.queue.actions import extend, has_lease, require_lease
from service.queue.queries import LIVE
from service.tables import Annotation, Comment, Draft, Interaction, Prediction, State


def held(session: Session, annotation_id: int, user_id: int, token: str) -> Annotation:
    """The annotation: locked, at work, and leased to the user, who shows by this that they are active."""
    annotation = queries.locked(session, annotation_id)
    require_live(annotation)
    if annotation.state is State.SUBMITTED and not has_lease(session, annotation_id, user_id):
        raise NotOpen("The annotation is submitted. Withdraw it, or wait until a reviewer has returned it.")
    lease = require_lease(session, annotation_id, user_id, token)
    extend(lease, active=True)
    note_activity(session, annotation_id, user_id)
    return annotation


def add_interaction(
    session: Session,
    jobs: Jobs,
    annotation: Annotation,
    user_id: int,
    prompts: Sequence[Prompt],
) -> Interaction:
    """The next step of an annotation at work, with its prediction on the way."""
    _require_inside(annotation, prompts)
    interaction = _add_step(session, annotation, Interaction(user_id=user_id, prompts=tuple(prompts)))
    on_commit(session, partial(jobs.send, Job.PREDICT, interaction.id))
    return interaction


def add_edit(
    session: Session, annotation: Annotation, user_id: int, *, edit: str, mask_digest: str
) -> Interaction:
    """The next step, made by hand: it is its own mask and waits for no prediction."""
    made = Interaction(user_id=user_id, prompts=(), edit=edit, mask_digest=mask_digest)
    return _add_step(session, annotation, made)


def undo(session: Session, jobs: Jobs, annotation: Annotation) -> None:
    """Back to the step before the current one; nothing is deleted, and ``redo`` comes back."""
    path = queries.standing(session, annotation).path
    if not path:
        raise NothingToUndo("Nothing has been drawn yet, so there is nothing to undo.")
    _move(session, jobs, annotation, path[-1].parent)


def redo(session: Session, jobs: Jobs, annotation: Annotation) -> None:
    """On to the step that was undone last."""
    following = queries.standing(session, annotation).following
    if following is None:
        raise NothingToUndo("Nothing has been undone here, so there is nothing to redo.")
    _move(session, jobs, annotation, following)


def ask_for_missing(session: Session, jobs: Jobs, annotation: Annotation, standing: Standing) -> bool:
    """Send for what a person who opens the annotation should see; whether anything is missing.

    Once somebody has drawn, the first mask stays the one that they began with; and once it has been
    submitted, it stays what was submitted.
    """
    if standing.path:
        current = standing.path[-1]
        if standing.settled or current.failed_at is not None:
            return False
        on_commit(session, partial(jobs.send, Job.PREDICT, current.id))
        return True
    if standing.seen is not None and (standing.following is not None or annotation.state is not State.OPEN):
        return False
    if _is_current(standing.predictions, annotation):
        return False
    if annotation.first_failure is not None:
        # One more try for whoever looks: what was in the way may have gone, and if not they soon hear so.
        annotation.first_attempts = max(annotation.first_attempts - 1, 0)
        annotation.first_failure = None
        annotation.version += 1
    on_commit(session, partial(jobs.send, Job.PREDICT_FIRST, annotation.id, urgent=True))
    return True


def _is_current(firsts: Sequence[Prediction], annotation: Annotation) -> bool:
    """Whether the newest prediction without prompts was made with the context as it is, or nearly so."""
    if not firsts:
        return False
    made = firsts[0].context_version
    return made >= version_for(annotation) or made >= good_for(annotation)


def save_draft(
    session: Session,
    annotation: Annotation,
    user_id: int,
    *,
    prompts: Sequence[Prompt],
    mask_digest: str | None,
) -> Draft:
    """Keep what the user has drawn and not yet sent, in the place of what was kept before."""
    _require_inside(annotation, prompts)
    blobs.note(session, {Draft.__table__: _draft_of(annotation.id, user_id)})
    draft = Draft(
        annotation_id=annotation.id,
        user_id=user_id,
        prompts=tuple(prompts),
        mask_digest=mask_digest,
        step=annotation.step,
        saved_at=now(),
    )
    return session.merge(draft)


def forget_draft(session: Session, annotation_id: int, user_id: int) -> None:
    forget_drafts(session, _draft_of(annotation_id, user_id))


def forget_drafts(session: Session, which: ColumnElement[bool]) -> None:
    """Delete these drafts; their masks go with them if nothing else has them."""
    blobs.note(session, {Draft.__table__: which})
    session.execute(delete(Draft).where(which))


def _draft_of(annotation_id: int, user_id: int) -> ColumnElement[bool]:
    return and_(Draft.annotation_id == annotation_id, Draft.user_id == user_id)


def flag(annotation: Annotation, reason: str | None) -> None:
    """Mark an annotation for others to look at, or take the mark away."""
    annotation.flag = reason
    annotation.version += 1


def comment(
    session: Session, annotation: Annotation, user_id: int, text: str, at: tuple[float, float] | None
) -> Comment:
    """A remark, pinned to a point of the image in its pixels, or to none."""
    if at is not None:
        _require_inside(annotation, [Click(*at)])
    x, y = at or (None, None)
    made = Comment(annotation_id=annotation.id, user_id=user_id, text=text, x=x, y=y)
    session.add(made)
    session.flush()
    return made


def require_version(annotation: Annotation, if_match: str) -> None:
    """That the caller has seen the annotation as it is now."""
    if not names(if_match, str(annotation.version)):
        raise VersionStale(
            f"You saw {if_match}, it is at version {annotation.version} now. Look at it again.",
            version=annotation.version,
        )


def require_step(annotation: Annotation, step: int) -> None:
    """That the caller has drawn on what is seen now, and not on an earlier or undone step."""
    if annotation.step != step:
        raise VersionStale(
            f"You drew on step {step}, and step {annotation.step} is seen now. Look at it again.",
            version=annotation.version,
            step=annotation.step,
        )


def require_live(annotation: Annotation) -> None:
    """That the annotation can still be changed."""
    if annotation.state not in LIVE:
        raise NotOpen(f"The annotation is {annotation.state}, so it cannot be changed.")


def _require_inside(annotation: Annotation, prompts: Sequence[Prompt]) -> None:
    image = annotation.image
    if not all_inside(prompts, width=image.width, height=image.height):
        raise PromptOutside(
            f"The image is {image.width} x {image.height} pixels; x runs from 0 to {image.width}, "
            f"y from 0 to {image.height}."
        )


def _add_step(session: Session, annotation: Annotation, step: Interaction) -> Interaction:
    require_live(annotation)
    step.annotation_id = annotation.id
    step.n = queries.newest_n(session, annotation.id) + 1
    step.parent = annotation.step
    session.add(step)
    annotation.step = annotation.tip = step.n
    annotation.version += 1
    session.flush()
    return step


def _move(session: Session, jobs: Jobs, annotation: Annotation, step: int) -> None:
    require_live(annotation)
    annotation.step = step
    annotation.version += 1
    session.flush()
    ask_for_missing(session, jobs, annotation, queries.standing(session, annotation))
