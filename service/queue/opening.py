"""Opening an annotation: a lease on it, then its first mask, waited for if it is not there yet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from service.annotations import presentation, queries
from service.annotations.actions import ask_for_missing
from service.annotations.queries import channel_of
from service.annotations.schemas import AnnotationOut, LeaseOut
from service.annotations.waiting import wait_until
from service.context.queries import good_for
from service.db import reading
from service.dependencies import Caller, Events, Jobs, Rules, Sessions, Storage, Transaction, Wait
from service.metrics.actions import note_activity
from service.queue.actions import Granted
from service.queue.schemas import Next, NextOrNone
from service.tables import Annotation, Draft

Leased = tuple[Annotation, Granted]


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opens an annotation, how long they wait for its mask, and what is needed for it."""

    caller: Caller
    wait: Wait
    transaction: Transaction
    sessions: Sessions
    storage: Storage
    jobs: Jobs
    events: Events
    rules: Rules
    response: Response

    async def turn(self, label_id: int, take: Callable[..., Leased | None]) -> Any:
        """What it is the caller's turn to do under the label; an empty answer when ``take`` finds nothing."""
        who, seconds = self.caller.id, self.rules.lease_seconds
        return await self._answer(lambda session: take(session, label_id, who, seconds=seconds))

    async def this(self, annotation_id: int, take: Callable[..., Granted]) -> Next:
        """This very annotation, if ``take`` grants a lease on it."""

        def leased(session: Session) -> Leased:
            queries.lock_label_of(session, annotation_id)
            subject, seconds = queries.locked(session, annotation_id), self.rules.lease_seconds
            return subject, take(session, subject, self.caller.id, seconds=seconds)

        answer: Next = await self._answer(leased)
        return answer

    async def _answer(self, take: Callable[[Session], Leased | None]) -> Any:
        """What ``take`` leased, as soon as its mask is there; an empty answer when it found nothing."""
        draft: Draft | None = None

        def effect(session: Session) -> NextOrNone:
            nonlocal draft
            taken = take(session)
            if taken is None:
                return NextOrNone(found=None)
            subject, granted = taken
            draft = queries.draft(session, subject.id, self.caller.id)
            standing = queries.standing(session, subject)
            missing = ask_for_missing(session, self.jobs, subject, standing)
            good = good_for(subject) if missing else 0
            session.flush()
            note_activity(session, subject.id, self.caller.id, opening=True)
            shown = presentation.seen_at(session, subject, standing)
            found = Next(annotation=shown, lease=LeaseOut.model_validate(granted))
            return NextOrNone(found=found, missing=missing, good_from=good)

        answer = await run_in_threadpool(self.transaction, effect, NextOrNone)
        if answer.found is None:
            return Response(status_code=204)
        shown = answer.found.annotation
        if answer.missing and self.wait:
            shown = await self._when_predicted(shown, answer.good_from)
        if self.transaction.repeated:
            draft = await run_in_threadpool(self._draft, shown.id)
        opened = await run_in_threadpool(self._with_masks, shown, answer.found.lease, draft)
        self.response.headers["ETag"] = f'"{shown.version}"'
        return opened

    def _draft(self, annotation_id: int) -> Draft | None:
        with reading(self.sessions) as session:
            return queries.draft(session, annotation_id, self.caller.id)

    def _with_masks(self, shown: AnnotationOut, lease: LeaseOut, draft: Draft | None) -> Next:
        return Next(
            annotation=presentation.with_mask(shown, self.storage),
            lease=lease,
            draft=presentation.drafted(draft, self.storage) if draft else None,
        )

    async def _when_predicted(self, shown: AnnotationOut, good_from: int) -> AnnotationOut:
        """The annotation as soon as its prediction is there, or as it is when the wait is over."""

        def look() -> AnnotationOut:
            with reading(self.sessions) as session:
                return presentation.seen(session, queries.annotation(session, shown.id))

        def enough(event: dict[str, Any]) -> bool:
            current = event.get("context_version", 0) >= good_from
            return event["kind"] == "failed" or event["n"] > 0 or (current and shown.step == 0)

        # Which annotation it is was known only with the commit, so the event may have come and gone:
        # listen first, then look.
        async with self.events.subscribe(channel_of(shown.id)) as stream:
            shown = await run_in_threadpool(look)
            if not _settled(shown, good_from):
                await wait_until(stream, enough, self.wait)
                shown = await run_in_threadpool(look)
        return shown


Opening = Annotated[Opener, Depends(Opener)]


def _settled(shown: AnnotationOut, good_from: int) -> bool:
    """Whether the current step has its mask, the first one made with a context of ``good_from`` or later."""
    if shown.failure is not None or shown.edited is not None:
        return True
    if shown.prediction is None:
        return False
    if shown.step:
        return shown.prediction.n == shown.step
    return shown.prediction.context_version >= good_from
