"""What each pair helped: the first masks made with it beside those made before it; and how it looks."""

import io
from functools import partial
from statistics import mean
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import event, insert, select

from service.context import listing
from service.context.overlay import OUTLINE, overlaid
from service.db import reading, unit_of_work
from service.tables import (
    Annotation,
    ContextEntry,
    Label,
    Prediction,
    Project,
    Role,
    Submission,
)
from tests.factories import a_project, stored_image, told
from tests.service.conftest import Alone
from tests.service.people import a_member

# The context version of each first mask, and its Dice with the final one.
FIRST_MASKS = [(0, 0.1), (1, 0.3), (1, 0.5), (2, 0.6), (4, 0.7), (5, 0.9)]


def a_history(alone: Alone, first_masks: list[tuple[int, float]], *, label_id: int) -> None:
    """Submissions whose first masks were made with these versions of the context."""
    with unit_of_work(alone.sessions) as session:
        project_id = session.get_one(Label, label_id).project_id
        user_id = session.get_one(Project, project_id).created_by
        for n, (version, dice) in enumerate(first_masks):
            image = stored_image(session, project_id, f"{n}".zfill(64))
            annotation = Annotation(label_id=label_id, image_id=image.id, position=n)
            session.add(annotation)
            session.flush()
            made = {"model": "m", "weights_sha256": "0" * 64, "network_ms": 1.0, "uncertainty": 0.1}
            prediction = Prediction(
                annotation_id=annotation.id,
                n=0,
                context_version=version,
                context_size=0,
                mask_digest="0" * 64,
                state_digest="0" * 64,
                **made,
            )
            session.add(prediction)
            session.flush()
            final = {"annotation_id": annotation.id, "user_id": user_id, "step": 0, "mask_digest": "0" * 64}
            earlier = Submission(**final, first_prediction_id=prediction.id, first_dice=0.0)
            session.add(earlier)  # it was returned: what counts is the mask that came of it
            session.flush()
            session.add(Submission(**final, first_prediction_id=prediction.id, first_dice=dice))


@pytest.fixture
def label_id(alone: Alone) -> int:
    """A label with two accepted masks, and the history of others."""
    label_id = a_project(alone.api, images=2).label_id
    alone.accept(label_id)
    alone.accept(label_id)
    with unit_of_work(alone.sessions) as session:
        for submission in session.scalars(select(Submission)).all():
            session.delete(submission)
    a_history(alone, FIRST_MASKS, label_id=label_id)
    return label_id


def effects(alone: Alone, label_id: int) -> list[tuple[Any, ...]]:
    entries = told(alone.api.get(f"/labels/{label_id}/context?include_removed=true"))
    names = ("helped_dice", "helped_count", "before_dice", "before_count")
    return [tuple(entry[name] for name in names) for entry in entries]


def expected(added: int, removed: int | None) -> tuple[Any, ...]:
    helped = [dice for v, dice in FIRST_MASKS if v >= added and (removed is None or v < removed)]
    before = [dice for v, dice in FIRST_MASKS if v < added]
    return (pytest.approx(mean(helped)), len(helped), pytest.approx(mean(before)), len(before))


def test_what_a_pair_helped_stands_beside_what_was_before_it(alone: Alone, label_id: int) -> None:
    assert effects(alone, label_id) == [expected(1, None), expected(2, None)]
    first = told(alone.api.get(f"/labels/{label_id}/context"))[0]["id"]
    told(alone.api.patch(f"/context/{first}", json={"pinned": True}, headers={"If-Match": "*"}))
    told(alone.api.patch(f"/context/{first}", json={"excluded": True}, headers={"If-Match": "*"}))
    assert effects(alone, label_id) == [expected(1, 4), expected(2, None)]


def test_the_control_group_and_what_is_not_measured_say_nothing(alone: Alone, label_id: int) -> None:
    with unit_of_work(alone.sessions) as session:
        for submission in session.scalars(select(Submission)):
            if submission.first_dice == 0.9:
                submission.first_dice = None
            if submission.first_dice == 0.1:
                session.get_one(Annotation, submission.annotation_id).control = True
    assert effects(alone, label_id)[0] == (pytest.approx(mean([0.3, 0.5, 0.6, 0.7])), 4, None, 0)


def test_a_long_page_of_the_context_takes_no_more_statements_than_a_short_one(
    alone: Alone, label_id: int
) -> None:
    with reading(alone.sessions) as session:
        first = session.scalars(select(ContextEntry)).first()
        assert first is not None
        columns = {"label_id": label_id, "annotation_id": first.annotation_id, "image_id": first.image_id}
    with unit_of_work(alone.sessions) as session:
        rows = [columns | {"mask_digest": "0" * 64, "added_version": 3 + n} for n in range(50)]
        session.execute(insert(ContextEntry), rows)
    asked: dict[int, list[str]] = {1: [], 52: []}
    for size, statements in asked.items():
        with reading(alone.sessions) as session:
            event.listen(session.connection(), "before_cursor_execute", partial(_keep, statements))
            assert len(listing.listed(session, label_id, limit=size)) == size
    assert len(asked[1]) == len(asked[52])


def _keep(statements: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements.append(statement)


def project_of(alone: Alone, label_id: int) -> int:
    with reading(alone.sessions) as session:
        return session.get_one(Label, label_id).project_id


def test_a_thumbnail_shows_the_mask_and_is_not_sent_twice(alone: Alone, label_id: int) -> None:
    entry = told(alone.api.get(f"/labels/{label_id}/context"))[0]
    path = entry["thumbnail"].removeprefix("/api")
    answer = alone.api.get(path, params={"size": 32})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    picture = np.asarray(Picture.open(io.BytesIO(answer.content)))
    assert picture.shape == (24, 32, 3)
    assert (picture == OUTLINE).all(axis=-1).any()
    assert answer.headers["Cache-Control"] == "private, no-cache"  # the next label may get its address
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert alone.api.get(path, params={"size": 32}, headers=tag).status_code == 304
    weak = {"If-None-Match": f'"another", W/{answer.headers["ETag"]}'}  # as a proxy that compresses makes it
    assert alone.api.get(path, params={"size": 32}, headers=weak).status_code == 304
    assert alone.api.get(path, params={"size": 64}, headers=tag).status_code == 200


def test_where_work_is_blind_an_annotator_sees_no_mask_of_another(alone: Alone, label_id: int) -> None:
    entry = told(alone.api.get(f"/labels/{label_id}/context"))[0]
    path = entry["thumbnail"].removeprefix("/api")
    project_id = project_of(alone, label_id)
    annotator, reviewer = (a_member(alone, project_id, role) for role in (Role.ANNOTATOR, Role.REVIEWER))
    assert annotator.get(path).status_code == 200
    with unit_of_work(alone.sessions) as session:
        session.get_one(Project, project_id).overlap = 2
    assert told(annotator.get(path), 404)["code"] == "not_found"
    assert reviewer.get(path).status_code == 200


@pytest.mark.parametrize("shape", [(48, 64), (1, 1), (300, 5), (900, 1200)])
def test_an_overlay_marks_the_mask_and_leaves_the_rest(shape: tuple[int, int]) -> None:
    pixels = np.full(shape, 100, dtype=np.uint8)
    mask = np.zeros(shape, dtype=np.bool_)
    mask[: max(shape[0] // 2, 1)] = True
    shown = np.asarray(Picture.open(io.BytesIO(overlaid(pixels, mask, 256))))
    assert max(shown.shape[:2]) <= 256
    if shape[0] > 1:
        assert (shown[-1] == 100).all()
    assert not (shown[0] == 100).all(axis=-1).any()
    empty = overlaid(pixels, np.zeros(shape, dtype=np.bool_), 256)
    assert (np.asarray(Picture.open(io.BytesIO(empty))) == 100).all()
