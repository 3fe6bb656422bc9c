"""ETag and If-Match: a change is made to what somebody saw, or not at all."""

from collections.abc import Callable
from hashlib import sha256

from fastapi import Request, Response
from pydantic import BaseModel

from service.errors import VersionStale


def etag(changeable: BaseModel) -> str:
    """The ETag of something, by the part of it that a PATCH can change."""
    return f'"{sha256(changeable.model_dump_json().encode()).hexdigest()[:32]}"'


def unless_known(request: Request, tag: str, media_type: str, make: Callable[[], bytes]) -> Response:
    """What ``make`` makes; to whoever has it already, by its ETag, it is not made and not sent again.

    They ask each time: under the same address there may be something else by then, of another installation
    or of a restored one.
    """
    headers = {"ETag": f'"{tag}"'}
    if headers["ETag"] in tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(make(), media_type=media_type, headers=headers)


def tags(listed: str) -> set[str]:
    """The tags of an If-Match or If-None-Match. A proxy that compresses answers marks them as weak: they are
    the same tags.
    """
    return {tag.strip().removeprefix("W/") for tag in listed.split(",")}


def names(if_match: str, version: str) -> bool:
    """Whether it lists the version, in the quotes of an ETag or without them, or whichever it is (``*``)."""
    return bool(tags(if_match) & {"*", f'"{version}"', version})


def require_seen(if_match: str, changeable: BaseModel) -> None:
    """That ``if_match`` names it as it is now; VersionStale says how it is otherwise."""
    if not tags(if_match) & {"*", etag(changeable)}:
        raise VersionStale(
            "Somebody has changed it since you read it. Look at how it is now and decide again.",
            current=changeable.model_dump(mode="json"),
            etag=etag(changeable),
        )
