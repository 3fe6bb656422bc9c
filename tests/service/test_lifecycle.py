"""Every action by everybody in every state of an annotation: what happens, and what is said otherwise."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from service.accounts.queries import digest_of
from service.clock import now
from service.db import unit_of_work
from service.tables import Annotation, Lease, Role, State
from tests.factories import CLICK, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings, review_next, take_next
from tests.service.people import a_member

OK = "done"
NOT_OPEN = "annotation_not_open"
NOT_FREE = "annotation_not_free"
NOT_ACCEPTED = "annotation_not_accepted"
NO_LEASE = "lease_lost"
NOT_ALLOWED = "not_allowed"

# Who it takes at least, and what is sent.
ACTIONS: dict[str, tuple[Role, Any]] = {
    "open": (Role.ANNOTATOR, None),
    "interactions": (Role.ANNOTATOR, {"prompts": [CLICK]}),
    "edits": (Role.ANNOTATOR, {"kind": "fill_holes", "step": 1}),
    "undo": (Role.ANNOTATOR, None),
    "submit": (Role.ANNOTATOR, None),
    "skip": (Role.ANNOTATOR, {"reason": "blurred"}),
    "flag": (Role.ANNOTATOR, {"reason": "look"}),
    "accept": (Role.REVIEWER, None),
    "return": (Role.REVIEWER, {"reason": "too small"}),
    "reopen": (Role.REVIEWER, None),
    "withdraw": (Role.ANNOTATOR, {"reason": "wrong side"}),
    "assign": (Role.MANAGER, {"priority": 3}),
    "revoke": (Role.MANAGER, None),
}
DRAWING = ("interactions", "edits", "undo")
DECIDING = ("accept", "return")
# Whose lease it is where there is one.
HOLDERS = {State.OPEN: "author", State.RETURNED: "author", State.SUBMITTED: "reviewer"}


def expected(state: State, action: str, who: str) -> str:
    """What comes of an action by somebody who has the role for it."""
    holds = HOLDERS.get(state) == who
    match action:
        case "flag" | "revoke":
            return OK
        case "assign":
            return OK if state in HOLDERS else NOT_OPEN
        case "reopen":
            return OK if state is State.SKIPPED else NOT_OPEN
        case "withdraw":
            return withdrawn(state, who)
        case "open" if state in (State.OPEN, State.RETURNED):
            return OK if holds else NOT_FREE
        case "open":
            return NOT_OPEN
    if state not in HOLDERS or (state is State.SUBMITTED and not holds):
        return NOT_OPEN
    if not holds:
        return NO_LEASE
    reviewing = state is State.SUBMITTED
    return OK if action in DRAWING or reviewing == (action in DECIDING) else NOT_OPEN


def withdrawn(state: State, who: str) -> str:
    """What comes of withdrawing, by somebody else than an author whose work a reviewer has accepted."""
    own = who == "author" and state is not State.ACCEPTED
    if who in ("author", "annotator") and not own:
        return NOT_ALLOWED
    if own and state is State.SUBMITTED:
        return NOT_FREE
    return OK if state is State.ACCEPTED else NOT_ACCEPTED


@dataclass(frozen=True)
class Stage:
    """An annotation that can be put into any state, and everybody who might act on it."""

    alone: Alone
    id: int
    people: dict[str, tuple[Role, httpx.Client]]

    def put(self, state: State) -> None:
        """As if the annotation had come to ``state`` in the usual way; who holds it then, holds it."""
        holder = HOLDERS.get(state)
        with unit_of_work(self.alone.sessions) as session:
            session.execute(delete(Lease))
            annotation = session.get_one(Annotation, self.id)
            annotation.state, annotation.step, annotation.assigned_to = state, 1, None
            annotation.author_id = self.user_id("author")
            annotation.accepted_by = self.user_id("reviewer") if state is State.ACCEPTED else None
            if holder:
                clocks = {"expires_at": now().replace(year=2100), "idle_at": now().replace(year=2100)}
                seconds = {"seconds": 60.0, "idle_seconds": 60.0}
                lease = {"token_digest": digest_of("token"), "fence": 1, "context_version": 0}
                session.add(
                    Lease(annotation_id=self.id, user_id=self.user_id(holder), **lease, **clocks, **seconds)
                )

    def user_id(self, who: str) -> int:
        return int(told(self.people[who][1].get("/me"))["id"])

    def act(self, action: str, who: str) -> httpx.Response:
        client, path = self.people[who][1], f"/annotations/{self.id}"
        version = told(self.alone.api.get(path))["version"]
        headers = {"Lease-Token": "token", "If-Match": f'"{version}"'}
        body = ACTIONS[action][1]
        match action:
            case "assign":
                return client.patch(path, json=body, headers=headers)
            case "flag":
                return client.put(f"{path}/flag", json=body, headers=headers)
        return client.post(f"{path}/{action}", json=body, headers=headers)


@pytest.fixture
def stage(alone: Alone) -> Stage:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    roles = {
        "viewer": Role.VIEWER,
        "author": Role.ANNOTATOR,
        "annotator": Role.ANNOTATOR,
        "reviewer": Role.REVIEWER,
        "manager": Role.MANAGER,
        "owner": Role.OWNER,
    }
    people = {who: (role, a_member(alone, project.id, role)) for who, role in roles.items()}
    hand = take_next(alone, people["author"][1], project.label_id)
    hand.draw()
    hand.submit()
    review_next(alone, people["reviewer"][1], project.label_id).accept()
    return Stage(alone, hand.id, people)


@pytest.mark.parametrize("state", list(State))
def test_everything_that_anybody_may_try(stage: Stage, state: State) -> None:
    happened = {}
    wanted = {}
    for action, (needed, _) in ACTIONS.items():
        for who, (role, _) in stage.people.items():
            stage.put(state)
            answer = stage.act(action, who)
            assert answer.status_code < 500, (action, who, answer.text)
            happened[action, who] = OK if answer.is_success else answer.json()["code"]
            wanted[action, who] = expected(state, action, who) if role.covers(needed) else NOT_ALLOWED
            if not answer.is_success:
                assert told(stage.alone.api.get(f"/annotations/{stage.id}"))["state"] == state
    assert happened == wanted
