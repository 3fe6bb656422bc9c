"""The storage port: blobs kept under the SHA-256 of their bytes, so a blob never changes; and passing files.

A blob that no row names is set aside first, where it is still found, and dropped from there later
(docs/decisions/0016). What is made and goes again (the pieces of an export) is a passing file, under a name
of our own choosing.
"""

import errno
import os
import re
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, GenericError, UnauthenticatedError
from obstore.store import S3Store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
PASSING, ASIDE = "passing", "aside"
# A person waits for no more than that; a bucket that stays away is an error like a full disk.
TRIES, TRIED_FOR = 3, timedelta(seconds=15)
# With these numbers a file system speaks of all that it holds; with others, of one file.
_AWAY = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT}
    | {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)


def digest_of(data: bytes) -> str:
    """The name under which ``data`` is kept."""
    return sha256(data).hexdigest()


def is_away(error: Exception) -> bool:
    """Whether ``error`` says that a storage is full, closed or out of reach, and nothing of a single blob."""
    if isinstance(error, OSError):
        return error.errno in _AWAY
    return isinstance(error, GenericError | UnauthenticatedError)


class Storage(Protocol):
    """Where bytes are kept: blobs by the digest of what is in them, and passing files by a name."""

    def put(self, data: bytes, *, durable: bool = True, anew: bool = False) -> str:
        """Keep ``data`` and return its digest.

        Without ``durable`` it costs no wait for the disk, and survives a power cut only after ``keep``.
        What is there already is trusted if it is as long, unless ``anew``.
        """

    def keep(self, digest: str) -> None:
        """Wait until the bytes with that digest are kept for good."""

    def get(self, digest: str) -> bytes:
        """The bytes with that digest; FileNotFoundError when there are none."""

    def exists(self, digest: str) -> bool:
        """Whether ``get`` has the bytes with that digest."""

    def set_aside(self, digest: str) -> None:
        """Move the bytes to where only ``get`` looks: who puts them again has them in their place anew.

        Neither this nor the next two is an error where there is nothing to move or to drop.
        """

    def bring_back(self, digest: str) -> None:
        """Move what was set aside to its place again."""

    def drop(self, digest: str) -> None:
        """Delete what was set aside, for good."""

    def write_passing(self, name: str, data: bytes) -> None:
        """Keep ``data`` for good as the passing file ``name`` ("exports/7/3"), in place of what was there."""

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        """``length`` bytes from ``start`` on (-1: all) of a passing file; FileNotFoundError without one."""

    def delete_passing(self, folder: str) -> None:
        """Delete the passing files in ``folder``; those that are gone already are no error, others are."""


class MemoryStorage:
    """A storage that lives as long as the process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._aside: dict[str, bytes] = {}
        self._passing: dict[str, bytes] = {}

    def put(self, data: bytes, *, durable: bool = True, anew: bool = False) -> str:
        digest = digest_of(data)
        self._blobs[digest] = bytes(data)
        return digest

    def keep(self, digest: str) -> None:
        self.get(digest)

    def get(self, digest: str) -> bytes:
        try:
            return self._blobs[digest] if digest in self._blobs else self._aside[digest]
        except KeyError:
            raise FileNotFoundError(digest) from None

    def exists(self, digest: str) -> bool:
        return digest in self._blobs or digest in self._aside

    def set_aside(self, digest: str) -> None:
        if digest in self._blobs:
            self._aside[digest] = self._blobs.pop(digest)

    def bring_back(self, digest: str) -> None:
        if digest in self._aside:
            self._blobs[digest] = self._aside.pop(digest)

    def drop(self, digest: str) -> None:
        self._aside.pop(digest, None)

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

    def put(self, data: bytes, *, durable: bool = True, anew: bool = False) -> str:
        digest = digest_of(data)
        path = self._path(digest)
        if anew or _size(path) != len(data):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, data, durable=durable)
        elif durable:
            self.keep(digest)
        return digest

    def keep(self, digest: str) -> None:
        with self._open(digest) as file:
            os.fsync(file.fileno())

    def get(self, digest: str) -> bytes:
        with self._open(digest) as file:
            return file.read()

    def exists(self, digest: str) -> bool:
        try:
            self._open(digest).close()
        except FileNotFoundError:
            return False
        return True

    def set_aside(self, digest: str) -> None:
        self._move(self._path(digest), self._aside(digest))

    def bring_back(self, digest: str) -> None:
        self._move(self._aside(digest), self._path(digest))

    def drop(self, digest: str) -> None:
        self._aside(digest).unlink(missing_ok=True)

    def write_passing(self, name: str, data: bytes) -> None:
        path = self._passing(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write(path, data, durable=True)

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        with self._passing(name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def delete_passing(self, folder: str) -> None:
        while (path := self._passing(folder)).exists():
            with suppress(FileNotFoundError):  # somebody else is at it too
                shutil.rmtree(path)

    def _passing(self, name: str) -> Path:
        return self._folder / _passing(name)

    def _path(self, digest: str) -> Path:
        return self._folder / _place(digest)

    def _aside(self, digest: str) -> Path:
        return self._folder / _aside(digest)

    def _open(self, digest: str) -> IO[bytes]:
        """The file in its place, or aside; between the two looks it may have been brought back."""
        for path in (self._path(digest), self._aside(digest)):
            with suppress(FileNotFoundError):
                return path.open("rb")
        return self._path(digest).open("rb")

    @staticmethod
    def _move(path: Path, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            os.replace(path, to)

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


class BucketStorage:
    """A bucket of an S3 service, laid out like the folder of a ``LocalStorage``: one copies to the other.

    Where it is and with which keys is told by the usual AWS_ variables. What was put is there for good.
    """

    def __init__(self, bucket: str, folder: str) -> None:
        """Raises ValueError when the bucket cannot be used."""
        self._store = S3Store(
            bucket,
            prefix=folder or None,
            client_options={"allow_http": True},  # AWS_ENDPOINT_URL says whether: many stand in the same room
            retry_config={"max_retries": TRIES, "retry_timeout": TRIED_FOR},
        )
        try:
            next(iter(self._store.list(chunk_size=1)), None)
        except (OSError, BaseError) as error:
            raise ValueError(
                f"The bucket {bucket!r} cannot be used; is it there, and are AWS_ENDPOINT_URL, AWS_REGION, "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set? {str(error).splitlines()[0]}"
            ) from error

    def put(self, data: bytes, *, durable: bool = True, anew: bool = False) -> str:
        digest = digest_of(data)
        self._store.put(_place(digest), data)
        return digest

    def keep(self, digest: str) -> None:
        """Nothing is left to wait for."""

    def get(self, digest: str) -> bytes:
        for place in (_place(digest), _aside(digest)):
            with suppress(FileNotFoundError):
                return bytes(self._store.get(place).bytes())
        return bytes(self._store.get(_place(digest)).bytes())

    def exists(self, digest: str) -> bool:
        try:
            return any(self._is_there(place) for place in (_place(digest), _aside(digest)))
        except FileNotFoundError:
            return False

    def set_aside(self, digest: str) -> None:
        self._move(_place(digest), _aside(digest))

    def bring_back(self, digest: str) -> None:
        self._move(_aside(digest), _place(digest))

    def drop(self, digest: str) -> None:
        self._store.delete(_aside(digest))

    def write_passing(self, name: str, data: bytes) -> None:
        self._store.put(_passing(name), data)

    def read_passing(self, name: str, start: int = 0, length: int = -1) -> bytes:
        place = _passing(name)
        last = self._store.head(place)["size"] if length < 0 else start + length
        return bytes(self._store.get_range(place, start=start, end=last)) if last > start else b""

    def delete_passing(self, folder: str) -> None:
        for found in self._store.list(_passing(folder)):
            self._store.delete([each["path"] for each in found])

    def _is_there(self, place: str) -> bool:
        try:
            self._store.head(place)
        except FileNotFoundError:
            return False
        return True

    def _move(self, place: str, to: str) -> None:
        """A copy, then a deletion: there is no moment at which it is in neither place."""
        with suppress(FileNotFoundError):
            self._store.copy(place, to)
            self._store.delete(place)


def _place(digest: str) -> str:
    """Where a blob lies; FileNotFoundError for what is no digest, because a digest is never a path."""
    if not _DIGEST.fullmatch(digest):
        raise FileNotFoundError(digest)
    return f"{digest[:2]}/{digest}"


def _aside(digest: str) -> str:
    return f"{ASIDE}/{_place(digest)}"


def _size(path: Path) -> int | None:
    """None when there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _passing(name: str) -> str:
    return f"{PASSING}/{_checked(name)}"


def _checked(name: str) -> str:
    """The name of a passing file or of a folder of such; ValueError for what could lead elsewhere."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a passing file")
    return name


def open_storage(url: str) -> Storage:
    """The storage behind ``file:///folder``, ``s3://bucket/folder`` or ``memory://``.

    Raises ValueError for another URL, or a bucket that cannot be used.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file" if url.startswith("file://"):
            return LocalStorage(Path(url.removeprefix("file://")))  # which may have # and ? in its name
        case "s3":
            return BucketStorage(parts.netloc, unquote(parts.path).strip("/"))
        case "memory":
            return MemoryStorage()
        case other:
            raise ValueError(f"Storage {other or url!r} is not supported: use file:///folder or s3://bucket.")
