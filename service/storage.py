"""The storage port: blobs kept under the SHA-256 of their bytes, so a blob never changes."""

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

_DIGEST = re.compile(r"[0-9a-f]{64}")


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


class MemoryStorage:
    """A storage that lives as long as the process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

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
