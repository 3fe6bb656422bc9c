"""`accrue user`: people and their tokens, where there is no one yet who could invite them."""

from sqlalchemy import select

from service.accounts.actions import create_token, create_user
from service.db import make_sessions, open_engine, unit_of_work
from service.settings import Settings
from service.tables import User


def add_token(settings: Settings, name: str) -> str:
    """A new token of the person, who is created if there is none of that name."""
    engine = open_engine(settings.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        user = session.scalars(select(User).where(User.name == name)).first()
        token = create_token(session, user or create_user(session, name, admin=True), "command line")
    engine.dispose()
    return token
