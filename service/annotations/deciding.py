"""What is decided about an annotation by somebody who need not hold it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Response
from sqlalchemy.orm import Session

from service.annotations import presentation, queries
from service.annotations.actions import require_version
from service.annotations.schemas import AnnotationOut
from service.dependencies import IfMatch, Storage, Transaction
from service.ids import Id
from service.projects.queries import lock_label
from service.tables import Annotation


@dataclass(frozen=True, slots=True)
class Decider:
    """Which annotation is decided about, by whoever has seen it as it is now."""

    annotation_id: Id
    if_match: IfMatch
    transaction: Transaction
    storage: Storage
    response: Response

    def decide(self, effect: Callable[[Session, Annotation], None], *, lock: bool = False) -> AnnotationOut:
        """The annotation as it is after ``effect``, which has it locked, and with ``lock`` its label."""

        def change(session: Session) -> AnnotationOut:
            if lock:
                lock_label(session, queries.annotation(session, self.annotation_id).label_id)
            annotation = queries.locked(session, self.annotation_id)
            require_version(annotation, self.if_match)
            effect(session, annotation)
            session.flush()
            return presentation.seen(session, queries.annotation(session, self.annotation_id))

        answer = self.transaction(change, AnnotationOut)
        self.response.headers["ETag"] = f'"{answer.version}"'
        return presentation.with_mask(answer, self.storage)


Deciding = Annotated[Decider, Depends(Decider)]
