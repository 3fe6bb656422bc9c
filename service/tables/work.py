"""The work: annotations, who holds them, what was done to them, what the network made of it, what came."""

from datetime import datetime
from random import random

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from models.prompts import Prompt
from service.clock import now
from service.tables.columns import Digest, Name, Origin, Sentence, State, Table, Text
from service.tables.datasets import Image, Label
from service.tables.people import User


class Annotation(Table):
    """One (image, label) piece of work; with overlap there are several of a pair, each for another person."""

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("label_id", "image_id", "replica"),
        # The queue: the first open annotation of a label, without a sort at any size.
        Index("ix_annotations_in_order", "label_id", "state", "assigned_to", "rank", "position", "id"),
        Index("ix_annotations_by_lot", "label_id", "state", "assigned_to", "rank", "draw", "id"),
        # The same by uncertainty; equal ones are sorted by position, and there are few of them.
        Index(
            "ix_annotations_by_uncertainty",
            "label_id",
            "state",
            "assigned_to",
            "rank",
            "first_uncertainty",
            "position",
            "id",
        ),
        # The list of a label's images, the most uncertain first.
        Index(None, "label_id", "first_uncertainty", "id"),
        # What somebody has worked on, and what came back to them.
        Index(None, "author_id", "label_id", "state", "id"),
        # The curve of interactions per image, read from the index alone.
        Index(
            "ix_annotations_in_order_of_acceptance",
            "label_id",
            "state",
            "accepted_at",
            "id",
            "imported",
            "control",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    replica: Mapped[int] = mapped_column(default=0)
    position: Mapped[int]
    # Smaller comes sooner: minus the priority.
    rank: Mapped[int] = mapped_column(default=0)
    # Uniform in [0, 1): one for a random order, one for who is in the control group and who is reviewed.
    draw: Mapped[float] = mapped_column(default=random)
    lot: Mapped[float] = mapped_column(default=random)
    state: Mapped[State] = mapped_column(default=State.OPEN)
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    # Who opened it last; they alone go on with it when it comes back.
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Rises with everything a person could see change, so that If-Match pins what they saw.
    version: Mapped[int] = mapped_column(default=1)
    # Rises with every lease granted, so that the holder of an old one can be told apart.
    fence: Mapped[int] = mapped_column(default=0)
    # The interaction that is seen: undo and redo move it.
    step: Mapped[int] = mapped_column(default=0)
    # The step that redo leads to, before it leads to the newest one.
    tip: Mapped[int | None]
    # Whether it is predicted without the context, to measure what that saves; settled when it is opened.
    control: Mapped[bool | None]
    flag: Mapped[Sentence | None]
    mask_digest: Mapped[Digest | None]
    # No foreign keys: what they name points here already, and two tables that need each other
    # cannot be created, copied or dropped in any order.
    accepted_prediction_id: Mapped[int | None]
    opened_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None] = mapped_column(index=True)
    submitted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Annotated elsewhere: it took no interaction here, so it is in no average.
    imported: Mapped[bool] = mapped_column(default=False)
    skip_reason: Mapped[Sentence | None]
    first_attempts: Mapped[int] = mapped_column(default=0)
    first_failure: Mapped[Sentence | None]
    # That of the newest first prediction.
    first_uncertainty: Mapped[float | None]

    label: Mapped[Label] = relationship(lazy="raise")
    image: Mapped[Image] = relationship(lazy="raise")


class Lease(Table):
    """The right of one person to work on one annotation until a deadline."""

    __tablename__ = "leases"

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    token_digest: Mapped[Digest]
    fence: Mapped[int]
    # What the holder has opened: a mask made with a newer context does not replace it any more.
    context_version: Mapped[int]
    # Two clocks, and what they are set to again: for a page that goes silent, and for a person who does.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    idle_at: Mapped[datetime]
    seconds: Mapped[float]
    idle_seconds: Mapped[float]


# The edit that brought a mask from elsewhere: a step to go back to, but nothing that anybody did here.
IMPORT = "import"
# As an index says it, or the index would not be used.
IS_IMPORT = f"edit = '{IMPORT}'"


class Interaction(Table):
    """One user action on an annotation: step ``n``, from 1, that followed step ``parent``.

    It adds prompts, or it is a manual edit that made ``mask_digest``, or the ``IMPORT`` of one. Steps are
    never deleted: undo goes back to the parent, and what is drawn then begins another branch.
    """

    __tablename__ = "interactions"
    __table_args__ = (
        UniqueConstraint("annotation_id", "n"),
        # Those that are to be counted out again: few, where all others are counted in an index alone.
        Index(
            "ix_interactions_imports",
            "annotation_id",
            sqlite_where=text(IS_IMPORT),
            postgresql_where=text(IS_IMPORT),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    n: Mapped[int]
    parent: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    prompts: Mapped[tuple[Prompt, ...]]
    # What the edit was: "paint", "fill_holes" …; none for prompts.
    edit: Mapped[str | None] = mapped_column(String(32))
    mask_digest: Mapped[Digest | None]
    attempts: Mapped[int] = mapped_column(default=0)
    failed_at: Mapped[datetime | None]
    failure: Mapped[Sentence | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Prediction(Table):
    """What the network returned for interaction ``n``, or for no interaction (``n`` = 0)."""

    __tablename__ = "predictions"
    __table_args__ = (UniqueConstraint("annotation_id", "n", "context_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    n: Mapped[int]
    model: Mapped[Name]
    weights_sha256: Mapped[Digest]
    context_version: Mapped[int]
    context_size: Mapped[int]
    mask_digest: Mapped[Digest]
    state_digest: Mapped[Digest]
    network_ms: Mapped[float]
    uncertainty: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Draft(Table):
    """What somebody has drawn and not yet sent; nobody else sees it."""

    __tablename__ = "drafts"

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    prompts: Mapped[tuple[Prompt, ...]]
    mask_digest: Mapped[Digest | None]
    # The step that it was drawn upon.
    step: Mapped[int]
    saved_at: Mapped[datetime] = mapped_column(default=now)


class Activity(Table):
    """A stretch of time in which somebody worked on an annotation without a pause of more than 30 seconds."""

    __tablename__ = "activity"
    __table_args__ = (
        # All that is summed up, and what somebody did last.
        Index(None, "annotation_id", "began_at", "ended_at"),
        Index(None, "user_id", "ended_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]


_UNMEASURED = "measured_at IS NULL AND origin <> 'imported'"


class Submission(Table):
    """A mask that somebody declared final: the annotator's, a reviewer's own, or an imported one."""

    __tablename__ = "submissions"
    __table_args__ = (
        # Those not measured yet are few, and looked for every few seconds.
        Index(
            "ix_submissions_unmeasured",
            "created_at",
            sqlite_where=text(_UNMEASURED),
            postgresql_where=text(_UNMEASURED),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    origin: Mapped[Origin] = mapped_column(default=Origin.SUBMITTED)
    step: Mapped[int]
    mask_digest: Mapped[Digest]
    # The first and the last mask of the model, with the model and the context version that made them.
    first_prediction_id: Mapped[int | None] = mapped_column(ForeignKey("predictions.id"), index=True)
    last_prediction_id: Mapped[int | None] = mapped_column(ForeignKey("predictions.id"), index=True)
    # Dice of the first prediction with this mask, and of this mask with the gold one, once measured.
    first_dice: Mapped[float | None]
    gold_dice: Mapped[float | None]
    measured_at: Mapped[datetime | None]
    measure_attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Agreement(Table):
    """How well two people's masks of one image agree; ``earlier`` is the smaller submission id."""

    __tablename__ = "agreements"

    earlier_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    later_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"), primary_key=True, index=True)
    dice: Mapped[float]
    # The 95th percentile of the distances between their boundaries, in pixels; none when one is empty.
    hd95: Mapped[float | None]


class Gold(Table):
    """A mask known to be right, by which annotators are checked silently."""

    __tablename__ = "gold"

    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True, index=True)
    mask_digest: Mapped[Digest]
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Review(Table):
    """What a reviewer decided about a submission."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), index=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    accepted: Mapped[bool]
    reason: Mapped[Sentence | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Comment(Table):
    """A remark about an annotation, pinned to a pixel where it has one."""

    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    text: Mapped[Text]
    x: Mapped[float | None]
    y: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    # Its author's name.
    user: Mapped[str] = column_property(select(User.name).where(User.id == user_id).scalar_subquery())


class ContextEntry(Table):
    """One accepted (image, mask) pair, in the context from ``added_version`` to ``removed_version``.

    One that has left and comes back has a new ``added_version``; the older one is forgotten. Of the masks
    that several people made of one image one is in, and the others stand by.
    """

    __tablename__ = "context_entries"
    __table_args__ = (
        Index(None, "label_id", "added_version"),
        Index(None, "label_id", "removed_version"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    # Several when its mask was withdrawn and another one accepted.
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), index=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    mask_digest: Mapped[Digest]
    added_version: Mapped[int]
    # Why it is in, where it was not just accepted.
    added_reason: Mapped[Sentence | None]
    removed_version: Mapped[int | None]
    removed_reason: Mapped[Sentence | None]
    # Takes the place of the other mask of its image as soon as that leaves.
    standby: Mapped[bool] = mapped_column(default=False)
    # Read by every image, however many entries there are.
    pinned: Mapped[bool] = mapped_column(default=False)
    pinned_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Set when the check of the mask begins, so that one that kills its worker does not begin again;
    # what it found is ``quality``, in [0, 1].
    checked: Mapped[bool] = mapped_column(default=False)
    quality: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
