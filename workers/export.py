"""The task that makes the next part of an export; it gives way to people, and comes again till it is done."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.db import reading, unit_of_work
from service.errors import ImageRefused
from service.exports.actions import Cursor, Part, claim, fail, finish, forget, keep, let_go, part_name, save
from service.exports.archive import Piece, ending
from service.exports.formats import FORMATS, FormatName
from service.exports.making import DamagedError, Format, Making, Step
from service.exports.queries import scope
from service.jobs import Job
from service.tables import Export
from workers.bench import Bench

logger = logging.getLogger(__name__)

# Predictions ahead of time wait for one part, prompts for one item or for what is read before it.
PART_SECONDS, LOOK_SECONDS = 0.5, 0.02
SIGN_SECONDS = 5.0
PART_BYTES = 8 * 1024 * 1024


def make_part(bench: Bench, export_id: int) -> None:
    """Make what fits into half a second; an export that is finished, gone or in other hands is left alone."""
    with unit_of_work(bench.sessions) as session:
        made = claim(session, export_id, max_attempts=bench.max_attempts)
    if made is None:
        return
    try:
        finished = _make_part(bench, made)
    except Exception as error:
        with unit_of_work(bench.sessions) as session:
            if made.attempts < bench.max_attempts:
                let_go(session, made)
            else:
                fail(session, made, f"It cannot be made: {type(error).__name__}: {error}")
        bench.jobs.send(Job.EXPORT, export_id)
        raise
    if finished:
        logger.info("export.done export=%d items=%d", export_id, made.done)
    else:
        bench.jobs.send(Job.EXPORT, export_id)


def _make_part(bench: Bench, made: Export) -> bool:
    """Whether the caller has no more to do for this export."""
    form, cursor = FORMATS[FormatName(made.format)], Cursor(**(made.cursor or {}))
    with reading(bench.sessions) as session:
        of = scope(session, made)
        if not made.parts:
            made.total = sum(step.count(session, of) for step in form.steps)
        names = _names(bench, session, form, made)
    start = sum(size for _, size in made.parts)
    making = Making(
        of, bench.sessions, bench.storage, Piece(start, of.made_at), names, cursor.carry, made.report
    )
    making.alive = _sign_of_life(bench, made)
    part = _Part(bench, form, making, cursor, made.done)
    complete = part.fill(_patience(bench))
    cursor.carry = making.carry
    new = _kept(bench, made, part, complete=complete)
    with unit_of_work(bench.sessions) as session:
        if complete:
            ours = finish(session, made, new, done=part.done)
        else:
            ours = save(session, made, new, cursor, done=part.done)
        if not ours:
            forget(session, bench.storage, made.id)
    made.done = part.done
    return complete or not ours


def _names(bench: Bench, session: Session, form: Format, made: Export) -> dict[int, str]:
    """What the files in the export are called; read for its first two parts, and then remembered.

    Remembered under the first part: an export that begins again, because images were deleted, has another.
    For a part that is tried again they are read again: it may need to name a file that was added since.
    """
    if form.stems is None:
        return {}
    first = made.parts[0][0] if made.parts else ""
    names = bench.names.get(first) if made.attempts == 1 else None
    if names is None:
        names = form.stems(session, made.project_id)
        if first:
            bench.names.put(first, names)
    return names


@dataclass
class _Part:
    """The part in the making; ``done`` counts items."""

    bench: Bench
    form: Format
    making: Making
    cursor: Cursor
    done: int

    def fill(self, enough: Callable[[], bool]) -> bool:
        """Write items until it is ``enough``, one at least; True when there are no more."""
        while self.cursor.step < len(self.form.steps):
            step = self.form.steps[self.cursor.step]
            if not self.cursor.begun:
                self.cursor.begun = True
                if step.before is not None:
                    step.before(self.making)
            if not self._fill_from(step, enough):
                return False
            if step.after is not None:
                step.after(self.making)
            self.making.carry = {}
            self.cursor.step, self.cursor.after, self.cursor.begun = self.cursor.step + 1, None, False
        return True

    def _fill_from(self, step: Step, enough: Callable[[], bool]) -> bool:
        """Whether the step has no more items."""
        while True:
            with reading(self.bench.sessions) as session:
                page = step.page(session, self.making.scope, self.cursor.after, step.limit)
            for item in page:
                try:
                    step.write(self.making, item)
                except DamagedError as error:
                    self.making.tell(item.name, str(error))
                except ImageRefused as error:
                    self.making.tell(item.name, error.detail)
                self.cursor.after = item.key
                self.done += 1
                if enough() or len(self.making.piece.body) + len(self.making.text) > PART_BYTES:
                    return False
            if len(page) < step.limit:
                return True


def _patience(bench: Bench) -> Callable[[], bool]:
    """Tells when the part has taken long enough, or somebody waits for a mask."""
    began = looked = time.monotonic()

    def enough() -> bool:
        nonlocal looked
        now = time.monotonic()
        if now - looked < LOOK_SECONDS:
            return False
        looked = now
        return now - began > PART_SECONDS or bench.jobs.people_wait()

    return enough


def _sign_of_life(bench: Bench, made: Export) -> Callable[[], None]:
    """Says now and then that the worker is at it: volumes take longer than a silent one is waited for."""
    told = time.monotonic()

    def alive() -> None:
        nonlocal told
        if time.monotonic() - told > SIGN_SECONDS:
            told = time.monotonic()
            with unit_of_work(bench.sessions) as session:
                keep(session, made)

    return alive


def _kept(bench: Bench, made: Export, part: _Part, *, complete: bool) -> list[Part]:
    """The part in the storage; after the last one of an archive also its directory."""
    new = [_written(bench, made, bytes(part.making.piece.body or part.making.text))]
    if not part.form.zipped:
        return new
    cursor, piece = part.cursor, part.making.piece
    cursor.files += piece.files
    lines = _written(bench, made, bytes(piece.directory))
    cursor.directory.append([lines.name, lines.size])
    if not complete:
        return new
    directory = [Part(name, size) for name, size in cursor.directory]
    last = ending(cursor.files, piece.start + new[0].size, sum(each.size for each in directory))
    return [*new, *directory, _written(bench, made, last)]


def _written(bench: Bench, made: Export, data: bytes) -> Part:
    name = part_name(made.id)
    bench.storage.write_passing(name, data)
    return Part(name, len(data))
