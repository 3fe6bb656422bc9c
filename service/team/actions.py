"""The rules of a team: who asks whom in, in which role, and how somebody leaves."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from service.accounts import queries as people
from service.accounts.actions import create_user, set_password
from service.accounts.queries import Person, digest_of
from service.clock import now
from service.errors import Conflict, Invalid, LastOwner, NotAllowed, NotFound
from service.projects.queries import project as read_project
from service.queue.queries import LIVE
from service.tables import Annotation, Invitation, Label, Membership, Role, User
from service.team import queries
from service.team.queries import Member, Offer

# Links of the installation itself are in nobody's mail for long.
LINK_LASTS = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody who has no account yet chooses; only the name is missing for a new password."""

    name: str | None
    password_hash: str


# ---- links


def invite(session: Session, project_id: int, by: Person, own: Role, role: Role, lasts: timedelta) -> str:
    """The secret of a link into the project, in a role that is at most the inviter's own."""
    if not own.covers(role):
        raise NotAllowed(f"You are {own} here and cannot make somebody {role}.")
    return _link(session, project_id=project_id, role=role, created_by=by.id, lasts=lasts)


def first_link(session: Session) -> str:
    """The secret of a link that makes the administrator; an older one does not work any more."""
    _end_links(session, Invitation.project_id.is_(None), Invitation.user_id.is_(None))
    return _link(session, role=Role.OWNER)


def password_link(session: Session, user_id: int, by: int | None = None) -> str:
    """The secret of a link with which the person chooses a new password; an older one ends."""
    if people.user(session, user_id).disabled_at is not None:
        raise Conflict("The account is disabled: enable it first.")
    _end_links(session, Invitation.user_id == user_id)
    return _link(session, user_id=user_id, role=Role.OWNER, created_by=by)


def revoke(session: Session, project_id: int, invitation_id: int) -> None:
    """Take an invitation back; that it is over already is no error."""
    invitation = session.get(Invitation, invitation_id)
    if invitation is None or invitation.project_id != project_id:
        raise NotFound(f"There is no invitation {invitation_id} in this project.")
    invitation.revoked_at = invitation.revoked_at or now()


def accept(session: Session, offer: Offer, by: Person | None, newcomer: Newcomer | None) -> User:
    """What the link offers, for the person who is signed in or for the newcomer; it works once.

    Needs the invitation's row locked. Who has accepted it before is not refused, and nothing changes.
    """
    invitation = offer.invitation
    if invitation.accepted_by is not None:
        return people.user(session, invitation.accepted_by)
    user = _accepting(session, offer, by, newcomer)
    invitation.accepted_at, invitation.accepted_by = now(), user.id
    if invitation.project_id is not None:
        _join(session, invitation.project_id, user.id, invitation.role)
    return user


def _accepting(session: Session, offer: Offer, by: Person | None, newcomer: Newcomer | None) -> User:
    """The account that the link is accepted with."""
    invitation = offer.invitation
    if newcomer is None:
        if by is None or invitation.project_id is None:
            raise Invalid("Choose a password, and unless you have one a name.")
        if by.limited:
            raise NotAllowed("This token is limited, and joining a project is not within its limits.")
        return people.user(session, by.id)
    if invitation.user_id is not None:
        user = people.user(session, invitation.user_id)
        set_password(session, user, newcomer.password_hash)
        return user
    if newcomer.name is None:
        raise Invalid("Choose a name; you sign in with it.")
    first = invitation.project_id is None
    return create_user(session, newcomer.name, admin=first, password_hash=newcomer.password_hash)


def _join(session: Session, project_id: int, user_id: int, role: Role) -> None:
    """Make the user a member; who is one already gets the role if it is a higher one."""
    known = session.get(Membership, (project_id, user_id))
    if known is None:
        session.add(Membership(project_id=project_id, user_id=user_id, role=role))
    elif role.covers(known.role):
        known.role = role


def _link(
    session: Session,
    *,
    role: Role,
    project_id: int | None = None,
    user_id: int | None = None,
    created_by: int | None = None,
    lasts: timedelta = LINK_LASTS,
) -> str:
    secret = secrets.token_urlsafe(32)
    session.add(
        Invitation(
            project_id=project_id,
            user_id=user_id,
            role=role,
            digest=digest_of(secret),
            created_by=created_by,
            expires_at=now() + lasts,
        )
    )
    session.flush()
    return secret


def _end_links(session: Session, *which: ColumnElement[bool]) -> None:
    open_ones = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
    session.execute(update(Invitation).where(*which, *open_ones).values(revoked_at=now()))


# ---- members


def set_role(session: Session, project_id: int, by: Person, own: Role, user_id: int, role: Role) -> Member:
    """Give a member another role, neither of them above one's own; the admin also adds somebody by it.

    Others ask people in by a link: who may name any user would learn who there is.
    """
    read_project(session, project_id, lock=True)
    if not own.covers(role):
        raise NotAllowed(f"You are {own} here and cannot make somebody {role}.")
    known = session.get(Membership, (project_id, user_id))
    if known is None:
        if not by.admin or by.limited:
            raise NotFound(f"User {user_id} is no member of this project; invite them by a link.")
        people.user(session, user_id)
        session.add(Membership(project_id=project_id, user_id=user_id, role=role))
    else:
        _require_power(session, known, own, stays=role is Role.OWNER)
        if known.role.rank > role.rank:
            _end_links(session, *_made_by(project_id, user_id))
        known.role = role
    session.flush()
    return queries.member(session, project_id, user_id)


def remove(session: Session, project_id: int, user_id: int, own: Role) -> None:
    """End a membership; what was assigned to the person is anybody's again, what they did stays."""
    read_project(session, project_id, lock=True)
    known = session.get(Membership, (project_id, user_id))
    if known is None:
        raise NotFound(f"User {user_id} is no member of this project.")
    _require_power(session, known, own, stays=False)
    session.delete(known)
    _end_links(session, *_made_by(project_id, user_id))
    labels = select(Label.id).where(Label.project_id == project_id)
    session.execute(
        update(Annotation)
        .where(
            Annotation.label_id.in_(labels),
            Annotation.assigned_to == user_id,
            Annotation.state.in_(LIVE),
        )
        .values(assigned_to=None)
    )


def _require_power(session: Session, known: Membership, own: Role, *, stays: bool) -> None:
    """That ``own`` may change the membership, and that an owner is left."""
    if not own.covers(known.role):
        raise NotAllowed(f"You are {own} here; only an owner can change what another owner is.")
    if known.role is Role.OWNER and not stays and queries.owners(session, known.project_id) == 1:
        raise LastOwner("A project has at least one owner: make somebody else one first.")


def _made_by(project_id: int, user_id: int) -> tuple[ColumnElement[bool], ...]:
    return Invitation.project_id == project_id, Invitation.created_by == user_id
