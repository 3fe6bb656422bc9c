"""The rules of the context: how a mask enters it, leaves it, comes back, and is held back.

Whoever changes the context of a label holds the lock on the label's row, so that its versions follow each
other without a gap.
"""

from sqlalchemy import Select, update
from sqlalchemy.orm import Session

from service.context import queries
from service.context.queries import Check
from service.errors import EntryOutdated, EntryStale, Invalid
from service.etag import names
from service.projects.queries import lock_label
from service.tables import Annotation, ContextEntry, Label

# A mask that agrees with the others less than this (1: as well as they among themselves) is held back:
# low, because a true mask that is kept out costs more than a doubtful one that a person is pointed to
# (SECOND_LOOK). models/TRAINING_LOG.md has the measurements.
GATE = 0.35

STANDS_BY = "another mask of this image is in the context"


def add_entry(
    session: Session, annotation: Annotation, mask_digest: str, *, reason: str | None = None
) -> ContextEntry:
    """Put the accepted pair into the context; the label's context version rises by one.

    Of an image one pair is in: while that of another annotator is, this one stands by, and the version
    stays. ``reason``: why it is in, where it was not just accepted.
    """
    label = lock_label(session, annotation.label_id)
    entry = ContextEntry(
        label_id=annotation.label_id,
        annotation_id=annotation.id,
        image_id=annotation.image_id,
        mask_digest=mask_digest,
        added_version=label.context_version,
        added_reason=reason,
    )
    if queries.entry_in_use(session, annotation.label_id, annotation.image_id) is None:
        entry.added_version = _raise_version(session, annotation.label_id)
    else:
        entry.removed_version, entry.removed_reason, entry.standby = label.context_version, STANDS_BY, True
    session.add(entry)
    session.flush()
    return entry


def change_entry(
    session: Session,
    entry_id: int,
    user_id: int,
    who: str,
    *,
    pinned: bool | None,
    excluded: bool | None,
    if_match: str = "*",
) -> ContextEntry:
    """Pin, unpin, exclude or include again, as ``who`` has decided; each change is a new version.

    What is pinned is in the context: pinning brings an entry back, excluding unpins it. ``if_match`` is
    the version of the entry that they saw, or ``*`` for whichever it has.
    """
    if pinned and excluded:
        raise Invalid("An entry is pinned or excluded, not both.")
    entry = _locked(session, entry_id)
    version = queries.version_of(entry)
    if not names(if_match, version):
        raise EntryStale(
            f"You saw {if_match}, it is at version {version} now. Look at it again.", version=version
        )
    if excluded:
        _leave(session, entry, f"excluded by {who}")
    elif (pinned or excluded is False) and entry.removed_version is not None:
        _bring_back(session, entry, who)
        _pin(entry, user_id if pinned else None)
    if pinned is not None and pinned != entry.pinned:
        _pin(entry, user_id if pinned else None)
        _raise_version(session, entry.label_id)
    session.flush()
    return entry


def remove_entries(session: Session, annotation: Annotation, reason: str) -> None:
    """What was accepted of the annotation leaves the context, because it is accepted no longer."""
    lock_label(session, annotation.label_id)
    for entry in queries.entries_of(session, annotation.id):
        _leave(session, entry, reason)
    session.flush()


def forget_images(session: Session, label_id: int, images: Select[int]) -> bool:
    """The pairs of these images leave the context at its next version; False when none of them is in it.

    Needs the label's row locked. The entries are deleted by the caller, with all else of the images.
    """
    if not queries.any_in_use(session, label_id, images):
        return False
    _raise_version(session, label_id, leaving=True)
    return True


def limit_context(session: Session, label: Label, limit: int | None) -> None:
    """How many pairs the network is shown at most, from the next context version on.

    Needs the label's row locked.
    """
    if label.context_limit != limit:
        label.context_limit = limit
        label.context_version += 1


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
        _leave(
            session,
            entry,
            f"held back: it and the other masks do not explain each other (agreement {quality:.2f})",
        )


def _locked(session: Session, entry_id: int) -> ContextEntry:
    """The entry, nobody else's to change until the commit: whoever changes one locks its label."""
    lock_label(session, queries.entry(session, entry_id).label_id)
    return queries.entry(session, entry_id)


def _leave(session: Session, entry: ContextEntry, reason: str) -> None:
    """The entry leaves the context, or no longer waits to enter it; nothing happens to one that is out."""
    if entry.standby:
        entry.standby, entry.removed_reason = False, reason
    if entry.removed_version is not None:
        return
    _remove(session, entry, reason)
    successor = queries.next_in_line(session, entry.label_id, entry.image_id)
    if successor is not None:
        _enter(session, successor, "in the place of another mask of its image")


def _bring_back(session: Session, entry: ContextEntry, who: str) -> None:
    """The entry is in again, as the newest; of the same image another one makes way, and stands by."""
    if not queries.is_accepted(session, entry):
        raise EntryOutdated("Its mask is not the accepted one any more. Have the annotation accepted first.")
    other = queries.entry_in_use(session, entry.label_id, entry.image_id)
    if other is not None:
        _remove(session, other, STANDS_BY)
        other.standby = True
    _enter(session, entry, f"brought back by {who}")
    entry.checked = True  # a person has decided


def _enter(session: Session, entry: ContextEntry, reason: str) -> None:
    entry.added_version, entry.added_reason = _raise_version(session, entry.label_id), reason
    entry.removed_version, entry.removed_reason, entry.standby = None, None, False


def _pin(entry: ContextEntry, user_id: int | None) -> None:
    """Pinned by the user, or not pinned."""
    entry.pinned, entry.pinned_by = user_id is not None, user_id


def _remove(session: Session, entry: ContextEntry, reason: str) -> None:
    version = _raise_version(session, entry.label_id, leaving=True)
    entry.removed_version, entry.removed_reason = version, reason
    _pin(entry, None)


def _raise_version(session: Session, label_id: int, *, leaving: bool = False) -> int:
    """The label's next context version, when a pair is ``leaving`` or not; locked until the commit."""
    raised = Label.context_version + 1
    return session.scalars(
        update(Label)
        .where(Label.id == label_id)
        .values({"context_version": raised} | ({"left_version": raised} if leaving else {}))
        .returning(Label.context_version)
        .execution_options(synchronize_session=False)
    ).one()
