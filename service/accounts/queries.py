"""Reads about people: whose token is this, and what they may do in a project."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, Select, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.errors import NotFound
from service.tables import Membership, Role, Token, TokenKind, User


def digest_of(token: str) -> str:
    """What is stored of a token: it holds 256 random bits, so a plain SHA-256 cannot be undone."""
    return sha256(token.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Person:
    """Who is calling, with which token, and what that token is limited to; read with every request.

    The token is there ``since`` it was made, and was last known to be used at ``used_at``.
    """

    id: int
    name: str
    admin: bool
    token_id: int
    at_most: Role | None
    only_project: int | None
    kind: TokenKind
    since: datetime
    used_at: datetime | None
    password_hash: str | None = field(repr=False)
    came_with: str = ""  # the seal on the token

    @property
    def limited(self) -> bool:
        return self.at_most is not None or self.only_project is not None

    @property
    def seal(self) -> str:
        return seal_of(self.password_hash)


def user_of_token(session: Session, token: str) -> Person | None:
    """The owner of a token that is neither revoked nor expired, unless they are disabled.

    One that is ``sealed`` is good until they choose another password.
    """
    plain, _, seal = token.partition(".")
    row = session.execute(_OWNER, {"digest": digest_of(plain), "now": now()}).first()
    return _good(row, seal)


def person_still(session: Session, person: Person) -> Person | None:
    """The same person as they are now, if the token that they came with is still good."""
    row = session.execute(_STILL, {"token_id": person.token_id, "now": now()}).first()
    return _good(row, person.came_with)


def _good(row: Row[*tuple[Any, ...]] | None, seal: str) -> Person | None:
    """Whose token that is, unless it came with the seal of another password."""
    person = replace(Person(*row), came_with=seal) if row else None
    return person if person and seal in ("", person.seal) else None


def sealed(token: str, seal: str) -> str:
    """A personal token as it lies in a browser's cookie."""
    return f"{token.partition('.')[0]}.{seal}"


def seal_of(password_hash: str | None) -> str:
    """What changes with the password, or when it is hashed anew, and says nothing of it."""
    return digest_of(password_hash or "")[:16]


def role_in(session: Session, person: Person, project_id: int) -> Role | None:
    """What the person is in the project, within the limits of their token; None for a stranger to it."""
    if person.only_project not in (None, project_id):
        return None
    return within_limits(person, _membership(session, person.id, project_id))


def within_limits(person: Person, member_as: Role | None) -> Role | None:
    """What somebody who is ``member_as`` in a project may there: the admin everything, a token its part."""
    role = Role.OWNER if person.admin else member_as
    if role is None or person.at_most is None:
        return role
    return min(role, person.at_most, key=lambda each: each.rank)


def user(session: Session, user_id: int) -> User:
    """The person; NotFound when there is none."""
    found = session.get(User, user_id)
    if found is None:
        raise NotFound(f"There is no user {user_id}.")
    return found


def user_named(session: Session, name: str) -> User | None:
    return session.scalars(select(User).where(User.name == name)).first()


def users(session: Session) -> Sequence[User]:
    return session.scalars(select(User).order_by(User.name)).all()


def has_signed_in(session: Session, name: str, address: str) -> bool:
    """Whether whoever has that name has signed in from that address, as far as logins are remembered."""
    from_there = (Token.kind == TokenKind.LOGIN, Token.name == address)
    return bool(
        session.scalar(select(exists().where(Token.user_id == User.id, User.name == name, *from_there)))
    )


def anybody_can_sign_in(session: Session) -> bool:
    """Whether somebody has a password: before that, an installation waits for its administrator."""
    return bool(session.scalar(select(exists().where(User.password_hash.is_not(None)))))


def personal_tokens(session: Session, user_id: int) -> Sequence[Token]:
    """The user's tokens that still work or have merely expired, newest first."""
    return session.scalars(
        select(Token)
        .where(Token.user_id == user_id, Token.kind == TokenKind.PERSONAL, Token.revoked_at.is_(None))
        .order_by(Token.id.desc())
    ).all()


def token_by_digest(session: Session, digest: str) -> Token:
    return session.scalars(select(Token).where(Token.digest == digest)).one()


def _membership(session: Session, user_id: int, project_id: int) -> Role | None:
    return session.scalar(_ROLE, {"user_id": user_id, "project_id": project_id})


# Made once: these run with every request.
_WORKING: Select[*tuple[Any, ...]] = (
    select(
        User.id,
        User.name,
        User.admin,
        Token.id,
        Token.role,
        Token.project_id,
        Token.kind,
        Token.created_at,
        Token.used_at,
        User.password_hash,
    )
    .join(Token, Token.user_id == User.id)
    .where(
        Token.revoked_at.is_(None),
        User.disabled_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > bindparam("now")),
    )
)
_OWNER = _WORKING.where(Token.digest == bindparam("digest"))
_STILL = _WORKING.where(Token.id == bindparam("token_id"))
_ROLE = select(Membership.role).where(
    Membership.user_id == bindparam("user_id"), Membership.project_id == bindparam("project_id")
)
