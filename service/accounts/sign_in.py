"""Signing in: a name, a password, and longer and longer pauses for those who guess."""

import math
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.accounts import passwords, queries
from service.accounts.actions import start_login
from service.accounts.queries import digest_of
from service.audit.actions import note
from service.clock import now
from service.db import reading, rows_changed, unit_of_work
from service.errors import SignInFailed, TooManyAttempts
from service.tables import SignInFailure, User

# How many wrong passwords within the time cost nothing. Many people may share an address.
FREE_FOR_NAME, FREE_FROM_ADDRESS = 5, 50
REMEMBERED = timedelta(minutes=15)
# The pause begins with a second and doubles, but whoever is shut out by others' guesses waits no longer.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)


def sign_in(sessions: sessionmaker[Session], name: str, password: str, address: str) -> tuple[User, str]:
    """Who that is, and their new login in plain; SignInFailed or TooManyAttempts otherwise.

    The password is looked at with no transaction open, because that takes long on purpose.
    """
    user = proven(sessions, name, password, address)
    with unit_of_work(sessions) as session:
        user = queries.user(session, user.id)
        token = start_login(session, user, address)
        if user.password_hash is not None and passwords.outdated(user.password_hash):
            user.password_hash = passwords.hashed(password)
        token_id = queries.token_by_digest(session, digest_of(token)).id
        told = {"address": address}
        note(session, "login", who=user.name, user_id=user.id, token_id=token_id, subject=told)
    return user, token


def proven(sessions: sessionmaker[Session], name: str, password: str, address: str) -> User:
    """The person of that name and password; every attempt counts as wrong until it was right."""
    with unit_of_work(sessions) as session:
        _require_patience(session, name, address)
        session.add(SignInFailure(name=name, address=address))
    with reading(sessions) as session:
        user = queries.user_named(session, name)
    right = passwords.matches(user.password_hash if user else None, password)
    with unit_of_work(sessions) as session:
        if user is not None and right and user.disabled_at is None:
            _forgive(session, name, address)
            return user
        # A name that nobody has may be a password in the wrong field: it is not written down.
        who, user_id = (user.name, user.id) if user else ("(unknown)", None)
        note(session, "login_failed", who=who, user_id=user_id, subject={"address": address})
    raise SignInFailed("The name or the password is wrong, or the account is disabled.")


def forget_failures(session: Session) -> int:
    """Delete the failures that count no more and say how many."""
    return rows_changed(session, delete(SignInFailure).where(SignInFailure.at < now() - REMEMBERED))


def _require_patience(session: Session, name: str, address: str) -> None:
    of_name, from_here = SignInFailure.name == name, SignInFailure.address == address
    if queries.has_signed_in(session, name, address):
        of_name &= from_here  # whoever guesses the name elsewhere shuts nobody out where they are at home
    over = _pause_over(session, of_name, FREE_FOR_NAME), _pause_over(session, from_here, FREE_FROM_ADDRESS)
    left = (max(over) - now()).total_seconds()
    if left > 0:
        seconds = math.ceil(left)
        raise TooManyAttempts(
            f"Too many wrong passwords. Please try again in {seconds} s.", retry_after=seconds
        )


def _pause_over(session: Session, which: ColumnElement[bool], free: int) -> datetime:
    """When the pause after the last of these failures is over."""
    since = now() - REMEMBERED
    counted = select(func.count(), func.max(SignInFailure.at)).where(which, SignInFailure.at > since)
    failures, last = session.execute(counted).one()
    if failures < free:
        return since
    doubled: timedelta = min(FIRST_PAUSE * 2.0 ** min(failures - free, 20), LONGEST_PAUSE)
    return last + doubled


def _forgive(session: Session, name: str, address: str) -> None:
    """Forget the failures of this name from this address; those from elsewhere are somebody else's."""
    session.execute(delete(SignInFailure).where(SignInFailure.name == name, SignInFailure.address == address))
