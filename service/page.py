"""The web page as Vite built it: files that never change under their names, and one page at every address."""

import re
from functools import lru_cache
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Scope

BUILT = Path(__file__).parent.parent / "web" / "dist"

INDEX = "index.html"
# Their names change with their content.
UNCHANGING = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
# What web/vite.config.ts puts into the page.
BUILD = re.compile(r'<meta name="build" content="(\w+)">')
NOT_AT_ALL = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")


def build(folder: Path = BUILT) -> str | None:
    """Which build of the page is served now, as it says itself; None when there is none."""
    index = folder / INDEX
    try:
        return _build_in(index, index.stat().st_mtime_ns)
    except (OSError, UnicodeError):
        return None


@lru_cache
def _build_in(index: Path, _written: int) -> str | None:
    found = BUILD.search(index.read_text("utf-8"))
    return found[1] if found else None


class Page(Mount):
    """The page, at every path but the API's: there, a wrong method must stay a wrong method."""

    def __init__(self, folder: Path = BUILT) -> None:
        super().__init__("/", PageFiles(directory=folder, check_dir=False))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"] == "/api" or scope["path"].startswith("/api/"):
            return Match.NONE, {}
        return super().matches(scope)


class PageFiles(StaticFiles):
    """The files of the page; what is no file but could be an address in it is the page itself."""

    async def check_config(self) -> None:
        """Nothing: that the folder is not there is told to whoever asks for the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.startswith("assets/"):
            return await self._asset(path, scope)
        if "." in path.removeprefix("."):
            return await super().get_response(path, scope)
        try:
            return await super().get_response(INDEX, scope)
        except HTTPException as error:
            if error.status_code == 404:
                raise HTTPException(404, "The page is not built: run `make page`.") from error
            raise

    async def _asset(self, path: str, scope: Scope) -> Response:
        """A file for ever; its compressed twin where the build has made one and the browser takes it.

        The twin is a file of its own, with an ETag and a length of its own.
        """
        twin = f"{path}.gz"
        compressed = _takes_gzip(scope) and self.lookup_path(twin)[1] is not None
        response = await super().get_response(twin if compressed else path, scope)
        response.headers.update(UNCHANGING)
        if compressed and response.status_code != 304:
            response.headers["Content-Encoding"] = "gzip"
        return response


def _takes_gzip(scope: Scope) -> bool:
    for each in Headers(scope=scope).get("accept-encoding", "").lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return NOT_AT_ALL.fullmatch(weight) is None
    return False
