"""People: who they are, how they prove it, what they may do where, and what they did."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.clock import now
from service.tables.columns import Digest, Json, Name, Role, Table, TokenKind


class User(Table):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    # argon2id in its usual text form; nobody signs in with a password where there is none.
    password_hash: Mapped[str | None] = mapped_column(String(200))
    # May do everything everywhere, and make new projects and users.
    admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    disabled_at: Mapped[datetime | None]


class Token(Table):
    """The right to act as a user, at most in one role and in one project where these are given."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    kind: Mapped[TokenKind] = mapped_column(default=TokenKind.PERSONAL)
    name: Mapped[Name]
    digest: Mapped[Digest] = mapped_column(unique=True)
    role: Mapped[Role | None]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class SignInFailure(Table):
    """A wrong password; too many of them within a while, for a name or from an address, and all wait."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index(None, "name", "at"), Index(None, "address", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now, index=True)


class Membership(Table):
    __tablename__ = "memberships"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[Role]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Invitation(Table):
    """A link that works once: whoever opens it becomes a member of the project, in the role.

    Without a project it is for ``user_id``, who chooses a new password, or for the first admin.
    """

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    role: Mapped[Role]
    digest: Mapped[Digest] = mapped_column(unique=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    revoked_at: Mapped[datetime | None]


class AuditEntry(Table):
    """One change that somebody made, written in its transaction; never changed, never deleted.

    Without foreign keys, so that it outlives what it speaks of.
    """

    __tablename__ = "audit"
    __table_args__ = (Index(None, "project_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user_id: Mapped[int | None]
    who: Mapped[Name]
    token_id: Mapped[int | None]
    project_id: Mapped[int | None]
    # The operation of the API, what its path named, and what came of it.
    action: Mapped[Name]
    subject: Mapped[Json]


class IdempotencyKey(Table):
    """The answer to a request, kept with its effect so that whoever repeats the request gets it again."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_digest: Mapped[Digest]
    answer: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
