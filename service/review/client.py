"""The part of the Python client that judges masks: review, withdrawal, comments, gold."""

from typing import Any

from service.connection import Connection
from service.held import Held, prefer, seen
from service.masks import Mask, to_png

Point = tuple[float, float]


class ReviewClient(Connection):
    """What reviewers and managers say about masks; ``at`` is a point (x, y) in pixels of the image."""

    def review_next(self, label_id: int, *, wait: float = 30.0) -> Held | None:
        """What has waited longest for a review, leased to us; None when nothing waits.

        It is never our own work, unless the project lets us review that (``review_own``). It can be changed
        like any other (``interact``, ``edit``) before it is accepted.
        """
        answer = self._request("POST", f"/labels/{label_id}/review/next", headers=prefer(wait))
        if answer.status_code == 204:
            return None
        found = answer.json()
        return seen(found["annotation"], found["lease"]["token"])

    def accept(self, held: Held) -> None:
        """Accepts the mask just as we see it; changed by us, it is a new version in our name."""
        self._request("POST", f"/annotations/{held.annotation_id}/accept", headers=held.as_seen)

    def send_back(
        self, held: Held, reason: str, *, remark: str | None = None, at: Point | None = None
    ) -> None:
        """Returns it to its author, with the reason, and a ``remark`` pinned to the image."""
        body = {"reason": reason, "remark": remark, "at": at}
        path = f"/annotations/{held.annotation_id}/return"
        self._request("POST", path, headers=held.as_seen, json=body)

    def withdraw(self, annotation_id: int, reason: str) -> dict[str, Any]:
        """Takes back an acceptance, or what we submitted ourselves: its author gets it again.

        An accepted mask leaves the context. The annotation as it is then; RefusedError
        ``annotation_not_accepted`` when there is nothing that we could take back.
        """
        etag = f'"{self._json("GET", f"/annotations/{annotation_id}")["version"]}"'
        path = f"/annotations/{annotation_id}/withdraw"
        return self._json("POST", path, headers={"If-Match": etag}, json={"reason": reason})

    def comments(self, annotation_id: int) -> list[dict[str, Any]]:
        """What was said about the annotation, oldest first."""
        path = f"/annotations/{annotation_id}/comments"
        found: list[dict[str, Any]] = self._request("GET", path).json()
        return found

    def comment(self, annotation_id: int, text: str, *, at: Point | None = None) -> dict[str, Any]:
        """Says something about the annotation, at a point or in general."""
        return self._json("POST", f"/annotations/{annotation_id}/comments", json={"text": text, "at": at})

    def gold(self, label_id: int) -> list[dict[str, Any]]:
        """The images with a mask known to be right, by which annotators are checked silently."""
        found: list[dict[str, Any]] = self._request("GET", f"/labels/{label_id}/gold").json()
        return found

    def set_gold(self, label_id: int, image_id: int, mask: Mask) -> None:
        """Says what is right on an image: bool (height, width), in the place of an earlier one."""
        self._request("PUT", f"/labels/{label_id}/gold/{image_id}", content=to_png(mask))

    def remove_gold(self, label_id: int, image_id: int) -> None:
        """The image checks nobody any more."""
        self._request("DELETE", f"/labels/{label_id}/gold/{image_id}")
