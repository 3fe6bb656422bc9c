"""Request bodies that a route reads by itself: as OpenAPI describes them, and the files in them.

A body that is declared as a parameter is read before the token is looked at: a stranger could fill the disk
with it.
"""

from typing import Any

from starlette.datastructures import FormData, UploadFile

from service.errors import Invalid


def file(description: str | None = None) -> dict[str, Any]:
    """A file in a form, or a whole body that is one."""
    kind: dict[str, Any] = {"type": "string", "format": "binary"}
    return kind | ({"description": description} if description else {})


def form(required: str, **fields: dict[str, Any]) -> dict[str, Any]:
    """A multipart form of these fields, as ``openapi_extra`` of a route."""
    schema = {"type": "object", "required": [required], "properties": fields}
    return _body("multipart/form-data", schema)


def uploaded(form: FormData) -> list[UploadFile]:
    """The ``files`` of a form; Invalid when there are none."""
    found = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
    if not found:
        raise Invalid("Send at least one file, in the multipart field `files`.")
    return found


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


PNG = _body("image/png", file())
