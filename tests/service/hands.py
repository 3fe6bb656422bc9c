"""An annotation in somebody's hands, in an API whose jobs nobody does: draw, edit, undo, submit, review."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from sqlalchemy import update

from service.db import unit_of_work
from service.masks import Mask, encode_change, from_png
from service.tables import Project
from tests.factories import CLICK, AProject, a_project, told
from tests.service.conftest import Alone

SHAPE = (48, 64)


@dataclass
class Hand:
    """What somebody has opened, with their lease on it."""

    alone: Alone
    api: httpx.Client
    id: int
    lease: dict[str, str]
    told: dict[str, Any] = field(repr=False)

    def post(self, action: str, body: Any = None, status: int = 200, *, versioned: bool = False) -> Any:
        """What the service says to an action, which must be said with ``status``."""
        answer = self.send(action, body, versioned=versioned)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def send(self, action: str, body: Any = None, *, versioned: bool = False) -> httpx.Response:
        headers = self.lease | ({"If-Match": f'"{self.seen()["version"]}"'} if versioned else {})
        return self.api.post(f"/annotations/{self.id}/{action}", json=body, headers=headers)

    def draw(self, *prompts: dict[str, Any], predicted: bool = True) -> int:
        """One more interaction, by default a click, and its number."""
        answer = self.post("interactions", {"prompts": list(prompts) or [CLICK]}, 202)
        if predicted:
            self.alone.work()
        return int(answer["interaction"]["n"])

    def edit(self, kind: str, status: int = 201, **options: Any) -> Any:
        return self.post("edits", {"kind": kind, "step": self.seen()["step"], **options}, status)

    def paint(self, mask: Mask, status: int = 201) -> Any:
        """Paint all of the image at once."""
        return self.edit("paint", status, change=encode_change(None, mask))

    def undo(self, status: int = 200) -> Any:
        return self.post("undo", status=status)

    def redo(self, status: int = 200) -> Any:
        return self.post("redo", status=status)

    def submit(self, status: int = 200) -> Any:
        return self.post("submit", status=status, versioned=True)

    def skip(self, reason: str = "blurred", status: int = 200) -> Any:
        return self.post("skip", {"reason": reason}, status, versioned=True)

    def accept(self, status: int = 200) -> Any:
        return self.post("accept", status=status, versioned=True)

    def send_back(self, reason: str = "too small", status: int = 200, **more: Any) -> Any:
        return self.post("return", {"reason": reason, **more}, status, versioned=True)

    def seen(self) -> Any:
        return told(self.api.get(f"/annotations/{self.id}"))

    def mask(self) -> Mask:
        """The mask that is seen."""
        answer = self.api.get(f"/annotations/{self.id}/mask")
        assert answer.status_code == 200, answer.text
        return from_png(answer.content)


def a_hand(alone: Alone, api: httpx.Client, path: str, *, predicted: bool = True) -> Hand:
    """What a POST to ``path`` opens, by default with its first prediction."""
    answer = told(api.post(path))
    if predicted:
        alone.work()
    lease = {"Lease-Token": answer["lease"]["token"]}
    return Hand(alone, api, answer["annotation"]["id"], lease, answer)


def take_next(alone: Alone, api: httpx.Client, label_id: int, *, predicted: bool = True) -> Hand:
    """The next annotation of a label."""
    return a_hand(alone, api, f"/labels/{label_id}/next", predicted=predicted)


def review_next(alone: Alone, api: httpx.Client, label_id: int) -> Hand:
    return a_hand(alone, api, f"/labels/{label_id}/review/next")


def opened(alone: Alone, *, predicted: bool = True) -> Hand:
    """An annotation of a new project, in the admin's hands."""
    return take_next(alone, alone.api, a_project(alone.api, images=1).label_id, predicted=predicted)


def change_settings(alone: Alone, project_id: int, **values: Any) -> None:
    """Change the settings of a project."""
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Project).where(Project.id == project_id).values(**values))


def a_reviewed_project(alone: Alone) -> AProject:
    """A project in which everything is reviewed."""
    project = a_project(alone.api, images=3)
    change_settings(alone, project.id, review_every=1)
    return project


def submitted_by(alone: Alone, api: httpx.Client, label_id: int) -> Hand:
    """What somebody has clicked on and submitted."""
    hand = take_next(alone, api, label_id)
    hand.draw()
    assert hand.submit()["state"] == "submitted"
    return hand


def disc(x: float, y: float, radius: float) -> Mask:
    """A filled circle, as a mask of the size of the tests' images."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask: Mask = np.hypot(columns - x, rows - y) <= radius
    return mask
