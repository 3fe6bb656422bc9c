"""What goes for every request and answer, whatever the route: body limits, safe headers."""

import re
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.version import HEADER, VERSION

LARGEST_JSON = 4 * 1024 * 1024
# The addresses that take files. They look at the token first; elsewhere a body is read before that.
UPLOADS = re.compile(r"/api/(projects/\d+/(images|masks)|labels/\d+/context/import)")

# Nothing from elsewhere, nothing inline, and nobody may frame the page.
SAFE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


class SafeHeaders:
    """Puts ``SAFE_HEADERS`` on every answer that does not say otherwise, and which version answers.

    The ``build`` of the page that is served follows it, as in 0.1.0+9f86d081, so that a page that is open
    while the service is upgraded learns of it.
    """

    def __init__(self, app: ASGIApp, build: Callable[[], str | None]) -> None:
        self._app = app
        self._build = build

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                build = self._build()
                headers[HEADER] = f"{VERSION}+{build}" if build else VERSION
            await send(message)

        await self._app(scope, receive, send_safely)


class BodyLimit:
    """Reads no more of a body than is allowed, whether or not its length was told.

    The framework has such a limit, but answers in plain text.
    """

    def __init__(self, app: ASGIApp, largest_upload: int) -> None:
        self._app = app
        self._largest_upload = largest_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        form = headers.get("content-type", "").startswith("multipart/")
        upload = form and UPLOADS.fullmatch(scope["path"]) is not None
        limit = self._largest_upload if upload else LARGEST_JSON
        told = headers.get("content-length", "")
        read = 0

        async def receive_some() -> Message:
            nonlocal read
            if told.isdecimal() and int(told) > limit:
                raise _too_large(limit, upload)
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise _too_large(limit, upload)
            return message

        await self._app(scope, receive_some, send)


def _too_large(limit: int, upload: bool) -> HTTPException:
    told = f"The body of this request may have at most {limit:,} bytes."
    advice = "Send fewer files at once, or ask whoever runs Accrue to raise ACCRUE_MAX_UPLOAD_BYTES."
    return HTTPException(413, f"{told} {advice}" if upload else told)
