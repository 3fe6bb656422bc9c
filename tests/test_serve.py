"""`accrue serve`: one command, a whole installation, and nothing left of it when it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from commands.errors import StartError
from commands.serve import environment_of, running_service
from service.client import Accrue
from service.settings import Settings
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, draw, open_next, png, told
from workers.app import set_up


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "a folder, with spaces & more %41", port=0)


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and what it says when it is up."""
    command = [sys.executable, "-m", "cli", "serve"]
    environment = dict(environment_of(settings))
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_asked_and_leaves_no_process_and_no_socket(
    settings: Settings, number: signal.Signals
) -> None:
    with serving(settings) as (process, said):
        token = (settings.data_dir / "token").read_text().strip()
        assert process.stdout is not None
        _, why, link = (process.stdout.readline() for _ in range(3))
        assert "no administrator yet" in why and link.startswith(f"{said.split()[3]}/#invitation=")
        assert token.startswith("acc_") and token not in said + link
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        sockets = [Path(c.laddr) for child in children for c in child.net_connections("unix")]
        sockets = [path for path in sockets if path.name == "valkey.sock"]
        assert sockets
        # An open page, which listens to events and never ends by itself.
        url = said.split()[3]
        with httpx.Client(base_url=f"{url}/api", timeout=60) as api:
            api.headers["Authorization"] = f"Bearer {token}"
            opened = open_next(api, a_project(api, images=1).label_id)
            with api.stream("GET", f"/annotations/{opened.id}/events") as events:
                next(events.iter_lines())
                process.send_signal(number)
                assert process.wait(60) == 0
        assert not any(child.is_running() for child in children)
        assert not any(path.parent.exists() for path in sockets)


def test_it_starts_again_with_the_same_token_and_all_that_was_there(settings: Settings) -> None:
    with running_service(settings) as first:
        headers = {"Authorization": f"Bearer {first.token}"}
        httpx.post(f"{first.url}/api/projects", json={"name": "kept"}, headers=headers, timeout=60)
    with running_service(settings) as second:
        assert second.token == first.token
        projects = httpx.get(f"{second.url}/api/projects", headers=headers, timeout=60).json()
        assert second.settings.url_file.read_text().strip() == second.url
    assert not second.settings.url_file.exists()
    assert [project["name"] for project in projects] == ["kept"]


def test_a_token_that_the_database_does_not_know_is_replaced(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "token").write_text("acc_of_another_database")
    with running_service(settings) as service:
        headers = {"Authorization": f"Bearer {service.token}"}
        assert httpx.get(f"{service.url}/api/me", headers=headers, timeout=60).json()["name"] == "accrue"


def test_the_token_is_for_the_owner_alone(service: ServiceUnderTest) -> None:
    assert (service.settings.data_dir / "token").stat().st_mode & 0o777 == 0o600


def test_what_is_made_in_a_folder_that_others_may_open_is_for_the_owner_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    command, environment = (
        [sys.executable, "-m", "cli", "migrate"],
        environment_of(Settings(data_dir=tmp_path)),
    )
    subprocess.run(command, env=environment, check=True, umask=0o022)
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert modes and not any(modes.values()), modes


def test_a_second_service_on_the_same_folder_is_refused(service: ServiceUnderTest) -> None:
    again = service.settings.model_copy(update={"redis_url": None})
    with pytest.raises(StartError, match="running in"), running_service(again):
        pass


def test_it_does_not_start_on_a_storage_that_is_not_there(settings: Settings) -> None:
    with running_service(settings) as first, Accrue(first.url, first.token, patience=30) as client:
        client.upload_images(client.create_project("kept"), [("1.png", png())])
    blobs, elsewhere = settings.data_dir / "blobs", settings.data_dir / "unmounted"
    blobs.rename(elsewhere)
    blobs.mkdir()
    with pytest.raises(ValueError, match="Is the folder mounted"), running_service(settings):
        pass
    with pytest.raises(ValueError, match="Is the folder mounted"):
        set_up(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    assert list(blobs.iterdir()) == []
    blobs.rmdir()
    elsewhere.rename(blobs)
    with running_service(settings):
        pass


def test_a_port_in_use_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken_too = settings.model_copy(update={"port": port})
        with pytest.raises(StartError, match=f"Port {port} .*--port"), running_service(taken_too):
            pass


def test_a_worker_that_cannot_start_is_quoted(settings: Settings) -> None:
    unknown = settings.model_copy(update={"model": "none-such"})
    with pytest.raises(StartError, match="none-such cannot be loaded"), running_service(unknown):
        pass


def test_only_its_owner_can_look_into_the_folder_that_it_makes(settings: Settings) -> None:
    with running_service(settings):
        assert settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_a_valkey_that_dies_is_started_again_and_what_was_asked_for_meanwhile_is_done(
    settings: Settings,
) -> None:
    with running_service(settings) as running, httpx.Client(base_url=f"{running.url}/api", timeout=60) as api:
        api.headers["Authorization"] = f"Bearer {running.token}"
        opened = open_next(api, a_project(api, images=1).label_id)
        path = running.settings.resolved_redis_url.removeprefix("redis+socket://")
        (valkey,) = (each for each in psutil.Process().children() if path in " ".join(each.cmdline()))
        valkey.kill()
        told(draw(api, opened), 202)
        deadline = time.monotonic() + 200
        while (
            told(api.get(f"/annotations/{opened.id}"))["prediction"] is None
            or not api.get(f"{running.url}/readyz").json()["ready"]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_worker_that_dies_is_started_again(service: ServiceUnderTest) -> None:
    before = service.running.worker.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while service.running.worker.pid in (before, None):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert psutil.pid_exists(service.running.worker.pid or 0)
