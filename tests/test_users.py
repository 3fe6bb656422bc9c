"""`accrue user` and the links that it and a first start print."""

import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import migrations
from cli import app
from commands.errors import CommandError
from commands.serve import first_admin_link, machine_token
from commands.users import Wish, add_token, change_user
from service.accounts.queries import user_named, user_of_token
from service.db import make_sessions, open_engine, reading
from service.settings import Settings
from service.tables import AuditEntry, Invitation
from tests.conftest import ServiceUnderTest
from tests.factories import told

PASSWORD = "correct horse battery"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation whose service does not run, with nobody in it."""
    settings = Settings(data_dir=tmp_path, public_url="https://annotate.example.org/")
    engine = open_engine(settings.resolved_database_url)
    migrations.upgrade(engine)
    engine.dispose()
    return settings


def admins(settings: Settings, *names: str) -> list[bool]:
    engine = open_engine(settings.resolved_database_url)
    with reading(make_sessions(engine)) as session:
        found = [user_named(session, name) for name in names]
    engine.dispose()
    return [user is not None and user.admin for user in found]


def test_the_first_person_is_the_administrator_and_others_are_made_so(settings: Settings) -> None:
    for name in ("ada", "grace", "emmy"):
        assert add_token(settings, name).startswith("acc_")
    assert admins(settings, "ada", "grace", "emmy") == [True, False, False]
    change_user(settings, "grace", Wish(admin=True))
    change_user(settings, "ada", Wish(admin=False))
    assert admins(settings, "ada", "grace") == [False, True]


def test_what_the_command_line_does_is_in_the_audit_log(settings: Settings) -> None:
    add_token(settings, "ada")
    change_user(settings, "ada", Wish(link=True))
    change_user(settings, "ada", Wish(enabled=False))
    engine = open_engine(settings.resolved_database_url)
    with reading(make_sessions(engine)) as session:
        told_of = [(entry.who, entry.action) for entry in session.query(AuditEntry).order_by(AuditEntry.id)]
    engine.dispose()
    actions = ["create_user", "create_token", "make_password_link", "disable_user"]
    assert told_of == [("command line", action) for action in actions]


def test_who_is_disabled_gets_neither_token_nor_link(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = add_token(settings, "ada")
    monkeypatch.setenv("ACCRUE_DATA_DIR", str(settings.data_dir))
    run = CliRunner().invoke
    assert "revoked" in run(app, ["user", "--disable", "ada"]).output
    engine = open_engine(settings.resolved_database_url)
    with reading(make_sessions(engine)) as session:
        assert user_of_token(session, token) is None
    engine.dispose()
    for arguments in (["ada"], ["--link", "ada"]):
        refused = run(app, ["user", *arguments])
        assert refused.exit_code == 1 and "accrue user --enable ada" in refused.output
    assert run(app, ["user", "--enable", "ada"]).exit_code == 0
    assert run(app, ["user", "ada"]).output.startswith("acc_")
    nobody = run(app, ["user", "--disable", "nobody"])
    assert nobody.exit_code == 1 and "nobody" in nobody.output


def test_a_person_is_not_made_where_no_installation_is(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no installation"):
        add_token(Settings(data_dir=tmp_path / "typo"), "ada")
    assert not (tmp_path / "typo").exists()


def test_links_lead_to_where_people_open_the_page(settings: Settings) -> None:
    link = change_user(settings, "ada", Wish(link=True))
    assert re.fullmatch(r"https://annotate\.example\.org/#invitation=[\w-]{43}", link)
    first = first_admin_link(settings, "http://127.0.0.1:8000")
    assert first is not None and first.startswith("https://annotate.example.org/#invitation=")


def test_the_machine_is_nobody_who_could_sign_in_and_leaves_the_first_link_open(settings: Settings) -> None:
    lost = machine_token(settings)
    (settings.data_dir / "token").unlink()
    token = machine_token(settings)
    assert machine_token(settings) == token != lost
    assert (settings.data_dir / "token").stat().st_mode & 0o777 == 0o600
    first, second = (first_admin_link(settings, "http://x") for _ in range(2))
    assert first != second
    engine = open_engine(settings.resolved_database_url)
    with reading(make_sessions(engine)) as session:
        assert session.query(Invitation).filter(Invitation.revoked_at.is_(None)).count() == 1
        machine = user_of_token(session, token)
        assert user_of_token(session, lost) is None
        user = user_named(session, "accrue")
    engine.dispose()
    assert machine is not None and machine.admin
    assert user is not None and user.password_hash is None


def test_with_a_link_of_the_command_line_one_signs_in_at_the_running_service(
    service: ServiceUnderTest,
) -> None:
    elsewhere = service.settings.model_copy(update={"port": 8000, "public_url": None})
    page, _, secret = change_user(elsewhere, "katherine", Wish(link=True)).partition("/#invitation=")
    assert page == service.base_url
    origin = {"Origin": service.base_url}
    with httpx.Client(base_url=f"{service.base_url}/api", headers=origin, timeout=60) as browser:
        told(browser.post("/invitations/accept", json={"secret": secret, "password": PASSWORD}))
        assert told(browser.get("/me"))["name"] == "katherine"
        assert browser.post("/auth/logout").status_code == 204
        told(browser.post("/auth/login", json={"name": "katherine", "password": PASSWORD}))
        assert told(browser.post("/projects", json={"name": "of katherine"}), 201)["role"] == "owner"
