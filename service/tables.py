"""All tables. A row is data: the rules that change rows are in the features' actions."""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter
from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from models.prompts import Prompt
from service.clock import now

_PROMPTS: TypeAdapter[tuple[Prompt, ...]] = TypeAdapter(
    tuple[Annotated[Prompt, Field(discriminator="kind")], ...]
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in, aware out; SQLite keeps no zone, so UTC is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Prompts(TypeDecorator[tuple[Prompt, ...]]):
    """Prompts as JSON, read back as the dataclasses they were."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[Prompt, ...] | None, dialect: Dialect) -> Any:
        return [asdict(prompt) for prompt in value or ()]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Prompt, ...]:
        return _PROMPTS.validate_python(value)


class State(StrEnum):
    """Where an annotation stands; a project without review accepts on submit."""

    OPEN = "open"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    SKIPPED = "skipped"


class Strategy(StrEnum):
    """Which open annotation of a label comes next: by its position, or by how sure its first mask is."""

    IN_ORDER = "in_order"
    MOST_UNCERTAIN = "most_uncertain"
    MOST_CERTAIN = "most_certain"


def _one_of(kind: type[StrEnum], name: str) -> Enum:
    """A column of the values of ``kind``, with a check constraint of that name."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=16,
        name=name,
        values_callable=lambda members: [member.value for member in members],
    )


Digest = Annotated[str, mapped_column(String(64))]
Name = Annotated[str, mapped_column(String(200))]


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        tuple[Prompt, ...]: Prompts,
        State: _one_of(State, "state"),
        Strategy: _one_of(Strategy, "strategy"),
    }


class User(Table):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Token(Table):
    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[Name]
    digest: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Project(Table):
    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    model: Mapped[Name]
    use_context: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Label(Table):
    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[Name]
    context_version: Mapped[int] = mapped_column(default=0)
    strategy: Mapped[Strategy] = mapped_column(default=Strategy.IN_ORDER)

    project: Mapped[Project] = relationship(lazy="raise")


class Image(Table):
    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("project_id", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[Digest]
    media_type: Mapped[str] = mapped_column(String(100))
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Annotation(Table):
    """One (image, label) piece of work."""

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("label_id", "image_id"),
        # The queue: the first open annotation of a label, without a sort at any size.
        Index(None, "label_id", "state", "position", "id"),
        # The same by uncertainty; equal ones are sorted by position, and there are few of them.
        Index(None, "label_id", "state", "first_uncertainty", "position", "id"),
        Index(None, "label_id", "accepted_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    position: Mapped[int]
    state: Mapped[State] = mapped_column(default=State.OPEN)
    # Rises with everything a person could see change, so that If-Match pins what they saw.
    version: Mapped[int] = mapped_column(default=1)
    # Rises with every lease granted, so that the holder of an old one can be told apart.
    fence: Mapped[int] = mapped_column(default=0)
    mask_digest: Mapped[Digest | None]
    # No foreign key: predictions point here already, and two tables that need each other
    # cannot be created, copied or dropped in any order.
    accepted_prediction_id: Mapped[int | None]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    opened_at: Mapped[datetime | None]
    skip_reason: Mapped[str | None] = mapped_column(String(500))
    first_attempts: Mapped[int] = mapped_column(default=0)
    first_failure: Mapped[str | None] = mapped_column(String(500))
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
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Interaction(Table):
    """The prompts that one user action added to an annotation: step ``n``, from 1."""

    __tablename__ = "interactions"
    __table_args__ = (UniqueConstraint("annotation_id", "n"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    n: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    prompts: Mapped[tuple[Prompt, ...]]
    attempts: Mapped[int] = mapped_column(default=0)
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(500))
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


class ContextEntry(Table):
    """One accepted (image, mask) pair, in the context from ``added_version`` to ``removed_version``.

    One that has left and comes back has a new ``added_version``; the older one is forgotten.
    """

    __tablename__ = "context_entries"
    __table_args__ = (Index(None, "label_id", "added_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), unique=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    mask_digest: Mapped[Digest]
    added_version: Mapped[int]
    removed_version: Mapped[int | None]
    removed_reason: Mapped[str | None] = mapped_column(String(500))
    # Read by every image, however many entries there are.
    pinned: Mapped[bool] = mapped_column(default=False)
    # Set when the check of the mask begins, so that one that kills its worker does not begin again;
    # what it found is ``quality``, in [0, 1].
    checked: Mapped[bool] = mapped_column(default=False)
    quality: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class IdempotencyKey(Table):
    """The answer to a POST, kept with its effect so that a repeated POST gets it again."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_digest: Mapped[Digest]
    answer: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
