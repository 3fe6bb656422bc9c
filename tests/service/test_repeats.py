"""Whatever is sent ten times at once with one key happens once; whatever is changed is what was seen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from service.accounts.actions import create_user
from service.audit.actions import UNTOLD
from service.db import reading, unit_of_work
from service.masks import to_png
from service.tables import AuditEntry, Membership, Role
from tests.factories import CLICK, a_project, png, told
from tests.service.conftest import Alone
from tests.service.hands import Hand, change_settings, disc, review_next, take_next

COPIES = 10


@dataclass(frozen=True)
class Scene:
    """A project in which everything is reviewed, with an annotation for every state that can be acted on."""

    alone: Alone
    project_id: int
    label_id: int
    user_id: int

    def open(self) -> Hand:
        """With a step, and one that was undone."""
        hand = take_next(self.alone, self.alone.api, self.label_id)
        hand.draw()
        hand.draw()
        hand.undo()
        return hand

    def reviewing(self) -> Hand:
        self.open().submit()
        return review_next(self.alone, self.alone.api, self.label_id)

    def accepted(self) -> Hand:
        hand = self.reviewing()
        hand.accept()
        return hand

    def skipped(self) -> Hand:
        hand = self.open()
        hand.skip()
        return hand

    def archive(self) -> bytes:
        """The project's context, as another one can import it."""
        self.accepted()
        return self.alone.api.get(f"/labels/{self.label_id}/context/export").content


Say = Callable[[Scene], Any]


@dataclass(frozen=True)
class Sent:
    """What is sent to an operation: about which annotation, where it is about one, and with what."""

    about: Callable[[Scene], Hand] | None = None
    json: Say = field(default=lambda _: None)
    files: Say = field(default=lambda _: None)


def about_user(scene: Scene) -> dict[str, Any]:
    return {"annotation_ids": [scene.open().id], "assigned_to": scene.user_id}


# Every operation that takes a key. Those that take none change nothing, or are good for one time only.
SENT = {
    "create_project": Sent(json=lambda _: {"name": f"project {uuid4()}"}),
    "restore_project": Sent(),
    "create_label": Sent(json=lambda _: {"name": "nuclei"}),
    "create_token": Sent(json=lambda _: {"name": "laptop"}),
    "disable_user": Sent(),
    "enable_user": Sent(),
    "invite": Sent(json=lambda _: {"role": "viewer"}),
    "make_password_link": Sent(),
    "upload": Sent(files=lambda _: [("files", ("new.png", png()))]),
    "import_masks": Sent(files=lambda _: [("files", ("0.png", to_png(disc(20, 20, 5))))]),
    "import_context": Sent(files=lambda scene: {"file": ("context.zip", scene.archive())}),
    "create_export": Sent(json=lambda _: {"format": "png"}),
    "next_annotation": Sent(),
    "open_annotation": Sent(about=Scene.open),
    "heartbeat": Sent(about=Scene.open, json=lambda _: {"active": False}),
    "release_lease": Sent(about=Scene.open),
    "revoke_lease": Sent(about=Scene.open),
    "assign_many": Sent(json=about_user),
    "add_interaction": Sent(about=Scene.open, json=lambda _: {"prompts": [CLICK]}),
    "add_edit": Sent(about=Scene.open, json=lambda _: {"kind": "fill_holes", "step": 1}),
    "undo": Sent(about=Scene.open),
    "redo": Sent(about=Scene.open),
    "submit": Sent(about=Scene.open),
    "skip": Sent(about=Scene.open, json=lambda _: {"reason": "blurred"}),
    "reopen": Sent(about=Scene.skipped),
    "add_comment": Sent(about=Scene.open, json=lambda _: {"text": "here", "at": [1, 2]}),
    "open_review": Sent(about=lambda scene: scene.reviewing()),
    "next_review": Sent(about=lambda scene: (scene.open().submit(), scene.reviewing())[1]),
    "accept": Sent(about=Scene.reviewing),
    "return_annotation": Sent(about=Scene.reviewing, json=lambda _: {"reason": "too small"}),
    "withdraw_acceptance": Sent(about=Scene.accepted, json=lambda _: {"reason": "wrong side"}),
}
# These end what they are sent with, so a copy is nobody's.
ENDING = {"logout", "change_password"}


@pytest.fixture
def scene(alone: Alone) -> Scene:
    project = a_project(alone.api, images=3)
    change_settings(alone, project.id, review_every=1, review_own=True)
    with unit_of_work(alone.sessions) as session:
        user = create_user(session, f"user {uuid4()}")
        session.add(Membership(project_id=project.id, user_id=user.id, role=Role.ANNOTATOR))
    return Scene(alone, project.id, project.label_id, user.id)


def operations(api: httpx.Client, method: str, header: str) -> dict[str, str]:
    """The paths of the operations that take a header, by the names of their functions."""
    paths = api.get("/openapi.json").json()["paths"]
    taking = {
        path: item[method]
        for path, item in paths.items()
        if any(each["name"] == header for each in item.get(method, {}).get("parameters", ()))
    }
    return {operation["operationId"].split("_api_")[0]: path for path, operation in taking.items()}


def test_every_post_that_takes_a_key_is_repeated_here(alone: Alone) -> None:
    assert set(operations(alone.api, "post", "Idempotency-Key")) == set(SENT) | ENDING


@pytest.mark.parametrize("operation", SENT)
def test_ten_copies_at_once_are_one(alone: Alone, scene: Scene, operation: str) -> None:
    sent, path = SENT[operation], operations(alone.api, "post", "Idempotency-Key")[operation]
    body, files = sent.json(scene), sent.files(scene)
    headers = {"Idempotency-Key": str(uuid4())}
    named = {"project_id": scene.project_id, "label_id": scene.label_id, "user_id": scene.user_id}
    if sent.about is not None:
        hand = sent.about(scene)
        named["annotation_id"] = hand.id
        headers |= hand.lease | {"If-Match": f'"{hand.seen()["version"]}"'}
    address = path.format(**named).removeprefix("/api")

    def send() -> httpx.Response:
        return alone.api.post(address, json=body, files=files, headers=headers)

    before = told_of(alone, operation)
    with ThreadPoolExecutor(COPIES) as pool:
        answers = [each.result() for each in [pool.submit(send) for _ in range(COPIES)]]
    assert len({answer.status_code for answer in answers}) == 1 and answers[0].is_success, answers[0].text
    assert len({without_secrets(answer) for answer in answers}) == 1
    assert told_of(alone, operation) - before == (operation not in UNTOLD)


def told_of(alone: Alone, operation: str) -> int:
    """How often the audit log says that it was done."""
    with reading(alone.sessions) as session:
        return session.scalar(select(func.count()).where(AuditEntry.action == operation)) or 0


def without_secrets(answer: httpx.Response) -> str:
    """An answer without what is shown once only."""
    if not answer.content:
        return ""
    body = answer.json()
    return str({name: body[name] for name in body if name not in ("token", "secret", "link")})


# ---- what is changed is what was seen

CHANGES: dict[str, Any] = {
    "change_project": {"review_every": 5},
    "change_label": {"name": "nuclei"},
    "assign_annotation": {"priority": 4},
    "change_entry": {"pinned": True},
}


def test_every_change_is_made_here(alone: Alone) -> None:
    paths = alone.api.get("/openapi.json").json()["paths"]
    patches = {item["patch"]["operationId"].split("_api_")[0] for item in paths.values() if "patch" in item}
    assert patches == set(CHANGES)


@pytest.mark.parametrize("operation", CHANGES)
def test_nothing_is_changed_that_was_not_seen_as_it_is(alone: Alone, scene: Scene, operation: str) -> None:
    path = operations(alone.api, "patch", "If-Match")[operation]
    hand, body = scene.accepted(), CHANGES[operation]
    (entry,) = told(alone.api.get(f"/labels/{scene.label_id}/context"))
    free = scene.open()
    named = {"project_id": scene.project_id, "label_id": scene.label_id, "entry_id": entry["id"]}
    address = path.format(**named, annotation_id=free.id).removeprefix("/api")
    assert hand.id != free.id
    assert told(alone.api.patch(address, json=body), 428)["code"] == "version_required"
    stale = told(alone.api.patch(address, json=body, headers={"If-Match": '"0"'}), 412)
    assert stale["code"] in ("version_stale", "entry_stale")
    seen = etag_of(alone, operation, address, entry)
    told(alone.api.patch(address, json=body, headers={"If-Match": seen}))
    again = told(alone.api.patch(address, json=body, headers={"If-Match": seen}), 412)
    assert again["code"] == stale["code"]


def etag_of(alone: Alone, operation: str, address: str, entry: dict[str, Any]) -> str:
    """What If-Match has to say; an entry of the context has its version in the list."""
    if operation == "change_entry":
        return f'"{entry["version"]}"'
    return str(alone.api.get(address).headers["ETag"])
