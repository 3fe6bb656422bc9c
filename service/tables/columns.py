"""What all tables are made of: the base class, the column types, the words that columns are limited to."""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter
from sqlalchemy import JSON, DateTime, Dialect, MetaData, String
from sqlalchemy import Enum as OneOf
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from models.prompts import Prompt

PROMPTS: TypeAdapter[tuple[Prompt, ...]] = TypeAdapter(
    tuple[Annotated[Prompt, Field(discriminator="kind")], ...]
)


def plain(value: Any) -> Any:
    """A value of a row as JSON has it."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case tuple():
            return [asdict(each) for each in value]
        case _:
            return value


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
        return PROMPTS.validate_python(value)


class State(StrEnum):
    """Where an annotation stands; only what is accepted is context."""

    OPEN = "open"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    SKIPPED = "skipped"


class Strategy(StrEnum):
    """Which open annotation of a label comes next: by position, by lot, or by how sure its first mask is."""

    IN_ORDER = "in_order"
    RANDOM = "random"
    MOST_UNCERTAIN = "most_uncertain"
    MOST_CERTAIN = "most_certain"


class Role(StrEnum):
    """What somebody may do in a project; each may all that the ones before it may."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    MANAGER = "manager"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, needed: "Role") -> bool:
        """Whether this role may what ``needed`` may."""
        return self.rank >= needed.rank


class TokenKind(StrEnum):
    """A login lives in a browser's cookie, a personal token in somebody's script."""

    LOGIN = "login"
    PERSONAL = "personal"


class Origin(StrEnum):
    """How a final mask came to be."""

    SUBMITTED = "submitted"
    REVIEWED = "reviewed"
    IMPORTED = "imported"


class Progress(StrEnum):
    """Where a long job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def one_of(kind: type[StrEnum], name: str) -> OneOf:
    """A column of the values of ``kind``, with a check constraint of that name."""
    return OneOf(
        kind,
        native_enum=False,
        create_constraint=True,
        length=16,
        name=name,
        values_callable=lambda members: [member.value for member in members],
    )


Digest = Annotated[str, mapped_column(String(64))]
LONGEST_NAME = 200
Name = Annotated[str, mapped_column(String(LONGEST_NAME))]
Sentence = Annotated[str, mapped_column(String(500))]
Text = Annotated[str, mapped_column(String(5000))]
Json = Annotated[Any, mapped_column(JSON)]


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
        State: one_of(State, "state"),
        Strategy: one_of(Strategy, "strategy"),
        Role: one_of(Role, "role"),
        TokenKind: one_of(TokenKind, "kind"),
        Origin: one_of(Origin, "origin"),
        Progress: one_of(Progress, "progress"),
    }
