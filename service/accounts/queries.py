"""Reads about people: whose token is this."""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.tables import Token, User


def digest_of(token: str) -> str:
    """What is stored of a token: it holds 256 random bits, so a plain SHA-256 cannot be undone."""
    return sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the routes need one: this is read with every request, so it is no row."""

    id: int
    name: str


def user_of_token(session: Session, token: str) -> Person | None:
    """The owner of a token that is neither revoked nor expired."""
    row = session.execute(_OWNER, {"digest": digest_of(token), "now": now()}).first()
    return Person(*row) if row else None


# Made once: it runs with every request.
_OWNER = (
    select(User.id, User.name)
    .join(Token, Token.user_id == User.id)
    .where(
        Token.digest == bindparam("digest"),
        Token.revoked_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > bindparam("now")),
    )
)
