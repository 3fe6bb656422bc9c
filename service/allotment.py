"""The work that a project is: for every image and label as many annotations as the overlap says, always."""

from collections.abc import Iterable, Sequence

from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.tables import Annotation, State


def allot(
    session: Session, label_ids: Iterable[int], image_ids: Sequence[int], replicas: Iterable[int]
) -> None:
    """Add an open annotation for each label, image and replica; the images come in the order given."""
    rows = [
        {
            "label_id": label_id,
            "image_id": image_id,
            "replica": replica,
            "position": image_id,
            "state": State.OPEN,
        }
        for label_id in label_ids
        for image_id in image_ids
        for replica in replicas
    ]
    if rows:
        session.execute(insert(Annotation), rows)
