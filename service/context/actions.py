"""The rules of the context: how a mask enters it, leaves it, comes back, and is held back."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.context import queries
from service.context.queries import Check
from service.errors import Invalid
from service.projects.queries import lock_label
from service.tables import Annotation, ContextEntry, Label

# A mask that agrees with the others less than this (1: as well as they among themselves) is held back:
# low, because a true mask that is kept out costs more than a doubtful one that a person is pointed to
# (SECOND_LOOK). models/TRAINING_LOG.md has the measurements.
GATE = 0.35


def add_entry(session: Session, annotation: Annotation, mask_digest: str) -> ContextEntry:
    """Put the accepted pair into the context; the label's context version rises by one.

    The label's row is locked until the commit, so two annotators who accept at once get two
    versions, one after the other and without a gap.
    """
    entry = ContextEntry(
        label_id=annotation.label_id,
        annotation_id=annotation.id,
        image_id=annotation.image_id,
        mask_digest=mask_digest,
        added_version=_raise_version(session, annotation.label_id),
    )
    session.add(entry)
    session.flush()
    return entry


def change_entry(
    session: Session, entry_id: int, who: str, *, pinned: bool | None, excluded: bool | None
) -> ContextEntry:
    """Pin, unpin, exclude or include again, as ``who`` has decided; each change is a new version.

    What is pinned is in the context: pinning brings an entry back, excluding unpins it.
    """
    if pinned and excluded:
        raise Invalid("An entry is pinned or excluded, not both.")
    entry = _locked(session, entry_id)
    if excluded and entry.removed_version is None:
        entry.pinned = False
        _remove(session, entry, f"excluded by {who}")
    if (pinned or excluded is False) and entry.removed_version is not None:
        entry.added_version = _raise_version(session, entry.label_id)
        entry.removed_version, entry.removed_reason = None, None
        entry.checked = True  # a person has decided
        entry.pinned = bool(pinned)
    if pinned is not None and pinned != entry.pinned:
        entry.pinned = pinned
        _raise_version(session, entry.label_id)
    session.flush()
    return entry


def begin_check(session: Session, entry_id: int) -> Check | None:
    """What to compare the entry with; None when that has been begun before, or makes no sense (yet)."""
    check = queries.check_of(session, entry_id)
    begun = (
        update(ContextEntry)
        .where(ContextEntry.id == entry_id, ContextEntry.checked.is_(False))
        .values(checked=True)
        .returning(ContextEntry.id)
        .execution_options(synchronize_session=False)
    )
    return check if check is not None and session.scalar(begun) is not None else None


def put_off_check(session: Session, entry_id: int) -> None:
    """The check that was begun was not ended: it may begin again."""
    _locked(session, entry_id).checked = False


def record_quality(session: Session, entry_id: int, quality: float) -> None:
    """Keep how well the entry agrees with the others, in [0, 1]; hold it back below the gate.

    Held back, not removed for good: a person can bring it back, and then it stays.
    """
    entry = _locked(session, entry_id)
    if entry.quality is not None:
        return
    entry.quality = quality
    if quality < GATE and not entry.pinned and entry.removed_version is None:
        _remove(
            session,
            entry,
            f"held back: it and the other masks do not explain each other (agreement {quality:.2f})",
        )


def _locked(session: Session, entry_id: int) -> ContextEntry:
    """The entry, nobody else's to change until the commit: whoever changes one locks its label."""
    lock_label(session, queries.entry(session, entry_id).label_id)
    return queries.entry(session, entry_id)


def _remove(session: Session, entry: ContextEntry, reason: str) -> None:
    entry.removed_version = _raise_version(session, entry.label_id)
    entry.removed_reason = reason


def _raise_version(session: Session, label_id: int) -> int:
    """The label's next context version; its row is locked until the commit."""
    return session.scalars(
        update(Label)
        .where(Label.id == label_id)
        .values(context_version=Label.context_version + 1)
        .returning(Label.context_version)
        .execution_options(synchronize_session=False)
    ).one()
