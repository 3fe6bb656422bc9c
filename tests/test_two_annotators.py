"""Two people on one label at the same time."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
from sqlalchemy import select

from service.tables import Annotation, ContextEntry, Label, Prediction
from tests.conftest import ServiceUnderTest
from tests.factories import WAIT, a_project, another_person, told

IMAGES = 8


def _annotate_all(api: httpx.Client, label_id: int, start: Barrier) -> list[int]:
    """Next, click, submit, until nothing is left; the annotations that were handed out."""
    handed_out = []
    start.wait()
    while True:
        answer = api.post(f"/labels/{label_id}/next", headers=WAIT)
        if answer.status_code == 204:
            return handed_out
        given = told(answer)
        annotation, lease = given["annotation"]["id"], {"Lease-Token": given["lease"]["token"]}
        handed_out.append(annotation)
        clicked = api.post(
            f"/annotations/{annotation}/interactions",
            json={"prompts": [{"kind": "click", "x": 32.5, "y": 24.5, "positive": True}]},
            headers=lease | WAIT,
        )
        headers = lease | {"If-Match": f'"{told(clicked, 201)["version"]}"'}
        told(api.post(f"/annotations/{annotation}/submit", json={}, headers=headers))


def test_no_image_is_handed_out_twice_and_the_context_has_no_gap(
    service: ServiceUnderTest, api: httpx.Client
) -> None:
    label_id = a_project(api, images=IMAGES).label_id
    start = Barrier(2)
    with another_person(api, service.sessions) as other, ThreadPoolExecutor(2) as people:
        both = [people.submit(_annotate_all, who, label_id, start) for who in (api, other)]
        handed_out = [each.result() for each in both]

    assert all(handed_out), "one of the two got nothing to do"
    assert set(Counter(handed_out[0] + handed_out[1]).values()) == {1}
    with service.sessions() as session:
        entries = session.scalars(
            select(ContextEntry).where(ContextEntry.label_id == label_id).order_by(ContextEntry.added_version)
        ).all()
        assert [entry.added_version for entry in entries] == list(range(1, IMAGES + 1))
        assert session.get_one(Label, label_id).context_version == IMAGES
        for entry in entries:
            annotation = session.get_one(Annotation, entry.annotation_id)
            accepted = session.get_one(Prediction, annotation.accepted_prediction_id)
            assert entry.mask_digest == accepted.mask_digest == annotation.mask_digest
        made = session.scalars(
            select(Prediction)
            .join(Annotation, Annotation.id == Prediction.annotation_id)
            .where(Annotation.label_id == label_id)
        ).all()
        # A prediction of version v was shown exactly the v pairs that were accepted before it.
        assert all(each.context_size == each.context_version for each in made)
        assert max(each.context_version for each in made) < IMAGES


def test_two_people_who_ask_at_once_get_two_images(service: ServiceUnderTest, api: httpx.Client) -> None:
    label_id = a_project(api, images=2).label_id
    start = Barrier(2)

    def ask(who: httpx.Client) -> int:
        start.wait()
        return int(told(who.post(f"/labels/{label_id}/next"))["annotation"]["id"])

    with another_person(api, service.sessions) as other, ThreadPoolExecutor(2) as people:
        given = list(people.map(ask, (api, other)))
    assert len(set(given)) == 2
