"""Wire shapes of the queue."""

from pydantic import BaseModel

from service.annotations.schemas import AnnotationOut, LeaseOut


class Next(BaseModel):
    annotation: AnnotationOut
    lease: LeaseOut


class NextOrNone(BaseModel):
    """What is kept of an answer to `next`: an empty queue is an answer, too.

    The token is in it in plain; it opens nothing without the bearer token of the same person.
    """

    found: Next | None
    missing: bool = False
