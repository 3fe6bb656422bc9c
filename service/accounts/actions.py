"""The rules of people and their tokens."""

import secrets

from sqlalchemy.orm import Session

from service.accounts.queries import digest_of
from service.tables import Token, User

# Secret scanners recognise a leaked token by it.
PREFIX = "acc_"


def create_user(session: Session, name: str, *, admin: bool = False) -> User:
    user = User(name=name, admin=admin)
    session.add(user)
    session.flush()
    return user


def create_token(session: Session, user: User, name: str) -> str:
    """A new token of the user, in plain; it is shown this once and only its digest is kept."""
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(Token(user_id=user.id, name=name, digest=digest_of(token)))
    session.flush()
    return token
