"""`accrue user`: people, their tokens and their links, from the machine that the service runs on."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from commands.errors import CommandError
from commands.installation import installation, url_of
from service.accounts import actions, queries
from service.audit.actions import note
from service.db import make_sessions, unit_of_work
from service.settings import Settings
from service.tables import User
from service.team.actions import password_link

WHO = "command line"


@dataclass(frozen=True)
class Wish:
    """What is to be done with somebody; None is left as it is."""

    link: bool = False
    admin: bool | None = None
    enabled: bool | None = None


def add_token(settings: Settings, name: str) -> str:
    """A new token of the person, who is created if there is none of that name."""
    return change_user(settings, name, Wish())


def change_user(settings: Settings, name: str, wish: Wish) -> str:
    """What the wish comes to: a new token, a link with which they choose a password, or that it is done.

    Who is not there yet is created; the first person of all is the administrator.
    """
    with installation(settings) as engine, unit_of_work(make_sessions(engine)) as session:
        return _done(session, settings, name, wish)


def _done(session: Session, settings: Settings, name: str, wish: Wish) -> str:
    user = _person(session, name, must_exist=wish.enabled is not None)
    told = {"user_id": user.id, "name": name}
    if wish.admin is not None and wish.admin != user.admin:
        user.admin = wish.admin
        note(session, "make_admin" if wish.admin else "unmake_admin", who=WHO, subject=told)
    if wish.enabled is not None:
        note(session, "enable_user" if wish.enabled else "disable_user", who=WHO, subject=told)
        if not wish.enabled:
            actions.disable(session, user.id, by=None)
            return f"{name} is disabled: they cannot sign in, and their tokens are revoked."
        actions.enable(session, user.id)
        return f"{name} is enabled again; a new token or link comes with another `accrue user`."
    if user.disabled_at is not None:
        raise CommandError(f"{name} is disabled. First: accrue user --enable {name}")
    if wish.link:
        note(session, "make_password_link", who=WHO, subject=told)
        return f"{address(settings)}/#invitation={password_link(session, user.id)}"
    note(session, "create_token", who=WHO, subject=told)
    return actions.create_token(session, user, WHO)


def _person(session: Session, name: str, *, must_exist: bool) -> User:
    known = queries.user_named(session, name)
    if known is None and must_exist:
        raise CommandError(f"There is nobody called {name}.")
    if known is not None:
        return known
    user = actions.create_user(session, name, admin=not queries.users(session))
    note(session, "create_user", who=WHO, subject={"user_id": user.id, "name": name, "admin": user.admin})
    return user


def address(settings: Settings) -> str:
    """Where people open the page: what is set, else where the service runs, else where it would."""
    if settings.public_url is None and settings.url_file.exists():
        return settings.url_file.read_text().strip()
    return (settings.public_url or url_of(settings.host, settings.port)).rstrip("/")
