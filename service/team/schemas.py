"""Wire shapes of members and invitations."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.accounts.schemas import NewPassword
from service.projects.schemas import ShortName
from service.tables import Role


class MemberOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: int
    name: str
    role: Role
    since: datetime
    disabled: bool


class MemberRole(BaseModel):
    role: Role


class NewInvitation(BaseModel):
    role: Role = Role.ANNOTATOR
    days: int = Field(default=7, ge=1, le=90)


class InvitationOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    role: Role
    created_by: int | None
    created_at: datetime
    expires_at: datetime


class Link(BaseModel):
    """A link that works once; ``secret`` is what stands in it behind the #, which no server sees."""

    SHOWN_ONCE: ClassVar = {"secret", "link"}

    secret: str | None = None
    link: str | None = None


class InvitationMade(InvitationOut, Link):
    """With the link, this once: a repeated request is told all but that."""


class Secret(BaseModel):
    secret: str = Field(max_length=200)


class OfferOut(BaseModel):
    """What a link is for: to join a project, to choose a new password, or to be the administrator."""

    purpose: Literal["join", "password", "first_admin"]
    project: str | None = None
    role: Role | None = None
    invited_by: str | None = None
    person: str | None = None


class Acceptance(Secret):
    """Without name and password whoever is signed in accepts."""

    name: ShortName | None = None
    password: NewPassword | None = None
