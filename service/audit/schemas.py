"""Wire shapes of the audit log."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Format(StrEnum):
    """A page as JSON, or all of it as a file."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


class AuditLine(BaseModel):
    """Who did what: ``action`` is an operation of the API, ``subject`` what it was about."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    user_id: int | None
    who: str
    token_id: int | None
    project_id: int | None
    action: str
    subject: dict[str, Any]


class AuditPage(BaseModel):
    """Newest first; ask again with ``before`` = ``next`` until that is null."""

    entries: list[AuditLine]
    next: int | None
