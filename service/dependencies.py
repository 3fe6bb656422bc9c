"""What a route can ask for: who is calling, the ports, the house rules, one unit of work."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from service import browser, idempotency, version
from service.accounts.actions import note_use, use_is_noted
from service.accounts.queries import Person, user_of_token
from service.audit import actions as audit
from service.db import glancing, unit_of_work
from service.errors import (
    AccrueError,
    LeaseRequired,
    NotAuthenticated,
    NotFound,
    OtherVersion,
    VersionRequired,
)
from service.events import Events as EventsPort
from service.events import Stream
from service.idempotency import Once
from service.jobs import Jobs as JobsPort
from service.permissions import admit, admit_again, reviews
from service.storage import Storage as StoragePort
from service.tables import Role

LONGEST_WAIT = 30.0
CREATED = 201


@dataclass(frozen=True, slots=True)
class HouseRules:
    """The settings that the features go by."""

    model: str
    weights_dir: Path | None
    lease_seconds: float
    predict_ahead: int
    max_image_pixels: int
    public_url: str | None = None


def _from_state(name: str) -> Callable[[Request], Any]:
    # Async although it awaits nothing: a plain function would cost a trip to the thread pool.
    async def read(request: Request) -> Any:
        return getattr(request.app.state, name)

    return read


Sessions = Annotated[sessionmaker[Session], Depends(_from_state("sessions"))]
Storage = Annotated[StoragePort, Depends(_from_state("storage"))]
Jobs = Annotated[JobsPort, Depends(_from_state("jobs"))]
Events = Annotated[EventsPort, Depends(_from_state("events"))]
Rules = Annotated[HouseRules, Depends(_from_state("rules"))]


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is calling, what for, and the project it is about with their role in it, if it is about one."""

    operation: str
    person: Person | None
    project_id: int | None
    role: Role | None

    def own_alone(self, overlap: int) -> int | None:
        """Whose work alone the caller sees in a project with that overlap: their own; None is everybody's."""
        if overlap == 1 or reviews(self.role):
            return None
        assert self.person is not None, "nobody is told of a project without a token"
        return self.person.id


def admitted(
    request: Request,
    sessions: Sessions,
    rules: Rules,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> Admitted:
    """Every route of the API asks this first: whether the caller may do what they ask for.

    Who that is says a token, in the header of a script or in the cookie of a browser. A client that says
    which version it is has to be of ours.
    """
    client = request.headers.get(version.HEADER, version.VERSION)
    if not version.fits(client):
        raise OtherVersion(
            f"The client is of Accrue {client}, the service of {version.VERSION}. "
            "Install it where the client runs from the same source as the service."
        )
    operation = request.scope["route"].name
    token = bearer.credentials if bearer else browser.login_of(request, rules.public_url)
    if bearer is None:
        browser.require_own_page(request, rules.public_url, signed_in=token is not None)
    with glancing(sessions) as session:
        person = user_of_token(session, token) if token else None
        if bearer and person is None:
            raise NotAuthenticated("This token is unknown, revoked or expired.")
        project_id, role = admit(session, person, operation, request.path_params)
    if person is not None and not use_is_noted(person):
        with unit_of_work(sessions) as session:
            note_use(session, person)
    return Admitted(operation, person, project_id, role)


Admission = Annotated[Admitted, Depends(admitted)]


async def _caller(admission: Admission) -> Person:
    if admission.person is None:
        raise NotAuthenticated("Sign in, or send your token as `Authorization: Bearer acc_…`.")
    return admission.person


Caller = Annotated[Person, Depends(_caller)]


async def _own_role(admission: Admission) -> Role:
    if admission.role is None:
        raise NotFound("This is about no project.")
    return admission.role


# What the caller is in the project that the path names.
OwnRole = Annotated[Role, Depends(_own_role)]


async def _once(
    request: Request,
    sessions: Sessions,
    admission: Admission,
    caller: Caller,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> Once:
    key = idempotency.checked_key(key)
    digest = await idempotency.digest_of(request) if key else ""
    entry = audit.Entry(
        admission.operation,
        caller,
        admission.project_id,
        dict(request.path_params),
        creates=request.scope["route"].status_code == CREATED,
    )
    return Once(sessions, caller.id, key, digest, entry)


Transaction = Annotated[Once, Depends(_once)]


async def _lease_token(token: Annotated[str | None, Header(alias="Lease-Token")] = None) -> str:
    if not token:
        raise LeaseRequired("Send the token of your lease, from `next`, as `Lease-Token`.")
    return token


LeaseToken = Annotated[str, Depends(_lease_token)]


async def _if_match(version: Annotated[str | None, Header(alias="If-Match")] = None) -> str:
    if not version:
        raise VersionRequired("Send the `ETag` of what you saw as `If-Match`.")
    return version


IfMatch = Annotated[str, Depends(_if_match)]


async def _wait(request: Request) -> float:
    """Seconds of ``Prefer: wait=…``; what cannot be read is ignored, as RFC 7240 has it."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition("=")
        if name.strip().lower() == "wait":
            try:
                seconds = float(value.strip().strip('"'))
            except ValueError:
                return 0.0
            return min(seconds, LONGEST_WAIT) if seconds > 0 else 0.0
    return 0.0


Wait = Annotated[float, Depends(_wait)]


async def while_admitted(
    stream: Stream, sessions: Sessions, caller: Person, admission: Admitted, **named: int
) -> Stream:
    """The events of ``stream`` as long as the caller is admitted, which is asked in a thread before each.

    ``named`` are the parameters of the path.
    """
    async for event in stream:
        try:
            await run_in_threadpool(admit_again, sessions, caller, admission.operation, **named)
        except AccrueError:
            return
        yield event
