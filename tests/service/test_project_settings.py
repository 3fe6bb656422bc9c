"""Changing projects and labels: to what somebody saw, or not at all; and deleting them."""

from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from service.clock import now
from service.db import reading, unit_of_work
from service.projects.removal import KEPT, STAYS, purge
from service.tables import Annotation, AuditEntry, Comment, Label, Project, Table
from tests.factories import AProject, a_project, open_next, png, told, upload
from tests.service.conftest import Alone

SETTINGS: dict[str, Any] = {
    "name": "renamed",
    "use_context": False,
    "overlap": 2,
    "review_every": 5,
    "review_above": 0.25,
    "review_own": True,
    "control_share": 0.1,
    "idle_seconds": 60.0,
    "skip_reasons": ["out of focus", "no structure"],
}


def change(api: httpx.Client, path: str, **what: Any) -> httpx.Response:
    """The answer to a change of what is there now."""
    return api.patch(path, json=what, headers={"If-Match": api.get(path).headers["ETag"]})


def replicas(alone: Alone, label_id: int) -> Counter[int]:
    """How many annotations there are of each image."""
    with reading(alone.sessions) as session:
        return Counter(session.scalars(select(Annotation.image_id).where(Annotation.label_id == label_id)))


def test_every_setting_can_be_changed_and_what_is_not_sent_stays(alone: Alone) -> None:
    path = f"/projects/{a_project(alone.api).id}"
    for name, value in SETTINGS.items():
        before = told(alone.api.get(path))
        answer = change(alone.api, path, **{name: value})
        assert told(answer) == told(alone.api.get(path))
        assert answer.headers["ETag"] == alone.api.get(path).headers["ETag"]
        assert {key for key, was in before.items() if was != answer.json()[key]} <= {name, "labels"}
        assert answer.json()[name] == value
    assert told(change(alone.api, path, review_above=None))["review_above"] is None


@pytest.mark.parametrize(
    "what",
    [
        {"overlap": 0},
        {"overlap": None},
        {"review_every": -1},
        {"control_share": 1.5},
        {"idle_seconds": 1},
        {"name": " "},
        {"model": "giant-v9"},
        {"skip_reasons": [""]},
        {"created_by": 1},
        {"deleted_at": None},
        {"role": "owner"},
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused(alone: Alone, what: dict[str, Any]) -> None:
    path = f"/projects/{a_project(alone.api, images=0).id}"
    assert told(change(alone.api, path, **what), 422)["code"] == "invalid"


def test_what_somebody_else_has_changed_is_not_overwritten(alone: Alone) -> None:
    project = a_project(alone.api)
    for path, one, two in (
        (f"/projects/{project.id}", {"overlap": 2}, {"name": "late"}),
        (f"/labels/{project.label_id}", {"strategy": "random"}, {"name": "late"}),
    ):
        seen = {"If-Match": alone.api.get(path).headers["ETag"]}
        assert told(alone.api.patch(path, json=two), 428)["code"] == "version_required"
        told(alone.api.patch(path, json=one, headers=seen))
        stale = told(alone.api.patch(path, json=two, headers=seen), 412)
        assert stale["code"] == "version_stale" and stale["current"].items() >= one.items()
        weak = {"If-Match": f'"older", W/{stale["etag"]}'}
        assert told(alone.api.patch(path, json=two, headers=weak))["name"] == "late"


def test_work_that_goes_on_is_no_change_of_the_settings(alone: Alone) -> None:
    project = a_project(alone.api)
    paths = (f"/projects/{project.id}", f"/labels/{project.label_id}")
    before = [alone.api.get(path).headers["ETag"] for path in paths]
    alone.accept(project.label_id)
    assert [alone.api.get(path).headers["ETag"] for path in paths] == before


def test_a_name_that_is_taken_is_refused_and_changes_nothing(alone: Alone) -> None:
    one, two = a_project(alone.api, images=0), a_project(alone.api, images=0)
    taken = told(alone.api.get(f"/projects/{one.id}"))["name"]
    assert told(change(alone.api, f"/projects/{two.id}", name=taken), 409)["code"] == "name_taken"
    told(alone.api.post(f"/projects/{one.id}/labels", json={"name": "ring"}), 201)
    assert told(change(alone.api, f"/labels/{one.label_id}", name="ring"), 409)["code"] == "name_taken"


def test_a_larger_overlap_is_more_work_for_every_image_also_for_later_ones(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    told(change(alone.api, f"/projects/{project.id}", overlap=3))
    assert set(replicas(alone, project.label_id).values()) == {3}
    told(upload(alone.api, project.id, {"new.png": png()}), 201)
    counted = replicas(alone, project.label_id)
    assert len(counted) == 4 and set(counted.values()) == {3}


def test_a_smaller_overlap_takes_away_only_what_nobody_has_touched(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    path = f"/projects/{project.id}"
    told(change(alone.api, path, overlap=3))
    with unit_of_work(alone.sessions) as session:
        for image_id, replica in (
            (project.image_ids[0], 2),
            (project.image_ids[1], 1),
            (project.image_ids[1], 2),
        ):
            which = (Annotation.image_id == image_id, Annotation.replica == replica)
            annotation = session.scalars(select(Annotation).where(*which)).one()
            user_id = session.scalars(select(Project.created_by)).one()
            session.add(Comment(annotation_id=annotation.id, user_id=user_id, text="look"))
    told(change(alone.api, path, overlap=1))
    first, second, third = project.image_ids
    assert replicas(alone, project.label_id) == {first: 1, second: 2, third: 1}
    with reading(alone.sessions) as session:
        kept = session.execute(select(Annotation.image_id, Annotation.replica)).all()
    assert set(map(tuple, kept)) == {(first, 2), (second, 1), (second, 2), (third, 0)}
    told(change(alone.api, path, overlap=2))
    assert set(replicas(alone, project.label_id).values()) == {2}


def test_a_label_in_use_is_archived_instead_of_deleted(alone: Alone) -> None:
    project = a_project(alone.api)
    path = f"/labels/{project.label_id}"
    alone.accept(project.label_id)
    opened = open_next(alone.api, project.label_id)
    refused = told(alone.api.delete(path), 409)
    assert refused["code"] == "label_in_use" and "Archive" in refused["detail"]
    assert refused["work"] == {"accepted": 1, "open": 1, "context": 1, "gold": 0}
    assert "(accepted: 1, open: 1, context: 1)" in refused["detail"]
    assert told(change(alone.api, path, archived=True))["archived"] is True
    assert alone.api.get(f"/annotations/{opened.id}").status_code == 200
    assert told(change(alone.api, path, archived=False))["archived"] is False


def test_a_label_that_nobody_has_worked_under_is_deleted_with_all_that_was_predicted(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    label = told(alone.api.post(f"/projects/{project.id}/labels", json={"name": "mistake"}), 201)["id"]
    alone.accept(project.label_id)
    alone.work()
    assert alone.api.delete(f"/labels/{label}").status_code == 204
    assert alone.api.get(f"/labels/{label}").status_code == 404
    assert replicas(alone, label) == {}
    assert len(replicas(alone, project.label_id)) == 2


def deleted(alone: Alone, project: AProject, ago: timedelta) -> None:
    path = f"/projects/{project.id}"
    name = told(alone.api.get(path))["name"]
    assert told(alone.api.delete(path, params={"name": name.upper()}), 422)["code"] == "invalid"
    assert alone.api.delete(path, params={"name": name}).status_code == 204
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Project).where(Project.id == project.id).values(deleted_at=now() - ago))


def rows(connection: Connection) -> dict[str, int]:
    counted = {table.name: select(func.count()).select_from(table) for table in Table.metadata.sorted_tables}
    return {name: connection.execute(statement).scalar_one() for name, statement in counted.items()}


def test_a_deleted_project_is_gone_after_a_month_and_no_other_with_it(alone: Alone) -> None:
    kept = a_project(alone.api)
    alone.accept(kept.label_id)
    with unit_of_work(alone.sessions) as session:
        before = rows(session.connection())
    gone = a_project(alone.api)
    alone.accept(gone.label_id)
    told(alone.api.post(f"/projects/{gone.id}/invitations", json={}), 201)
    told(alone.api.post("/tokens", json={"name": "t", "project_id": gone.id}), 201)
    deleted(alone, gone, KEPT - timedelta(minutes=1))
    with unit_of_work(alone.sessions) as session:
        assert purge(session) is None
        assert purge(session, now() + timedelta(minutes=1)) == gone.id
        after = rows(session.connection())
        assert session.query(AuditEntry).filter_by(project_id=gone.id).count() > 4
        assert session.query(Label).filter_by(project_id=kept.id).count() == 1
    assert {name: count for name, count in after.items() if name not in STAYS} == {
        name: count for name, count in before.items() if name not in STAYS
    }
    told(alone.api.get(f"/projects/{kept.id}"))


def test_a_deleted_project_does_not_keep_its_name_and_comes_back_under_another(alone: Alone) -> None:
    one = told(alone.api.post("/projects", json={"name": "cells"}), 201)
    taken = told(alone.api.post("/projects", json={"name": "cells"}), 409)
    assert taken["code"] == "name_taken" and "project" not in taken["detail"]
    assert alone.api.delete(f"/projects/{one['id']}", params={"name": "cells"}).status_code == 204
    two = told(alone.api.post("/projects", json={"name": "cells"}), 201)
    back = told(alone.api.post(f"/projects/{one['id']}/restore"))
    assert (back["name"], back["deleted_at"]) == ("cells (2)", None)
    assert alone.api.delete(f"/projects/{two['id']}", params={"name": "cells"}).status_code == 204
    assert told(alone.api.post(f"/projects/{two['id']}/restore"))["name"] == "cells"


def test_a_long_name_has_room_for_the_number(alone: Alone) -> None:
    name = "n" * 200
    one = told(alone.api.post("/projects", json={"name": name}), 201)
    assert alone.api.delete(f"/projects/{one['id']}", params={"name": name}).status_code == 204
    told(alone.api.post("/projects", json={"name": name}), 201)
    assert told(alone.api.post(f"/projects/{one['id']}/restore"))["name"] == "n" * 196 + " (2)"
