"""A file that was uploaded is deleted with all that is its own, and nothing else."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select, update

from service.annotations.outcomes import forgive_attempts
from service.annotations.work import work_on_first, work_on_interaction
from service.clock import now
from service.context.actions import record_quality
from service.db import reading, unit_of_work
from service.exports.actions import Cursor, Part, claim, save
from service.jobs import Job
from service.masks import to_png
from service.metrics.actions import Agreed, begin_measurement, record_measurement
from service.projects import removal
from service.projects.removal import STAYS
from service.tables import (
    Agreement,
    Annotation,
    AuditEntry,
    Interaction,
    Label,
    Leftover,
    Project,
    Role,
    Submission,
    Table,
)
from tests.exporting import begin, bench_of, download, finished, put_mask, rectangle, unpacked, work
from tests.factories import AProject, a_project, draw, open_next, png, told, upload
from tests.files import nifti
from tests.service.conftest import Alone
from tests.service.hands import Hand, change_settings, disc, review_next, take_next
from tests.service.people import a_member
from workers import export as worker
from workers.app import _task
from workers.bench import Bench
from workers.check import check_entry
from workers.predict import predict_first

MASK = np.eye(48, 64) > 0


def source_of(alone: Alone, image_id: int) -> int:
    return int(told(alone.api.get(f"/images/{image_id}"))["source_id"])


def delete(alone: Alone, image_id: int, name: str | None = None) -> httpx.Response:
    """The answer to the deletion of an image's file."""
    params = {} if name is None else {"name": name}
    return alone.api.delete(f"/sources/{source_of(alone, image_id)}", params=params)


def rows(alone: Alone) -> dict[str, int]:
    with reading(alone.sessions) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Table.metadata.sorted_tables
            if table.name not in STAYS
        }


def left_version(alone: Alone, label_id: int) -> tuple[int, int]:
    with reading(alone.sessions) as session:
        label = session.get_one(Label, label_id)
        return label.context_version, label.left_version


@pytest.fixture
def project(alone: Alone) -> AProject:
    return a_project(alone.api, images=3)


def test_a_file_that_nobody_has_worked_on_is_deleted_with_all_of_its_frames(
    alone: Alone, project: AProject
) -> None:
    told(alone.api.post(f"/projects/{project.id}/labels", json={"name": "ring"}), 201)
    before = rows(alone)
    volume = nifti(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6))
    (told_of,) = told(upload(alone.api, project.id, {"brain.nii.gz": volume}), 201)["images"]
    images = told_of["source"]["image_ids"]
    with reading(alone.sessions) as session:
        annotation = session.scalars(select(Annotation.id).where(Annotation.image_id == images[0])).first()
    assert annotation is not None and alone.predict(Job.PREDICT_FIRST, annotation) is not None
    assert len(images) > 3 and rows(alone)["annotations"] == before["annotations"] + 2 * len(images)
    assert delete(alone, images[0]).status_code == 204
    assert rows(alone) == before
    for path in (f"/sources/{told_of['source']['id']}", f"/images/{images[-1]}/pixels"):
        assert told(alone.api.get(path), 404)["code"] == "not_found"
    assert len(told(alone.api.get(f"/projects/{project.id}/images"))) == 3


def busy(alone: Alone) -> tuple[AProject, int]:
    """A project in which everything that can be done has been done to its first image, and that image."""
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, overlap=2, review_every=1, review_own=True)
    told(upload(alone.api, project.id, {"other.png": png()}), 201)
    change_settings(alone, project.id, overlap=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.draw()
    hand.paint(disc(20, 20, 5))
    image_id = int(hand.seen()["image"]["id"])
    told(alone.api.post(f"/annotations/{hand.id}/comments", json={"text": "look", "at": [3, 4]}), 201)
    hand.submit()
    review_next(alone, alone.api, project.label_id).accept()
    path = f"/labels/{project.label_id}/gold/{image_id}"
    assert alone.api.put(path, content=to_png(MASK), headers={"Content-Type": "image/png"}).status_code == 204
    with unit_of_work(alone.sessions) as session:
        first = session.query(Submission).filter_by(annotation_id=hand.id).first()
        assert first is not None
        session.add(Submission(annotation_id=hand.id, user_id=first.user_id, step=0, mask_digest="a" * 64))
        session.flush()
        ids = [each.id for each in session.query(Submission).filter_by(annotation_id=hand.id)]
        begun = begin_measurement(session, ids[0], most=1)
        assert begun is not None
        record_measurement(session, begun, first_dice=1, gold_dice=1, agreed=[Agreed(ids[1], 0.5, 1.0)])
    return project, image_id


def test_work_is_counted_and_goes_only_with_the_name(alone: Alone) -> None:
    project, image_id = busy(alone)
    name = told(alone.api.get(f"/images/{image_id}"))["source_name"]
    before = rows(alone)
    for table in ("interactions", "predictions", "submissions", "reviews", "comments", "agreements", "gold"):
        assert before[table], table
    refused = told(delete(alone, image_id), 409)
    assert (refused["code"], refused["work"]) == ("file_in_use", {"accepted": 1, "context": 1, "gold": 1})
    assert "accepted: 1, context: 1, gold: 1" in refused["detail"] and name in refused["detail"]
    assert told(delete(alone, image_id, name.upper()), 422)["code"] == "invalid"
    assert rows(alone) == before
    assert delete(alone, image_id, name).status_code == 204
    assert rows(alone)["images"] == rows(alone)["sources"] == 1
    emptied = {
        "interactions",
        "submissions",
        "reviews",
        "comments",
        "agreements",
        "gold",
        "leases",
        "activity",
    }
    assert {table for table in emptied if rows(alone)[table]} == set()
    with reading(alone.sessions) as session:
        line = session.query(AuditEntry).filter_by(action="delete_source").one()
    assert (line.subject["name"], line.subject["work"]["accepted"]) == (name, 1)
    assert line.project_id == project.id


def test_what_somebody_has_only_opened_or_drafted_is_work_too(alone: Alone, project: AProject) -> None:
    hand = take_next(alone, alone.api, project.label_id)
    image_id = hand.seen()["image"]["id"]
    draft = {"prompts": [], "step": 0, "mask": None}
    alone.api.put(f"/annotations/{hand.id}/draft", json=draft, headers=hand.lease)
    assert told(delete(alone, image_id), 409)["work"] == {"open": 1, "context": 0, "gold": 0}


@pytest.mark.parametrize("role", list(Role))
def test_files_are_deleted_by_managers(alone: Alone, project: AProject, role: Role) -> None:
    member = a_member(alone, project.id, role)
    answer = member.delete(f"/sources/{source_of(alone, project.image_ids[0])}")
    assert answer.status_code == (204 if role.covers(Role.MANAGER) else 403)


def test_whoever_has_an_image_of_it_open_is_told_that_it_is_gone(alone: Alone, project: AProject) -> None:
    hand = take_next(alone, alone.api, project.label_id)
    hand.draw()
    answers: list[Callable[[Hand], httpx.Response]] = [
        lambda hand: hand.send("heartbeat"),
        lambda hand: hand.send("interactions", {"prompts": [{"kind": "click", "x": 1, "y": 1}]}),
        lambda hand: hand.api.post(
            f"/annotations/{hand.id}/submit", headers=hand.lease | {"If-Match": '"1"'}
        ),
        lambda hand: hand.send("release"),
        lambda hand: hand.api.get(f"/annotations/{hand.id}"),
        lambda hand: hand.api.get(f"/annotations/{hand.id}/mask"),
        lambda hand: hand.api.get(f"/annotations/{hand.id}/events"),
    ]
    assert delete(alone, hand.seen()["image"]["id"], "0.png").status_code == 204
    for answer in answers:
        assert told(answer(hand), 404)["detail"] == f"There is no annotation {hand.id}."
    other = take_next(alone, alone.api, project.label_id)
    assert other.id != hand.id


def test_nothing_new_has_the_number_of_what_was_deleted(alone: Alone, project: AProject) -> None:
    (last,) = told(upload(alone.api, project.id, {"last.png": png()}), 201)["images"]
    with reading(alone.sessions) as session:
        before = session.scalars(select(func.max(Annotation.id))).one()
    assert delete(alone, last["image"]["id"]).status_code == 204
    (new,) = told(upload(alone.api, project.id, {"new.png": png()}), 201)["images"]
    assert new["image"]["id"] > last["image"]["id"] and new["source"]["id"] > last["source"]["id"]
    with reading(alone.sessions) as session:
        assert session.scalars(select(func.max(Annotation.id))).one() > before


# ---- the context


def test_its_pairs_leave_the_context_and_first_masks_made_with_them_are_made_anew(alone: Alone) -> None:
    project = a_project(alone.api, images=5)
    other = told(alone.api.post(f"/projects/{project.id}/labels", json={"name": "ring"}), 201)["id"]
    alone.accept(other)
    alone.accept(other)
    untouched = told(alone.api.get(f"/labels/{other}/context"))
    first, second = alone.accept(project.label_id), alone.accept(project.label_id)
    with reading(alone.sessions) as session:
        mine = select(Annotation.id).where(Annotation.label_id == project.label_id)
        waiting = list(session.scalars(mine.where(Annotation.state == "open").order_by(Annotation.id)))
    made = alone.predict(Job.PREDICT_FIRST, waiting[0])
    assert made is not None and (made.context_version, made.context_size) == (2, 2)
    assert alone.predict(Job.PREDICT_FIRST, waiting[0]) is None
    alone.jobs.sent.clear()
    assert delete(alone, first["image"]["id"], "0.png").status_code == 204
    # The other label had the pair of the same image.
    assert left_version(alone, project.label_id) == left_version(alone, other) == (3, 3)
    assert [each["image_id"] for each in told(alone.api.get(f"/labels/{other}/context"))] == [
        untouched[1]["image_id"]
    ]
    left = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert [each["image_id"] for each in left] == [second["image"]["id"]]
    assert (Job.PREDICT_FIRST, waiting[0]) in [sent[:2] for sent in alone.jobs.sent]
    again = alone.predict(Job.PREDICT_FIRST, waiting[0])
    assert again is not None and (again.context_version, again.context_size) == (3, 1)


def test_a_label_without_it_in_its_context_is_not_disturbed(alone: Alone, project: AProject) -> None:
    other = told(alone.api.post(f"/projects/{project.id}/labels", json={"name": "ring"}), 201)["id"]
    alone.accept(project.label_id)
    alone.accept(other)
    alone.jobs.sent.clear()
    assert delete(alone, project.image_ids[2]).status_code == 204
    assert left_version(alone, project.label_id) == left_version(alone, other) == (1, 0)
    assert alone.jobs.sent == []


def test_what_was_being_predicted_with_it_is_not_good_any_more(alone: Alone, project: AProject) -> None:
    accepted = alone.accept(project.label_id)
    with reading(alone.sessions) as session:
        waiting = session.scalars(
            select(Annotation.id).where(Annotation.image_id == project.image_ids[2])
        ).one()
        under_way = work_on_first(session, waiting)
    assert under_way is not None and under_way.context_size == 1
    assert delete(alone, accepted["image"]["id"], "0.png").status_code == 204
    assert alone.record(under_way) is not None
    again = alone.predict(Job.PREDICT_FIRST, waiting)
    assert again is not None and (again.context_version, again.context_size) == (2, 0)


# ---- workers that are at it


def test_a_worker_that_predicts_on_it_ends_quietly(alone: Alone, project: AProject) -> None:
    opened = open_next(alone.api, project.label_id)
    told(draw(alone.api, opened), 202)
    with reading(alone.sessions) as session:
        step = session.scalars(select(Interaction.id)).one()
        drawn = work_on_interaction(session, step)
        waiting = session.scalars(
            select(Annotation.id).where(Annotation.image_id == project.image_ids[1])
        ).one()
        first = work_on_first(session, waiting)
    assert drawn is not None and first is not None
    for image_id in project.image_ids[:2]:
        assert delete(alone, image_id, told(alone.api.get(f"/images/{image_id}"))["name"]).status_code == 204
    for under_way in (drawn, first):
        assert alone.record(under_way) is None
        with unit_of_work(alone.sessions) as session:
            forgive_attempts(session, under_way)
    assert alone.predict(Job.PREDICT, step) is None
    _task(predict_first, bench_of(alone))(waiting)


def test_a_worker_that_checks_or_measures_it_ends_quietly(alone: Alone, project: AProject) -> None:
    accepted = alone.accept(project.label_id)
    with unit_of_work(alone.sessions) as session:
        submission = session.scalars(select(Submission.id)).one()
        begun = begin_measurement(session, submission, most=1)
        assert begun is not None
    (entry,) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert delete(alone, accepted["image"]["id"], "0.png").status_code == 204

    def late(bench: Bench, entry_id: int) -> None:
        with unit_of_work(bench.sessions) as session:
            record_quality(session, entry_id, 0.5)

    for body in (late, check_entry):
        _task(body, bench_of(alone))(entry["id"])
    with unit_of_work(alone.sessions) as session:
        agreed = [Agreed(submission + 1, 1.0, None)]
        record_measurement(session, begun, first_dice=1.0, gold_dice=None, agreed=agreed)
        assert session.query(Agreement).count() == 0


# ---- exports


def test_an_export_that_is_being_made_begins_again_and_a_finished_one_stays(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PART_BYTES", -1)
    project = a_project(alone.api, images=0)
    same = {f"{folder}/slice.png": png() for folder in ("a", "b", "c")}
    images = [each["image"]["id"] for each in told(upload(alone.api, project.id, same), 201)["images"]]
    for n, image_id in enumerate(images):
        put_mask(alone, project.label_id, image_id, rectangle(0, 0, n + 1, 5))
    done = finished(alone, project.id, "png", images=True)
    under_way = begin(alone, project.id, "png", images=True)
    worker.make_part(bench_of(alone), under_way["id"])
    with unit_of_work(alone.sessions) as session:
        made = claim(session, under_way["id"], max_attempts=3)
    assert made is not None and len(made.parts) == 1
    assert delete(alone, images[0], "a/slice.png").status_code == 204
    with unit_of_work(alone.sessions) as session:  # what a worker was at meanwhile counts no more
        assert not save(session, made, [Part("exports/1/late", 1)], Cursor(step=1), done=2)
    work(alone)
    again = told(alone.api.get(f"/exports/{under_way['id']}"))
    assert (again["state"], again["done"], again["report"]) == ("done", 2, [])
    names = set(unpacked(download(alone, again)))
    assert not any("a/slice" in name for name in names) and len(names) == 5
    assert any("a/slice" in name for name in unpacked(download(alone, done)))


# ---- a project whose month is over


def test_a_large_project_goes_in_pieces_and_does_not_come_back(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "TOGETHER", 2)
    before = rows(alone)
    large = a_project(alone.api, images=5)
    alone.accept(large.label_id)
    path = f"/projects/{large.id}"
    name = told(alone.api.get(path))["name"]
    assert alone.api.delete(path, params={"name": name}).status_code == 204
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Project).values(deleted_at=now() - removal.KEPT - timedelta(minutes=1)))
    for left in (3, 1):
        with unit_of_work(alone.sessions) as session:
            assert removal.purge(session) is None
        assert rows(alone)["images"] == rows(alone)["annotations"] == left
        assert told(alone.api.post(f"{path}/restore"), 404)["code"] == "not_found"
    with unit_of_work(alone.sessions) as session:
        assert removal.purge(session) == large.id
    assert rows(alone) == before


def test_two_sweeps_at_once_forget_no_blob_of_a_large_project(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "TOGETHER", 2)
    made = a_project(alone.api, images=5)
    for n, image_id in enumerate(made.image_ids):
        put_mask(alone, made.label_id, image_id, rectangle(0, 0, n + 1, 5))
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Project).values(deleted_at=now() - removal.KEPT - timedelta(minutes=1)))
        masks = set(session.scalars(select(Annotation.mask_digest)))

    def other() -> None:
        with unit_of_work(alone.sessions) as session:
            removal.purge(session)

    with ThreadPoolExecutor(1) as sweep:
        with unit_of_work(alone.sessions) as session:
            removal.purge(session)
            second = sweep.submit(other)
            time.sleep(0.5)  # the other one is at it, or waits
        second.result()
    for _ in range(3):
        other()
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Project.id))) == 0
        assert len(masks) == 5 and masks <= set(session.scalars(select(Leftover.digest)))
