"""The rules of what an accepted mask does to the context of its label."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.tables import Annotation, ContextEntry, Label


def add_entry(session: Session, annotation: Annotation, mask_digest: str) -> ContextEntry:
    """Put the accepted pair into the context; the label's context version rises by one.

    The label's row is locked until the commit, so two annotators who accept at once get two
    versions, one after the other and without a gap.
    """
    version = session.scalars(
        update(Label)
        .where(Label.id == annotation.label_id)
        .values(context_version=Label.context_version + 1)
        .returning(Label.context_version)
        .execution_options(synchronize_session=False)
    ).one()
    entry = ContextEntry(
        label_id=annotation.label_id,
        annotation_id=annotation.id,
        image_id=annotation.image_id,
        mask_digest=mask_digest,
        added_version=version,
    )
    session.add(entry)
    session.flush()
    return entry
