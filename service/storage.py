"""The storage port: blobs kept under the SHA-256 of their bytes, so a blob never changes; and passing files.

A blob is never deleted. What is made and goes again (the pieces of an export) is a passing file, under a name
of our own choosing.
"""

import os
import re
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
PASSING = "passing"


def digest_of(data: bytes) -> str:
    """The name under which ``data`` is kept."""
    return sha256(data).hexdigest()


class Storage(Protocol):
    def put(self, data: bytes, *, durable: bool = True) -> str:
        """Keep ``data`` and return its digest.

        Without ``durable`` it costs no wait for the disk, and survives a power cut only after ``keep``.
        """

    def keep(self, digest: str) -> None:
        """Wait until the bytes with that digest are kept for good."""

    def get(self, digest: str) -> bytes:
        """The bytes with that digest; FileNotFoundError when there are none."""

    def exists(self, digest: str) -> bool: ...

    def write_passing(self, name: str, data: bytes) -> None:
        """Keep ``data`` for good as the passing file ``name`` ("exports/7/3"), in place of what was there."""

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        """``length`` bytes from ``start`` on (-1: all) of a passing file; FileNotFoundError without one."""

    def delete_passing(self, folder: str) -> None:
        """Delete the passing files in ``folder``; those that are gone already are no error."""


class MemoryStorage:
    """A storage that lives as long as the process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._passing: dict[str, bytes] = {}

    def put(self, data: bytes, *, durable: bool = True) -> str:
        digest = digest_of(data)
        self._blobs[digest] = bytes(data)
        return digest

    def keep(self, digest: str) -> None:
        self.get(digest)

    def get(self, digest: str) -> bytes:
        try:
            return self._blobs[digest]
        except KeyError:
            raise FileNotFoundError(digest) from None

    def exists(self, digest: str) -> bool:
        return digest in self._blobs

    def write_passing(self, name: str, data: bytes) -> None:
        self._passing[_checked(name)] = bytes(data)

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        try:
            found = self._passing[_checked(name)]
        except KeyError:
            raise FileNotFoundError(name) from None
        return found[start:] if length < 0 else found[start : start + length]

    def delete_passing(self, folder: str) -> None:
        inside = f"{_checked(folder)}/"
        for name in [name for name in self._passing if name.startswith(inside)]:
            del self._passing[name]


class LocalStorage:
    """Files in a folder, written whole or not at all: a reader never meets half a blob."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes, *, durable: bool = True) -> str:
        digest = digest_of(data)
        path = self._path(digest)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, data, durable=durable)
        elif durable:
            self.keep(digest)
        return digest

    def keep(self, digest: str) -> None:
        with self._path(digest).open("rb") as file:
            os.fsync(file.fileno())

    def get(self, digest: str) -> bytes:
        return self._path(digest).read_bytes()

    def exists(self, digest: str) -> bool:
        try:
            return self._path(digest).exists()
        except FileNotFoundError:
            return False

    def write_passing(self, name: str, data: bytes) -> None:
        path = self._passing(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write(path, data, durable=True)

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        with self._passing(name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def delete_passing(self, folder: str) -> None:
        shutil.rmtree(self._passing(folder), ignore_errors=True)

    def _passing(self, name: str) -> Path:
        return self._folder / PASSING / _checked(name)

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):  # a digest is never a path
            raise FileNotFoundError(digest)
        return self._folder / digest[:2] / digest

    @staticmethod
    def _write(path: Path, data: bytes, *, durable: bool) -> None:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _checked(name: str) -> str:
    """The name of a passing file or of a folder of such; ValueError for what could lead elsewhere."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a passing file")
    return name


def open_storage(url: str) -> Storage:
    """The storage behind ``file:///folder`` or ``memory://``."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            return LocalStorage(Path(parts.netloc + parts.path))
        case "memory":
            return MemoryStorage()
        case other:
            raise ValueError(f"Storage {other!r} is not supported: use file:///folder (S3 is not built yet).")
