"""The history of the tables, and bringing a database up to date with it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

FOLDER = Path(__file__).parent


def configuration(engine: Engine) -> Config:
    """What Alembic's commands need to work on the database of ``engine``."""
    config = Config()
    # Alembic reads % as the beginning of a reference; the folder may have one in its name.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision; does nothing when it is there."""
    command.upgrade(configuration(engine), "head")


def newest() -> str:
    """The newest revision there is."""
    return str(ScriptDirectory(str(FOLDER)).get_current_head())


def up_to_date(engine: Engine) -> bool:
    """Whether the database is at the newest revision."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest()
