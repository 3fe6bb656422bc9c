"""Wire shapes of people, sign-in and tokens."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.accounts.passwords import LONGEST, SHORTEST
from service.ids import Id
from service.projects.schemas import ShortName
from service.tables import Role

# A password that somebody chooses, and one that is merely looked at.
NewPassword = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST)]
Password = Annotated[str, StringConstraints(max_length=LONGEST)]


class Me(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    admin: bool


class Credentials(BaseModel):
    name: ShortName
    password: Password


class PlainToken(BaseModel):
    token: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class PasswordChange(BaseModel):
    old: Password
    new: NewPassword


class NewToken(BaseModel):
    """A role or a project limits what the token may; without ``days`` it lasts until it is revoked."""

    name: ShortName
    role: Role | None = None
    project_id: Id | None = None
    days: int | None = Field(default=None, ge=1, le=3650)


class TokenOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    role: Role | None
    project_id: int | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class TokenMade(TokenOut):
    """With the token in plain, this once: a repeated request is told all but that."""

    SHOWN_ONCE: ClassVar = {"token"}

    token: str | None = None


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    admin: bool
    created_at: datetime
    disabled_at: datetime | None
