"""`accrue serve`: a whole installation out of one command, and nothing left of it when it ends."""

import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import redis
import uvicorn

import migrations
from commands import children
from commands.errors import StartError
from commands.installation import database, url_of
from commands.valkey import private_valkey
from service.accounts.actions import create_token, create_user, revoke_tokens
from service.accounts.queries import anybody_can_sign_in, user_named, user_of_token
from service.audit.actions import note
from service.db import make_sessions, unit_of_work
from service.events import redis_py_url
from service.jobs import PULSE_KEY, VISIBILITY_SECONDS
from service.main import create_app
from service.settings import Settings
from service.team.actions import first_link

# Whom the token in the data folder stands for: the machine itself, with which nobody signs in.
MACHINE = "accrue"
START_SECONDS = 120.0
STARTS = 2
PULSE_CHECK_SECONDS = 10.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Running:
    """A running service: where it is, the machine's token, and the settings it really runs with."""

    url: str
    token: str
    settings: Settings
    worker: children.Kept
    api: threading.Thread


def serve(settings: Settings, announce: Callable[[Running], None]) -> None:
    """Runs the service until SIGINT, SIGTERM or SIGHUP; ``announce`` is called once it is up.

    Raises StartError, also when the API ends by itself.
    """

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for each in STOPS:  # a second Ctrl-C must not interrupt the tidying up
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in STOPS:
        signal.signal(each, stop)
    with suppress(KeyboardInterrupt), running_service(settings) as service:
        announce(service)
        while service.api.is_alive():
            time.sleep(0.5)
        raise StartError("The API has ended by itself; what it says is above.")


@contextmanager
def running_service(settings: Settings) -> Iterator[Running]:
    """Database, Valkey, one worker and the API, for as long as the context lasts.

    Valkey is started only where ``settings`` name none. Raises StartError.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.data_dir))
        for child in ("valkey", "worker"):
            _log(settings, child).write_bytes(b"")  # what a child says begins with the service
        listener = stack.enter_context(_listening(settings.host, settings.port))
        redis_url = settings.redis_url or stack.enter_context(private_valkey(_log(settings, "valkey")))
        settings = settings.model_copy(update={"redis_url": redis_url, **_resolved(settings)})
        migrate(settings)
        token = machine_token(settings)
        pulse = Pulse(settings.resolved_redis_url)
        stack.callback(pulse.close)
        worker = _worker(settings, pulse)
        stack.callback(worker.stop)
        api = stack.enter_context(_api(settings, listener))
        _wait_for(worker, pulse, _log(settings, "worker"))
        gc.freeze()  # all that is loaded stays: no request waits for the collector to go through it
        stack.callback(gc.unfreeze)
        url = url_of(*listener.getsockname()[:2])
        settings.url_file.write_text(url + "\n")
        stack.callback(settings.url_file.unlink, missing_ok=True)
        yield Running(url, token, settings, worker, api)


def _resolved(settings: Settings) -> dict[str, str]:
    """Where everything is kept, said in full: a child must not find another place in its environment."""
    return {"database_url": settings.resolved_database_url, "storage_url": settings.resolved_storage_url}


def migrate(settings: Settings) -> None:
    """Brings the database up to date."""
    with database(settings) as engine:
        migrations.upgrade(engine)


def machine_token(settings: Settings) -> str:
    """The token in the data folder, if it is good for the database; else a new one.

    It may everything, as may anyway whoever can read the folder: the database lies beside it.
    """
    path = settings.data_dir / "token"
    kept = path.read_text().strip() if path.exists() else ""
    with database(settings) as engine, unit_of_work(make_sessions(engine)) as session:
        if kept and user_of_token(session, kept):
            token = kept
        else:
            machine = user_named(session, MACHINE) or create_user(session, MACHINE, admin=True)
            revoke_tokens(session, machine.id)
            token = create_token(session, machine, "data folder")
            note(session, "machine_token", who=MACHINE, user_id=machine.id, subject={})
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(token + "\n")
    return token


def first_admin_link(settings: Settings, url: str) -> str | None:
    """A link that makes the administrator, as long as nobody can sign in; a new one with every start."""
    with database(settings) as engine, unit_of_work(make_sessions(engine)) as session:
        secret = None if anybody_can_sign_in(session) else first_link(session)
    return f"{(settings.public_url or url).rstrip('/')}/#invitation={secret}" if secret else None


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The environment in which a child reads the same settings."""
    values = settings.model_dump(exclude_none=True)
    return {**os.environ, **{f"ACCRUE_{name.upper()}": str(value) for name, value in values.items()}}


class Pulse:
    """Whether a worker consumes what is sent to it; a process that merely runs has no pulse."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis.Redis.from_url(
            redis_py_url(redis_url), socket_timeout=2, socket_connect_timeout=2
        )
        self._checked = self._felt = time.monotonic()

    def felt(self) -> bool:
        return bool(self._client.exists(PULSE_KEY))

    def lost(self) -> bool:
        """Whether there has been none for longer than any task takes; asked as often as you like."""
        now = time.monotonic()
        if now - self._checked < PULSE_CHECK_SECONDS:
            return False
        self._checked = now
        try:
            felt = self.felt()
        except redis.RedisError:
            felt = True  # no broker, no pulse: not the worker's fault
        lost = not felt and now - self._felt > VISIBILITY_SECONDS
        if felt or lost:
            self._felt = now
        return lost

    def close(self) -> None:
        self._client.close()


def _worker(settings: Settings, pulse: Pulse) -> children.Kept:
    command = [sys.executable, "-m", "workers.app"]
    log = _log(settings, "worker")
    return children.Kept("worker", command, environment_of(settings), log, hangs=pulse.lost)


def _wait_for(worker: children.Kept, pulse: Pulse, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not pulse.felt():
        if worker.ended >= STARTS or time.monotonic() > deadline:
            raise StartError(f"The worker does not start. {children.last_words(log)}")
        time.sleep(0.05)


def _log(settings: Settings, name: str) -> Path:
    return settings.data_dir / f"{name}.log"


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Two services on one folder would fight over it."""
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"A service is running in {data_dir} already.") from None
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise StartError(
            f"Port {port} of {host} cannot be used ({error.strerror}). "
            "Choose another with --port; 0 takes a free one."
        ) from error
    # Inherited by every connection; without it an answer waits for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


@contextmanager
def _api(settings: Settings, listener: socket.socket) -> Iterator[threading.Thread]:
    """The API in a thread of this process."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, args=([listener],), name="api", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise StartError("The API does not start; what it says is above.")
            time.sleep(0.01)
        yield thread
    finally:
        server.should_exit = True
        app.state.events.end_streams()  # or the stop would wait for every open page
        thread.join()
