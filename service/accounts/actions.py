"""The rules of people, their passwords and their tokens."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.accounts import queries
from service.accounts.queries import Person, digest_of
from service.clock import now
from service.db import rows_changed
from service.errors import Conflict, NameTaken, NotFound
from service.tables import Invitation, Role, Token, TokenKind, User

# Secret scanners recognise a leaked token by it.
PREFIX = "acc_"

# A login ends when nobody has used it for so long, and in any case after the longer time.
LOGIN_IDLE, LOGIN_LONGEST = timedelta(days=14), timedelta(days=90)
# So often at most is it written down that a token was used.
USE_NOTED_EVERY = timedelta(minutes=5)
FORGOTTEN_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a token is limited to; None is no limit."""

    role: Role | None = None
    project_id: int | None = None
    expires_at: datetime | None = None


NO_LIMITS = Limits()


def create_user(
    session: Session, name: str, *, admin: bool = False, password_hash: str | None = None
) -> User:
    """A new person; NameTaken when there is one of that name."""
    user = User(name=name, admin=admin, password_hash=password_hash)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise NameTaken(f"Somebody is called {name!r} already; choose another name.") from error
    return user


def create_token(
    session: Session,
    user: User,
    name: str,
    *,
    kind: TokenKind = TokenKind.PERSONAL,
    limits: Limits = NO_LIMITS,
) -> str:
    """A new token of the user, in plain; it is shown this once and only its digest is kept."""
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        Token(
            user_id=user.id,
            kind=kind,
            name=name,
            digest=digest_of(token),
            role=limits.role,
            project_id=limits.project_id,
            expires_at=limits.expires_at,
        )
    )
    session.flush()
    return token


def create_personal_token(session: Session, person: Person, name: str, limits: Limits) -> tuple[Token, str]:
    """A token for somebody's script, and what it is in plain; limited to what they are part of."""
    if limits.project_id is not None and queries.role_in(session, person, limits.project_id) is None:
        raise NotFound(f"There is no project {limits.project_id}.")
    plain = create_token(session, session.get_one(User, person.id), name, limits=limits)
    return queries.token_by_digest(session, digest_of(plain)), plain


def revoke_token(session: Session, user_id: int, token_id: int) -> None:
    """End one of the user's tokens; that it has ended already is no error."""
    token = session.get(Token, token_id)
    if token is None or token.user_id != user_id:
        raise NotFound(f"You have no token {token_id}.")
    token.revoked_at = token.revoked_at or now()


def revoke_tokens(session: Session, user_id: int) -> None:
    """End all of the user's tokens and logins."""
    of_user = (Token.user_id == user_id, Token.revoked_at.is_(None))
    session.execute(update(Token).where(*of_user).values(revoked_at=now()))


def start_login(session: Session, user: User, address: str) -> str:
    """A new login for a browser, in plain; its name is the address that it comes from."""
    limits = Limits(expires_at=now() + LOGIN_IDLE)
    return create_token(session, user, address, kind=TokenKind.LOGIN, limits=limits)


def end_logins(session: Session, user_id: int, *, but: int | None = None) -> None:
    """End every login of the user, except for the token ``but``."""
    session.execute(
        update(Token)
        .where(
            Token.user_id == user_id,
            Token.kind == TokenKind.LOGIN,
            Token.revoked_at.is_(None),
            Token.id != (but or 0),
        )
        .values(revoked_at=now())
    )


def use_is_noted(person: Person) -> bool:
    """Whether it is known already that the token was used of late."""
    return person.used_at is not None and person.used_at > now() - USE_NOTED_EVERY


def note_use(session: Session, person: Person) -> None:
    """Write down that the token was used; a login lasts longer with it."""
    used: dict[str, datetime] = {"used_at": now()}
    if person.kind is TokenKind.LOGIN:
        used["expires_at"] = min(now() + LOGIN_IDLE, person.since + LOGIN_LONGEST)
    session.execute(update(Token).where(Token.id == person.token_id).values(used))


def forget_ended_logins(session: Session) -> int:
    """Delete the logins that have long ended and say how many."""
    ended = now() - FORGOTTEN_AFTER
    return rows_changed(session, delete(Token).where(Token.kind == TokenKind.LOGIN, Token.expires_at < ended))


def set_password(session: Session, user: User, password_hash: str, *, keep_login: int | None = None) -> None:
    """From now on only this password is right; every other login ends, in case the old one was known."""
    user.password_hash = password_hash
    end_logins(session, user.id, but=keep_login)


def disable(session: Session, user_id: int, by: int | None) -> User:
    """Nobody is this person any more: their logins, tokens and invitations end, what they did stays."""
    user = queries.user(session, user_id)
    if user_id == by:
        raise Conflict("You cannot disable yourself; another administrator can.")
    user.disabled_at = user.disabled_at or now()
    revoke_tokens(session, user_id)
    open_ones = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
    made_by_or_for = (Invitation.created_by == user_id) | (Invitation.user_id == user_id)
    session.execute(update(Invitation).where(made_by_or_for, *open_ones).values(revoked_at=now()))
    return user


def enable(session: Session, user_id: int) -> User:
    """The person may sign in again; the tokens they had stay revoked."""
    user = queries.user(session, user_id)
    user.disabled_at = None
    return user
