"""The members of a project, and the links by which people become members or choose a password."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from service import browser
from service.accounts import passwords
from service.accounts.actions import start_login
from service.accounts.schemas import Me
from service.audit.actions import note
from service.db import reading, unit_of_work
from service.dependencies import Admission, Caller, OwnRole, Rules, Sessions, Transaction
from service.ids import Id
from service.tables import Role
from service.team import actions, queries
from service.team.actions import Newcomer
from service.team.schemas import (
    Acceptance,
    InvitationMade,
    InvitationOut,
    Link,
    MemberOut,
    MemberRole,
    NewInvitation,
    OfferOut,
    Secret,
)

router = APIRouter(tags=["team"])


@router.get("/projects/{project_id}/members")
def list_members(project_id: Id, sessions: Sessions) -> list[MemberOut]:
    with reading(sessions) as session:
        return [MemberOut.model_validate(each) for each in queries.members(session, project_id)]


@router.delete("/projects/{project_id}/members/me", status_code=204)
def leave_project(project_id: Id, caller: Caller, transaction: Transaction) -> None:
    """Leave a project; its last owner cannot."""
    transaction.do(lambda session: actions.remove(session, project_id, caller.id, Role.OWNER))


@router.put("/projects/{project_id}/members/{user_id}")
def set_role(
    project_id: Id, user_id: Id, new: MemberRole, caller: Caller, own: OwnRole, transaction: Transaction
) -> MemberOut:
    """Give a member another role; the administrator also adds members by it."""

    def effect(session: Session) -> MemberOut:
        transaction.mention(role=new.role)
        found = actions.set_role(session, project_id, caller, own, user_id, new.role)
        return MemberOut.model_validate(found)

    return transaction(effect, MemberOut)


@router.delete("/projects/{project_id}/members/{user_id}", status_code=204)
def remove_member(project_id: Id, user_id: Id, own: OwnRole, transaction: Transaction) -> None:
    transaction.do(lambda session: actions.remove(session, project_id, user_id, own))


@router.get("/projects/{project_id}/invitations")
def list_invitations(project_id: Id, sessions: Sessions) -> list[InvitationOut]:
    """Those that can still be accepted."""
    with reading(sessions) as session:
        found = queries.open_invitations(session, project_id)
        return [InvitationOut.model_validate(each) for each in found]


@router.post("/projects/{project_id}/invitations", status_code=201)
def invite(
    project_id: Id,
    new: NewInvitation,
    request: Request,
    caller: Caller,
    own: OwnRole,
    transaction: Transaction,
    rules: Rules,
) -> InvitationMade:
    """A link that makes whoever opens it first a member; it is shown this once."""

    def effect(session: Session) -> InvitationMade:
        transaction.mention(role=new.role)
        lasts = timedelta(days=new.days)
        secret = actions.invite(session, project_id, caller, own, new.role, lasts)
        made = InvitationMade.model_validate(queries.offer(session, secret).invitation)
        return made.model_copy(update=_link(request, rules.public_url, secret))

    return transaction(effect, InvitationMade)


@router.delete("/projects/{project_id}/invitations/{invitation_id}", status_code=204)
def revoke_invitation(project_id: Id, invitation_id: Id, transaction: Transaction) -> None:
    transaction.do(lambda session: actions.revoke(session, project_id, invitation_id))


@router.post("/users/{user_id}/link", status_code=201)
def make_password_link(
    user_id: Id, request: Request, caller: Caller, transaction: Transaction, rules: Rules
) -> Link:
    """A link with which the person chooses a new password; it is shown this once."""

    def effect(session: Session) -> Link:
        secret = actions.password_link(session, user_id, by=caller.id)
        return Link.model_validate(_link(request, rules.public_url, secret))

    return transaction(effect, Link)


@router.post("/invitations/look")
def look_at_invitation(given: Secret, sessions: Sessions) -> OfferOut:
    """What a link is for, before it is accepted."""
    with reading(sessions) as session:
        offer = queries.offer(session, given.secret)
    invitation = offer.invitation
    if invitation.project_id is not None:
        return OfferOut(
            purpose="join", project=offer.project, role=invitation.role, invited_by=offer.invited_by
        )
    return OfferOut(purpose="password" if offer.person else "first_admin", person=offer.person)


@router.post("/invitations/accept")
def accept_invitation(
    acceptance: Acceptance,
    request: Request,
    response: Response,
    admission: Admission,
    sessions: Sessions,
    rules: Rules,
) -> Me:
    """Accept as whoever is signed in, or with a name and password that are new; then one is signed in."""
    newcomer = None
    # Only who is signed in and accepts as such may have accepted before.
    by = admission.person.id if admission.person and acceptance.password is None else None
    with reading(sessions) as session:
        queries.offer(session, acceptance.secret, by=by)  # before a password is hashed for nothing
    if acceptance.password is not None:
        newcomer = Newcomer(acceptance.name, passwords.hashed(acceptance.password))
    with unit_of_work(sessions) as session:
        offer = queries.offer(session, acceptance.secret, by=by, lock=True)
        user = actions.accept(session, offer, admission.person, newcomer)
        token = start_login(session, user, browser.address_of(request)) if newcomer is not None else None
        note(
            session,
            admission.operation,
            who=user.name,
            user_id=user.id,
            project_id=offer.invitation.project_id,
            subject={"invitation_id": offer.invitation.id},
        )
    if token is not None:
        browser.keep_login(response, request, rules.public_url, token)
    return Me.model_validate(user)


def _link(request: Request, public_url: str | None, secret: str) -> dict[str, str]:
    address = (public_url or str(request.base_url)).rstrip("/")
    return {"secret": secret, "link": f"{address}/#invitation={secret}"}
