"""Wire shapes of the queue."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.annotations.schemas import AnnotationOut, DraftOut, LeaseOut
from service.ids import Id
from service.tables import State


class Next(BaseModel):
    """An annotation leased to the caller, with what they had drawn on it and not yet sent."""

    annotation: AnnotationOut
    lease: LeaseOut
    draft: DraftOut | None = None


class NextOrNone(BaseModel):
    """What is kept of an answer to `next`: an empty queue is an answer, too.

    The token is in it in plain; it opens nothing without the bearer token of the same person.
    """

    found: Next | None
    missing: bool = False
    good_from: int = 0


class Heartbeat(BaseModel):
    """Whether the holder has done anything since the last one."""

    active: bool = True


class Assignment(BaseModel):
    """What is left out stays as it is; ``assigned_to`` null is anybody, a higher priority comes sooner."""

    assigned_to: Id | None = None
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None


class Assignments(Assignment):
    annotation_ids: Annotated[list[Id], Field(min_length=1, max_length=10_000)]


class Assigned(BaseModel):
    changed: int


class QueuedOut(BaseModel):
    """An annotation as it is listed; ``holder`` works on it now, until ``held_until``."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    image_id: int
    image: str
    replica: int
    state: State
    version: int
    priority: int
    assigned_to: int | None
    author: str | None
    accepted_by: str | None
    holder: str | None
    held_until: datetime | None
    interactions: int
    uncertainty: float | None
    control: bool | None
    flag: str | None
    skip_reason: str | None
    submitted_at: datetime | None
    accepted_at: datetime | None
