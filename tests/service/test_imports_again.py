"""Imported masks afterwards: withdrawn and corrected, sent again, or replaced by another import."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.annotations.work import work_on_interaction
from service.db import reading, unit_of_work
from service.imports import actions
from service.imports.actions import Drawn, accept
from service.jobs import Job
from service.masks import from_png
from service.tables import Annotation, AuditEntry, Interaction, State, User
from tests.factories import AProject, a_project, draw, open_next, png, told
from tests.service.conftest import Alone
from tests.service.hands import take_next
from tests.service.test_imports import DISC, accepted, bring


def an_import(alone: Alone, mask: np.ndarray = DISC) -> tuple[AProject, int]:
    """A project with an imported mask of its first image, and that annotation."""
    project = a_project(alone.api, images=2)
    told(bring(alone.api, project.id, {"0.png": png(mask)}, label="disc"), 201)
    with reading(alone.sessions) as session:
        found = session.scalars(select(Annotation.id).where(Annotation.imported)).one()
    return project, found


def withdraw(alone: Alone, annotation_id: int) -> Any:
    path = f"/annotations/{annotation_id}/withdraw"
    return told(alone.api.post(path, json={"reason": "3 pixels wrong"}, headers={"If-Match": "*"}))


def test_a_withdrawn_import_opens_with_its_mask(alone: Alone) -> None:
    project, annotation_id = an_import(alone)
    withdraw(alone, annotation_id)
    opened = open_next(alone.api, project.label_id)
    assert opened.id == annotation_id
    assert opened.told["edited"]["n"] == 1 and opened.told["interactions"][0]["edit"] == "import"
    assert np.array_equal(from_png(alone.storage.get(opened.told["edited"]["mask_digest"])), DISC)
    undone = told(alone.api.post(f"/annotations/{opened.id}/undo", headers=opened.lease))
    assert undone["step"] == 0, "the network's own mask is one step back"


def test_the_network_corrects_all_of_an_imported_mask_and_keeps_none_of_it_as_painted(alone: Alone) -> None:
    project, annotation_id = an_import(alone)
    withdraw(alone, annotation_id)
    told(draw(alone.api, open_next(alone.api, project.label_id)), 202)
    step = next(row for job, row, _ in alone.jobs.sent if job is Job.PREDICT)
    with reading(alone.sessions) as session:
        work = work_on_interaction(session, step)
    assert work is not None and work.earlier is not None
    assert np.array_equal(from_png(alone.storage.get(work.earlier.mask_digest)), DISC)
    assert [(edit.before, edit.after) for edit in work.edits] == [(work.earlier.mask_digest,) * 2]


def test_bringing_a_mask_in_is_no_interaction_in_any_statistic(alone: Alone) -> None:
    project, annotation_id = an_import(alone)
    listed = told(alone.api.get(f"/labels/{project.label_id}/annotations"))
    assert [each["interactions"] for each in listed] == [0, 0]
    withdraw(alone, annotation_id)
    hand = take_next(alone, alone.api, project.label_id, predicted=False)
    hand.draw()
    alone.work()
    hand.submit()
    take_next(alone, alone.api, project.label_id).submit()
    path = f"/labels/{project.label_id}/metrics"
    rows = told(alone.api.get(f"{path}/interactions-per-image"))
    assert [(each["interactions"], each["edits"]) for each in rows] == [(1, 0), (0, 0)]
    assert (
        told(alone.api.get(f"{path}/interactions-per-image", params={"after": 1}))[0]["running_mean"] == 0.5
    )
    curve = told(alone.api.get(f"{path}/curve", params={"points": 1}))
    assert [(each["interactions"], each["running_mean"]) for each in curve] == [(0.5, 0.5)]
    metrics = told(alone.api.get(f"/projects/{project.id}/metrics"))
    assert metrics["work"]["interactions"] == 1 and metrics["work"]["edits"] == 0


def test_an_import_replaces_an_earlier_one_that_nobody_has_touched(alone: Alone) -> None:
    project, annotation_id = an_import(alone)
    before = told(alone.api.get(f"/labels/{project.label_id}/context"))
    (file,) = told(bring(alone.api, project.id, {"0.png": png(DISC)}, label="disc"), 201)["files"]
    assert (file["accepted"], file["kept"][0]["reason"]) == (0, "it is accepted already")
    assert told(alone.api.get(f"/labels/{project.label_id}/context")) == before
    (file,) = told(bring(alone.api, project.id, {"0.png": png(~DISC)}, label="disc"), 201)["files"]
    assert (file["accepted"], file["kept"]) == (1, [])
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], ~DISC)
    (entry,) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert entry["id"] != before[0]["id"]
    withdraw(alone, annotation_id)
    (file,) = told(bring(alone.api, project.id, {"0.png": png(DISC)}, label="disc"), 201)["files"]
    assert file["accepted"] == 1, "nor has anybody since it was withdrawn"
    with reading(alone.sessions) as session:
        assert session.scalars(select(Interaction.n).order_by(Interaction.n)).all() == [1, 2, 3]


def test_an_import_replaces_nothing_that_somebody_has_corrected(alone: Alone) -> None:
    project, annotation_id = an_import(alone)
    withdraw(alone, annotation_id)
    hand = take_next(alone, alone.api, project.label_id, predicted=False)
    hand.submit()
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], DISC)
    (file,) = told(bring(alone.api, project.id, {"0.png": png(~DISC)}, label="disc"), 201)["files"]
    assert (file["accepted"], file["kept"][0]["reason"]) == (0, "it is accepted already")


def test_the_first_of_two_masks_of_an_image_in_one_import_is_taken(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    data = {"0.png": png(DISC), "0_mask.png": png(~DISC)}
    files = told(bring(alone.api, project.id, data, label="disc"), 201)["files"]
    assert [file["accepted"] for file in files] == [1, 0]
    assert files[1]["kept"][0]["reason"] == "another of these masks is of the same image"


def test_a_mask_of_an_image_that_is_deleted_meanwhile_is_left_out_and_told_of(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    digest = alone.storage.put(png(DISC))
    both = [Drawn(image, project.label_id, digest, False) for image in (9999, project.image_ids[0])]
    with unit_of_work(alone.sessions) as session:
        user_id = session.scalars(select(User.id)).first()
        assert user_id is not None
        reasons = accept(session, user_id, both)
    assert reasons == ["it has been deleted meanwhile", None]


@pytest.fixture
def parts(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many annotations were accepted and committed when each part of an import began: two masks each."""
    begun: list[int] = []

    def noted(session: Session, user_id: int, drawn: Sequence[Drawn]) -> list[str | None]:
        with reading(alone.sessions) as other:
            begun.append(other.query(Annotation).filter_by(state=State.ACCEPTED).count())
        if len(begun) == FAILING:
            raise OSError("the power is out")
        return accept(session, user_id, drawn)

    monkeypatch.setattr(actions, "accept", noted)
    monkeypatch.setattr(actions, "TOGETHER", 2)
    return begun


FAILING = 3


def bring_all(alone: Alone, project: AProject, status: int = 201) -> Any:
    """The answer to an import of a mask for each image, and of another one for the first."""
    masks = {f"{n}.png": png(DISC) for n in range(len(project.image_ids))} | {"0_mask.png": png(~DISC)}
    files = [("files", each) for each in masks.items()]
    path, key = f"/projects/{project.id}/masks", {"Idempotency-Key": "these"}
    return told(alone.api.post(path, files=files, data={"label": "disc"}, headers=key), status)


def test_others_can_write_between_the_parts_of_a_large_import(alone: Alone, parts: list[int]) -> None:
    project = a_project(alone.api, images=3)
    files = bring_all(alone, project)["files"]
    assert parts == [0, 2]
    assert [file["accepted"] for file in files] == [1, 1, 1, 0]
    assert files[3]["kept"][0]["reason"] == "another of these masks is of the same image"
    masks = accepted(alone, project.label_id)
    assert len(masks) == 3 and all(np.array_equal(mask, DISC) for mask in masks.values())


def test_an_import_that_ended_in_the_middle_goes_on_when_it_is_sent_again(
    alone: Alone, parts: list[int]
) -> None:
    project = a_project(alone.api, images=5)
    bring_all(alone, project, status=500)
    assert list(accepted(alone, project.label_id)) == project.image_ids[:4]
    (entry, *_) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    withdraw(alone, entry["annotation_id"])
    answer = bring_all(alone, project)
    assert parts == [0, 2, 4, 3], "what was done is not done again"
    assert [file["accepted"] for file in answer["files"]] == [1] * 5 + [0]
    assert list(accepted(alone, project.label_id)) == project.image_ids[1:]
    assert bring_all(alone, project) == answer
    assert len(parts) == 4
    with reading(alone.sessions) as session:
        assert session.query(AuditEntry).filter_by(action="import_masks").count() == 3, "one of each part"
