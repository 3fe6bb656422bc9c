"""The migrations make the tables, and take them away again, on both databases."""

import unicodedata

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pytest_alembic.config import Config
from pytest_alembic.tests import (  # noqa: F401 - they run here, on both databases
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, inspect, select

import migrations
from service.accounts.actions import create_user
from service.db import make_sessions, reading, unit_of_work
from service.tables import Image, Project, Table, User
from tests.factories import stored_image


@pytest.fixture
def alembic_config() -> Config:
    return Config({"script_location": str(migrations.FOLDER)})


@pytest.fixture
def alembic_engine(empty_database: Engine) -> Engine:
    return empty_database


def differences(engine: Engine) -> list[object]:
    """What autogenerate would still change, checks aside: it compares none."""
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Table.metadata}
        )
        return list(compare_metadata(context, Table.metadata))


def checks(engine: Engine) -> set[str | None]:
    inspector = inspect(engine)
    names = inspector.get_table_names()
    return {check["name"] for name in names for check in inspector.get_check_constraints(name)}


def test_the_migrations_make_the_tables_that_the_code_knows(empty_database: Engine) -> None:
    migrations.upgrade(empty_database)
    assert differences(empty_database) == []
    assert "ck_annotations_state" in checks(empty_database)
    assert migrations.up_to_date(empty_database)


def test_every_constraint_has_the_name_of_the_convention(empty_database: Engine) -> None:
    migrations.upgrade(empty_database)
    inspector = inspect(empty_database)
    for table in Table.metadata.sorted_tables:
        made = {key["name"] for key in inspector.get_foreign_keys(table.name)}
        made |= {unique["name"] for unique in inspector.get_unique_constraints(table.name)}
        made.add(inspector.get_pk_constraint(table.name)["name"])
        made |= {index["name"] for index in inspector.get_indexes(table.name)}
        known = {each.name for each in table.constraints} | {each.name for each in table.indexes}
        if empty_database.dialect.name == "sqlite":  # what counts on and on has no name there
            known.discard(table.primary_key.name)
        assert known - checks(empty_database) <= made, table.name


def test_upgrading_twice_changes_nothing(empty_database: Engine) -> None:
    migrations.upgrade(empty_database)
    sessions = make_sessions(empty_database)
    with unit_of_work(sessions) as session:
        create_user(session, "kept")
    migrations.upgrade(empty_database)
    with reading(sessions) as session:
        assert session.query(User).one().name == "kept"


def test_names_from_before_are_composed(empty_database: Engine) -> None:
    command.upgrade(migrations.configuration(empty_database), "0001")
    sessions, written = make_sessions(empty_database), unicodedata.normalize("NFD", "Körper/täst.png")
    with unit_of_work(sessions) as session:
        project = Project(
            name="p", model="memory-v1", use_context=True, created_by=create_user(session, "a").id
        )
        session.add(project)
        session.flush()
        kept = stored_image(session, project.id, "0" * 64)
        kept.name, other = written, stored_image(session, project.id, "1" * 64).name
        # A sign that is two when it is composed.
        grown, deep = (stored_image(session, project.id, each * 64) for each in "23")
        grown.name, deep.name = 250 * "\u0958" + ".png", "folder/" + 124 * "\u0958" + "/a.png"
    migrations.upgrade(empty_database)
    with reading(sessions) as session:
        names = session.scalars(select(Image.name).order_by(Image.id)).all()
    assert names[:2] == ["Körper/täst.png", other]
    assert len(names[2]) == 255 and names[2].endswith("\u0915\u093c.png")
    assert names[3] == 124 * "\u0915\u093c" + "/a.png"


def test_down_and_up_again_leads_to_the_same_tables(empty_database: Engine) -> None:
    migrations.upgrade(empty_database)
    command.downgrade(migrations.configuration(empty_database), "base")
    assert inspect(empty_database).get_table_names() == ["alembic_version"]
    assert not migrations.up_to_date(empty_database)
    migrations.upgrade(empty_database)
    assert differences(empty_database) == []


def test_a_strategy_that_nobody_knows_does_not_get_in(empty_database: Engine) -> None:
    migrations.upgrade(empty_database)
    assert "ck_labels_strategy" in checks(empty_database)
