"""A CSV line for each annotation: what it took, in order of acceptance, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from service.csv_lines import line
from service.exports.making import Format, Making, Step
from service.exports.queries import Scope
from service.metrics.queries import (
    ACTIVE_SECONDS,
    ANNOTATOR,
    CONTEXT_SIZE,
    EDITS,
    FIRST_DICE,
    INTERACTIONS,
    REVIEWED,
)
from service.tables import Annotation, Image, Label, Review, Submission, User

Key = list[Any]

# In the order of acceptance; what is not accepted yet stands where it was submitted.
_ENDED = func.coalesce(Annotation.accepted_at, Annotation.submitted_at)
_RETURNED = (
    select(func.count(Review.id))
    .join(Submission, Submission.id == Review.submission_id)
    .where(Review.annotation_id == Annotation.id, Review.accepted.is_(False), REVIEWED)
    .correlate(Annotation)
    .scalar_subquery()
)
_LINES = (
    select(
        Annotation.id.label("annotation_id"),
        Annotation.label_id,
        Label.name.label("label"),
        Image.id.label("image_id"),
        Image.name.label("image"),
        Annotation.replica,
        Annotation.state,
        User.name.label("annotator"),
        INTERACTIONS.label("interactions"),
        EDITS.label("edits"),
        CONTEXT_SIZE.label("context_size"),
        Annotation.first_uncertainty,
        FIRST_DICE.label("first_dice"),
        _RETURNED.label("returned"),
        ACTIVE_SECONDS.label("active_seconds"),
        Annotation.control,
        Annotation.imported,
        Annotation.opened_at,
        Annotation.submitted_at,
        Annotation.accepted_at,
        _ENDED.label("ended_at"),
    )
    .join(Label, Label.id == Annotation.label_id)
    .join(Image, Image.id == Annotation.image_id)
    .outerjoin(User, User.id == ANNOTATOR)
    .order_by(Annotation.label_id, _ENDED, Annotation.id)
)
COLUMNS: tuple[str, ...] = (
    "label",
    "position",
    "image_id",
    "image",
    "replica",
    "state",
    "annotator",
    "interactions",
)
COLUMNS += ("running_mean", "edits", "context_size", "first_uncertainty", "first_dice", "returned")
COLUMNS += ("active_seconds", "control", "imported", "opened_at", "submitted_at", "accepted_at")


@dataclass(frozen=True, slots=True)
class Line:
    """One annotation as the SELECT told it."""

    told: dict[str, Any]

    @property
    def key(self) -> Key:
        return [self.told["label_id"], self.told["ended_at"].isoformat(), self.told["annotation_id"]]

    @property
    def name(self) -> str:
        return str(self.told["image"])


def count_lines(session: Session, of: Scope) -> int:
    return session.scalar(select(func.count(Annotation.id)).where(*_worked_on(of))) or 0


def lines(session: Session, of: Scope, after: Key | None, limit: int) -> list[Line]:
    """The next annotations of the export's labels and states."""
    statement = _LINES.where(*_worked_on(of)).limit(limit)
    if after is not None:
        label_id, ended, annotation_id = after
        seen = (label_id, datetime.fromisoformat(ended), annotation_id)
        statement = statement.where(tuple_(Annotation.label_id, _ENDED, Annotation.id) > seen)
    return [Line(dict(row._mapping)) for row in session.execute(statement)]


def _worked_on(of: Scope) -> tuple[Any, ...]:
    """What came after the export was asked for is not in it: who moves to the end would be there twice."""
    chosen = Annotation.label_id.in_(of.label_ids), Annotation.state.in_(of.states)
    return *chosen, of.made_at >= _ENDED


def write_headings(making: Making) -> None:
    making.text += line(COLUMNS).encode()


def write_line(making: Making, item: Line) -> None:
    """A line; ``position`` and ``running_mean`` count the annotations of the label that were made here."""
    if making.carry.get("label_id") != item.told["label_id"]:
        making.carry |= {"label_id": item.told["label_id"], "position": 0, "interactions": 0}
    running: dict[str, Any] = {"position": None, "running_mean": None}
    if not item.told["imported"]:
        making.carry["position"] += 1
        making.carry["interactions"] += item.told["interactions"]
        running["position"] = making.carry["position"]
        running["running_mean"] = making.carry["interactions"] / making.carry["position"]
    told = item.told | running
    making.text += line(told[column] for column in COLUMNS).encode()


CSV = Format("csv", "text/csv", (Step(count_lines, lines, write_line, before=write_headings),), zipped=False)
