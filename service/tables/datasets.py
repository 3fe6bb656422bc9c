"""Datasets: projects with their labels, files as they were uploaded, and the images in them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.clock import now
from service.tables.columns import Digest, Json, Name, Progress, Sentence, Strategy, Table

_THERE = "deleted_at IS NULL"


class Project(Table):
    __tablename__ = "projects"
    # Of those that are there: a deleted one does not keep its name from others.
    __table_args__ = (
        Index(
            "ix_projects_name",
            "name",
            unique=True,
            sqlite_where=text(_THERE),
            postgresql_where=text(_THERE),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    model: Mapped[Name]
    use_context: Mapped[bool]
    # How many people annotate each image, without seeing each other's work.
    overlap: Mapped[int] = mapped_column(default=1)
    # Every n-th submitted annotation is reviewed: 0 is none, 1 is all. So is one that the model was
    # less sure of than ``review_above``, in [0, 1].
    review_every: Mapped[int] = mapped_column(default=0)
    review_above: Mapped[float | None]
    review_own: Mapped[bool] = mapped_column(default=False)
    # The share of images, in [0, 1], that are annotated without the context, to measure what it saves.
    control_share: Mapped[float] = mapped_column(default=0.0)
    # An annotation goes back to the queue when its holder's page lives on but they do nothing for so long.
    idle_seconds: Mapped[float] = mapped_column(default=900.0)
    # What a reason to skip may be; any when empty.
    skip_reasons: Mapped[Json] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # Deleted projects can be restored for a month.
    deleted_at: Mapped[datetime | None]


class Label(Table):
    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[Name]
    context_version: Mapped[int] = mapped_column(default=0)
    # The version at which a pair left the context last: what was predicted before was made with it.
    left_version: Mapped[int] = mapped_column(default=0)
    # How many pairs the network is shown at most; None is as many as it can use.
    context_limit: Mapped[int | None]
    strategy: Mapped[Strategy] = mapped_column(default=Strategy.IN_ORDER)
    # An archived label is offered to nobody; what is open of it can still be submitted.
    archived_at: Mapped[datetime | None]

    project: Mapped[Project] = relationship(lazy="raise")


class Source(Table):
    """A file as it was uploaded; its bytes are kept under ``digest``."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("project_id", "digest"), Index(None, "project_id", "name"))

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[Digest]
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    # What is needed to put a stack of masks back on the file's own voxels.
    geometry: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Image(Table):
    """One picture to annotate: a file, or one slice of it; its pixels are kept under ``digest``.

    A pixel stands for the value ``stored * scale + offset``, shown from black at ``window_low`` to
    white at ``window_high``.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("source_id", "frame"),
        Index(None, "project_id", "id"),
        Index(None, "project_id", "series", "place"),
        Index(None, "project_id", "name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    frame: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[Digest]
    media_type: Mapped[str] = mapped_column(String(100))
    width: Mapped[int]
    height: Mapped[int]
    scale: Mapped[float] = mapped_column(default=1.0)
    offset: Mapped[float] = mapped_column(default=0.0)
    window_low: Mapped[float | None]
    window_high: Mapped[float | None]
    # Millimetres between pixels, as [x, y], where the file says so.
    spacing: Mapped[Json | None]
    # What keeps the slices of a volume together, and where this one lies in it.
    series: Mapped[Digest | None]
    place: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Export(Table):
    """A file that is being made of a project's accepted masks, or has been."""

    __tablename__ = "exports"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    format: Mapped[str] = mapped_column(String(16))
    options: Mapped[Json]
    state: Mapped[Progress] = mapped_column(default=Progress.WAITING)
    # How often a worker has begun the part that is next.
    attempts: Mapped[int] = mapped_column(default=0)
    # Who makes the next part; one that has not been heard of for a while is taken for dead.
    worker: Mapped[str | None] = mapped_column(String(32))
    alive_at: Mapped[datetime | None]
    # Where to go on, and the parts that are there: what the file's bytes are read from.
    cursor: Mapped[Json | None]
    parts: Mapped[Json] = mapped_column(default=list)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    # One line for each item that could not be exported.
    report: Mapped[Json] = mapped_column(default=list)
    failure: Mapped[Sentence | None]
    digest: Mapped[Digest | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class Leftover(Table):
    """A blob that was named by a row that is deleted; whether others name it is seen when its time comes."""

    __tablename__ = "leftovers"

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    # None until then; a day later it is gone, or back in its place.
    set_aside_at: Mapped[datetime | None] = mapped_column(index=True)
