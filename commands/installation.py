"""Where an installation is: its database, for as long as a command needs it, and its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, make_url

from commands.errors import CommandError
from service.db import open_engine
from service.settings import Settings

# Where a browser on this machine finds what listens everywhere.
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings.resolved_database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def installation(settings: Settings) -> Iterator[Engine]:
    """The database of an installation; CommandError, with nothing made, if there is none."""
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise CommandError(
            f"There is no installation in {Path(url.database or '').parent}. "
            "Start one with `accrue serve`, or name the folder of another with --data-dir."
        )
    with database(settings) as engine:
        yield engine


def url_of(host: str, port: int) -> str:
    """The address for a browser on this machine."""
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
