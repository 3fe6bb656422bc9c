"""Reads about who is part of a project, and who has been asked to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.accounts.queries import digest_of
from service.clock import now
from service.errors import InvitationOver, NotFound
from service.tables import Invitation, Membership, Project, Role, User


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is part of a project; one who is disabled cannot sign in."""

    user_id: int
    name: str
    role: Role
    since: datetime
    disabled: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation that is still open offers: to be a member, a new password, or the first admin."""

    invitation: Invitation
    project: str | None
    invited_by: str | None
    person: str | None


def members(session: Session, project_id: int) -> list[Member]:
    rows = session.execute(_MEMBERS.where(Membership.project_id == project_id).order_by(User.name))
    return [Member(*row) for row in rows]


def member(session: Session, project_id: int, user_id: int) -> Member:
    """The member; NotFound when they are none."""
    of_both = (Membership.project_id == project_id, Membership.user_id == user_id)
    row = session.execute(_MEMBERS.where(*of_both)).first()
    if row is None:
        raise NotFound(f"User {user_id} is no member of this project.")
    return Member(*row)


def owners(session: Session, project_id: int) -> int:
    """How many owners the project has."""
    of_project = (Membership.project_id == project_id, Membership.role == Role.OWNER)
    return session.scalar(select(func.count()).where(*of_project)) or 0


def open_invitations(session: Session, project_id: int) -> Sequence[Invitation]:
    """Those of the project that can still be accepted, newest first."""
    open_ones = select(Invitation).where(
        Invitation.project_id == project_id,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > now(),
    )
    return session.scalars(open_ones.order_by(Invitation.id.desc())).all()


def offer(session: Session, secret: str, *, by: int | None = None, lock: bool = False) -> Offer:
    """What the link with this secret offers; NotFound, or InvitationOver when it has had its time.

    To the user ``by`` who has accepted it, it still offers the same.
    """
    inviter, person = User.__table__.alias("inviter"), User.__table__.alias("person")
    statement = (
        select(Invitation, Project.name, inviter.c.name, person.c.name, Project.deleted_at)
        .outerjoin(Project, Project.id == Invitation.project_id)
        .outerjoin(inviter, inviter.c.id == Invitation.created_by)
        .outerjoin(person, person.c.id == Invitation.user_id)
        .where(Invitation.digest == digest_of(secret))
    )
    row = session.execute(statement.with_for_update(of=Invitation) if lock else statement).first()
    if row is None:
        raise NotFound("This link is not one of ours: was it copied as a whole?")
    invitation, project, invited_by, for_whom, deleted_at = row
    if why := _why_over(invitation, deleted_at, by):
        raise InvitationOver(f"{why} Ask whoever sent it for a new one.")
    return Offer(invitation, project, invited_by, for_whom)


def _why_over(invitation: Invitation, deleted_at: datetime | None, by: int | None) -> str | None:
    if invitation.revoked_at is not None or deleted_at is not None:
        return "It was taken back."
    if invitation.accepted_at is not None:
        used = "It works once, and was used: if that was you, sign in."
        return None if by is not None and invitation.accepted_by == by else used
    return "Its time is over." if invitation.expires_at <= now() else None


_MEMBERS = select(
    User.id, User.name, Membership.role, Membership.created_at, User.disabled_at.is_not(None)
).join(Membership, Membership.user_id == User.id)
