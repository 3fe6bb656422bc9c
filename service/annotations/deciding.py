"""Changes of an annotation that are answered with what is seen then; others are told of its new state."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Response
from sqlalchemy.orm import Session

from service.annotations import presentation, queries
from service.annotations.actions import require_version
from service.annotations.schemas import AnnotationOut
from service.dependencies import Events, IfMatch, Storage, Transaction
from service.events import announce
from service.ids import Id
from service.tables import Annotation


@dataclass(frozen=True, slots=True)
class Subject(ABC):
    """The annotation that is changed, and what it takes to show it and to tell others."""

    annotation_id: Id
    transaction: Transaction
    storage: Storage
    events: Events
    response: Response

    @abstractmethod
    def annotation(self, session: Session) -> Annotation:
        """The annotation, locked, if the caller may change it as they ask for."""

    def look_again(
        self, effect: Callable[[Session, Annotation], None], *, lock: bool = False
    ) -> AnnotationOut:
        """The annotation as it is seen after ``effect``, which has it locked, and with ``lock`` its label."""

        def change(session: Session) -> AnnotationOut:
            if lock:
                queries.lock_label_of(session, self.annotation_id)
            annotation = self.annotation(session)
            before = annotation.state
            effect(session, annotation)
            session.flush()
            if annotation.state is not before:
                self._announce(session, annotation)
            return presentation.seen(session, queries.annotation(session, self.annotation_id))

        answer = self.transaction(change, AnnotationOut)
        self.response.headers["ETag"] = f'"{answer.version}"'
        return presentation.with_mask(answer, self.storage)

    def _announce(self, session: Session, annotation: Annotation) -> None:
        which = {
            "annotation_id": annotation.id,
            "label_id": annotation.label_id,
            "image_id": annotation.image_id,
        }
        announce(session, self.events, annotation.label.project_id, annotation.state, **which)


@dataclass(frozen=True, slots=True)
class Decider(Subject):
    """Whoever has seen the annotation as it is now decides about it, and need not hold it."""

    if_match: IfMatch

    def annotation(self, session: Session) -> Annotation:
        annotation = queries.locked(session, self.annotation_id)
        require_version(annotation, self.if_match)
        return annotation


Deciding = Annotated[Decider, Depends(Decider)]
