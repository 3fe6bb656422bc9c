"""The rules of gold masks: by them annotators are checked silently."""

from sqlalchemy import ColumnElement, and_, delete
from sqlalchemy.orm import Session

from service import blobs
from service.clock import now
from service.db import insert_into, rows_changed
from service.errors import NotFound
from service.tables import Gold


def set_gold(session: Session, label_id: int, image_id: int, mask_digest: str, user_id: int) -> None:
    """The gold mask of an image, in the place of an earlier one."""
    blobs.note(session, {Gold.__table__: _of(label_id, image_id)})
    told = {"mask_digest": mask_digest, "created_by": user_id, "created_at": now()}
    session.execute(
        insert_into(session, Gold)
        .values(label_id=label_id, image_id=image_id, **told)
        .on_conflict_do_update(index_elements=[Gold.label_id, Gold.image_id], set_=told)
    )


def remove_gold(session: Session, label_id: int, image_id: int) -> None:
    """The image is gold no longer; NotFound when it was not."""
    blobs.note(session, {Gold.__table__: _of(label_id, image_id)})
    if not rows_changed(session, delete(Gold).where(_of(label_id, image_id))):
        raise NotFound(f"The image {image_id} has no gold mask.")


def _of(label_id: int, image_id: int) -> ColumnElement[bool]:
    return and_(Gold.label_id == label_id, Gold.image_id == image_id)
