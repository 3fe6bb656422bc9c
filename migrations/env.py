"""How Alembic reaches the database: by the engine it is given, else by the settings."""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, Engine

from service.db import open_engine
from service.settings import Settings
from service.tables import Table


def run() -> None:
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    given = context.config.attributes.get("engine") or context.config.attributes.get("connection")
    engine = given or open_engine(Settings().resolved_database_url)
    if isinstance(engine, Engine):
        with engine.connect() as connection:
            migrate(connection)
        if given is None:
            engine.dispose()
    else:
        migrate(engine)


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        # SQLite changes a table by copying it; a revision written for that works on both.
        render_as_batch=True,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
