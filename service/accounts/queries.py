"""Reads about people: whose token is this, and what they may do in a project."""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.tables import Membership, Role, Token, User


def digest_of(token: str) -> str:
    """What is stored of a token: it holds 256 random bits, so a plain SHA-256 cannot be undone."""
    return sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Person:
    """Who is calling, with which token, and what that token is limited to; read with every request."""

    id: int
    name: str
    admin: bool
    token_id: int
    at_most: Role | None = None
    only_project: int | None = None


def user_of_token(session: Session, token: str) -> Person | None:
    """The owner of a token that is neither revoked nor expired, unless they are disabled."""
    row = session.execute(_OWNER, {"digest": digest_of(token), "now": now()}).first()
    return Person(*row) if row else None


def role_in(session: Session, person: Person, project_id: int) -> Role | None:
    """What the person is in the project, within the limits of their token; None for a stranger to it."""
    if person.only_project not in (None, project_id):
        return None
    role = Role.OWNER if person.admin else _membership(session, person.id, project_id)
    if role is None or person.at_most is None:
        return role
    return min(role, person.at_most, key=lambda each: each.rank)


def _membership(session: Session, user_id: int, project_id: int) -> Role | None:
    return session.scalar(_ROLE, {"user_id": user_id, "project_id": project_id})


# Made once: these run with every request.
_OWNER = (
    select(User.id, User.name, User.admin, Token.id, Token.role, Token.project_id)
    .join(Token, Token.user_id == User.id)
    .where(
        Token.digest == bindparam("digest"),
        Token.revoked_at.is_(None),
        User.disabled_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > bindparam("now")),
    )
)
_ROLE = select(Membership.role).where(
    Membership.user_id == bindparam("user_id"), Membership.project_id == bindparam("project_id")
)
