"""Sixteen people annotate two hundred images at once: each image once, all of them, without an error."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import httpx
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.accounts.actions import create_token, create_user
from service.db import unit_of_work
from service.tables import Annotation, ContextEntry, Interaction, Label, Membership, Role, State, Submission
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, pixels, png, told, upload

PEOPLE, IMAGES = 16, 200


def people_of(service: ServiceUnderTest, project_id: int) -> list[str]:
    """The tokens of as many annotators of the project."""
    with unit_of_work(service.sessions) as session:
        return [a_token(session, project_id) for _ in range(PEOPLE)]


def a_token(session: Session, project_id: int) -> str:
    user = create_user(session, f"annotator {uuid4()}")
    session.add(Membership(project_id=project_id, user_id=user.id, role=Role.ANNOTATOR))
    return create_token(session, user, "test")


def annotate_all(api: httpx.Client, label_id: int) -> list[int]:
    """Next, edit, submit, until nothing is left; the images that came."""
    came = []
    while True:
        answer = api.post(f"/labels/{label_id}/next")
        if answer.status_code == 204:
            return came
        given = told(answer)
        annotation, lease = given["annotation"]["id"], {"Lease-Token": given["lease"]["token"]}
        came.append(given["annotation"]["image_id"])
        edit = {"kind": "paint", "step": 0, "change": {"box": [0, 0, 8, 1], "bits": "eJz7DwABAAEA"}}
        told(api.post(f"/annotations/{annotation}/edits", json=edit, headers=lease), 201)
        version = told(api.get(f"/annotations/{annotation}"))["version"]
        headers = lease | {"If-Match": f'"{version}"'}
        told(api.post(f"/annotations/{annotation}/submit", headers=headers))


def test_sixteen_people_share_two_hundred_images(service: ServiceUnderTest, api: httpx.Client) -> None:
    project = a_project(api, images=0, use_context=False)
    files = {f"{index}.png": png(pixels(16, 16)) for index in range(IMAGES)}
    told(upload(api, project.id, files), 201)
    start = Barrier(PEOPLE)

    def take_part(token: str) -> list[int]:
        with service.client(token) as own:
            start.wait()
            return annotate_all(own, project.label_id)

    with ThreadPoolExecutor(PEOPLE) as pool:
        came = list(pool.map(take_part, people_of(service, project.id)))

    served = Counter(image for each in came for image in each)
    assert set(served.values()) == {1}, "an image came twice"
    assert len(served) == IMAGES, "an image came to nobody"
    assert all(came), "somebody got nothing to do"
    with service.sessions() as session:
        of_label = Annotation.label_id == project.label_id
        states = select(Annotation.state, func.count()).where(of_label).group_by(Annotation.state)
        assert [tuple(row) for row in session.execute(states)] == [(State.ACCEPTED, IMAGES)]
        for rows in (Interaction, Submission, ContextEntry):
            counted = select(func.count(rows.id)).join(Annotation, Annotation.id == rows.annotation_id)
            assert session.scalar(counted.where(of_label)) == IMAGES
        versions = select(ContextEntry.added_version).where(ContextEntry.label_id == project.label_id)
        assert sorted(session.scalars(versions)) == list(range(1, IMAGES + 1))
        assert session.get_one(Label, project.label_id).context_version == IMAGES
