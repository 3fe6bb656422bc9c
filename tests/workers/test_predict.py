"""The tasks that predict, as plain functions over real rows and a fake network."""

import errno
from typing import Any

import numpy as np
import pytest
import torch
from obstore.exceptions import GenericError, PermissionDeniedError

from models.predictor import Predictor
from service.db import unit_of_work
from service.jobs import Job
from service.masks import from_png
from service.tables import Annotation, Interaction, State
from tests.workers.conftest import Workplace
from workers.inputs import unpack_state
from workers.predict import compute, predict_first, predict_interaction


def test_an_interaction_gets_a_prediction_and_whoever_waits_is_told(place: Workplace) -> None:
    annotation = place.annotation()
    predict_interaction(place.bench, place.interaction(annotation))
    (prediction,) = place.predictions(annotation)
    assert (prediction.n, prediction.context_size) == (1, 0)
    mask = from_png(place.bench.storage.get(prediction.mask_digest))
    assert mask.shape == (48, 64)
    assert mask.sum() == 8
    assert place.events.heard[0]["kind"] == "predicted"
    assert place.events.heard[0]["prediction_id"] == prediction.id


def test_a_task_that_runs_twice_predicts_once(place: Workplace) -> None:
    annotation = place.annotation()
    predict_first(place.bench, annotation)
    predict_first(place.bench, annotation)
    interaction = place.interaction(annotation)
    predict_interaction(place.bench, interaction)
    predict_interaction(place.bench, interaction)
    assert [prediction.n for prediction in place.predictions(annotation)] == [0, 1]
    assert len(place.predictor.contexts) == 2
    assert len(place.events.heard) == 2


def test_a_superseded_interaction_never_reaches_the_network(place: Workplace) -> None:
    annotation = place.annotation()
    older = place.interaction(annotation)
    place.interaction(annotation)
    predict_interaction(place.bench, older)
    assert place.predictor.contexts == []
    assert place.predictions(annotation) == []


def test_a_first_prediction_is_not_made_once_somebody_has_drawn(place: Workplace) -> None:
    annotation = place.annotation()
    place.interaction(annotation)
    predict_first(place.bench, annotation)
    assert place.predictor.contexts == []


def test_an_annotation_that_is_closed_is_left_alone(place: Workplace) -> None:
    annotation = place.annotation()
    interaction = place.interaction(annotation)
    with unit_of_work(place.bench.sessions) as session:
        session.get_one(Annotation, annotation).state = State.SKIPPED
    predict_interaction(place.bench, interaction)
    assert place.predictor.contexts == []


def test_the_state_of_one_step_is_handed_to_the_next(place: Workplace) -> None:
    annotation = place.annotation()
    for _ in range(2):
        predict_interaction(place.bench, place.interaction(annotation))
    first, second = place.predictor.previous
    assert first is None
    assert second.prompts == 1 and np.all(second.logits == 1)


def test_a_lost_state_costs_a_warm_start_and_no_more(place: Workplace) -> None:
    annotation = place.annotation()
    predict_interaction(place.bench, place.interaction(annotation))
    state = place.predictions(annotation)[0].state_digest
    place.bench.storage._blobs[state] = b"half of it"  # type: ignore[attr-defined]
    place.bench._inputs.clear()  # as in another worker, which does not remember the state
    predict_interaction(place.bench, place.interaction(annotation))
    assert place.predictor.previous == [None, None]
    assert len(place.predictions(annotation)) == 2


def test_a_stored_state_is_read_back_as_it_was(place: Workplace) -> None:
    annotation = place.annotation()
    predict_interaction(place.bench, place.interaction(annotation))
    stored = place.bench.storage.get(place.predictions(annotation)[0].state_digest)
    state = unpack_state(stored)
    assert state.prompts == 1 and state.logits.shape == (1, 4, 4) and np.all(state.logits == 1)


def test_what_comes_too_late_leaves_no_state(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    annotation = place.annotation()
    interaction, blobs = place.interaction(annotation), place.bench.storage._blobs  # type: ignore[attr-defined]

    def superseded(*given: Any) -> Any:
        made = compute(*given)
        place.interaction(annotation)
        return made

    monkeypatch.setattr("workers.predict.compute", superseded)
    before = set(blobs)
    predict_interaction(place.bench, interaction)
    assert place.predictions(annotation) == []
    (mask,) = set(blobs) - before
    assert from_png(blobs[mask]).shape == (48, 64)


def test_work_that_always_fails_is_given_up_and_whoever_waits_is_told(place: Workplace) -> None:
    annotation = place.annotation()
    interaction = place.interaction(annotation)
    place.predictor.error = RuntimeError("a pixel too many")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a pixel too many"):
            predict_interaction(place.bench, interaction)
    assert place.jobs.sent == [(Job.PREDICT, interaction, "prompt")] * 2
    (event,) = place.events.heard
    assert (event["kind"], event["n"]) == ("failed", 1)
    assert event["detail"] == "The mask could not be made, after 3 tries: a pixel too many"
    with place.bench.sessions() as session:
        assert session.get_one(Interaction, interaction).failed_at is not None
    predict_interaction(place.bench, interaction)
    assert (len(place.predictor.contexts), len(place.events.heard)) == (3, 1)


def test_what_somebody_has_drawn_over_is_not_given_up(place: Workplace) -> None:
    annotation = place.annotation()
    older = place.interaction(annotation)

    def fail(*_: Any, **__: Any) -> None:
        if len(place.jobs.sent) == 2:
            place.interaction(annotation)
        raise RuntimeError("a pixel too many")

    place.predictor.predict = fail  # type: ignore[method-assign,assignment]
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a pixel too many"):
            predict_interaction(place.bench, older)
    assert place.events.heard == []


def test_a_first_prediction_that_always_fails_is_given_up_too(place: Workplace) -> None:
    annotation = place.annotation()
    place.predictor.error = RuntimeError("a pixel too many")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a pixel too many"):
            predict_first(place.bench, annotation)
    assert [(event["kind"], event["n"]) for event in place.events.heard] == [("failed", 0)]
    assert place.jobs.sent == [], "nobody waits for it, so it is left to the sweep"
    place.predictor.error = None
    predict_interaction(place.bench, place.interaction(annotation))
    assert [prediction.n for prediction in place.predictions(annotation)] == [1]


def test_work_that_kills_its_worker_is_given_up_as_well(place: Workplace) -> None:
    annotation = place.annotation()
    interaction = place.interaction(annotation)
    place.predictor.error = SystemExit(137)
    for _ in range(3):
        with pytest.raises(SystemExit):
            predict_interaction(place.bench, interaction)
    predict_interaction(place.bench, interaction)
    assert len(place.predictor.contexts) == 3
    assert [event["kind"] for event in place.events.heard] == ["failed"]


@pytest.mark.parametrize("job", [Job.PREDICT, Job.PREDICT_FIRST])
def test_a_model_that_cannot_be_loaded_fails_at_once_and_says_why(place: Workplace, job: Job) -> None:
    def load(name: str) -> Predictor:
        raise ValueError(f"the weights of {name} do not ship" + "!" * 1000)

    place.bench.load = load
    annotation = place.annotation()
    if job is Job.PREDICT:
        predict_interaction(place.bench, place.interaction(annotation))
    else:
        place.leased(annotation)
        predict_first(place.bench, annotation)
    assert place.jobs.sent == []
    (event,) = place.events.heard
    assert event["kind"] == "failed"
    assert event["detail"].startswith(
        "The model memory-v1 cannot be loaded: the weights of memory-v1 do not ship"
    )
    assert len(event["detail"]) == 500


def test_what_nobody_waits_for_waits_for_a_model_that_cannot_be_loaded(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loads: list[str] = []

    def load(name: str) -> Predictor:
        loads.append(name)
        raise FileNotFoundError("the weights are elsewhere")

    with_weights, place.bench.load = place.bench.load, load
    annotation = place.annotation()
    for _ in range(4):
        predict_first(place.bench, annotation)
    assert (place.events.heard, place.jobs.sent) == ([], [])
    assert len(loads) == caplog.text.count("Traceback") == 1, "a minute passes before the next"
    monkeypatch.setattr("workers.bench.MISSING_SECONDS", 0.0)
    predict_first(place.bench, annotation)
    assert len(loads) == 2
    place.bench.load = with_weights
    predict_first(place.bench, annotation)
    assert len(place.predictions(annotation)) == 1


AWAY = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
    GenericError("error sending request"),
]


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_what_nobody_waits_for_waits_until_the_storage_is_back(place: Workplace, error: Exception) -> None:
    annotation = place.annotation()
    place.predictor.error = error
    for _ in range(4):
        predict_first(place.bench, annotation)
    assert (place.events.heard, place.jobs.sent) == ([], [])
    place.predictor.error = None
    predict_first(place.bench, annotation)
    assert len(place.predictions(annotation)) == 1


@pytest.mark.parametrize("job", [Job.PREDICT, Job.PREDICT_FIRST])
@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_whoever_waits_soon_hears_that_the_storage_is_away(
    place: Workplace, job: Job, error: Exception
) -> None:
    annotation = place.annotation()
    predict = predict_interaction if job is Job.PREDICT else predict_first
    row_id = place.interaction(annotation) if job is Job.PREDICT else annotation
    place.leased(annotation)
    place.predictor.error = error
    for _ in range(3):
        with pytest.raises(type(error)):
            predict(place.bench, row_id)
    predict(place.bench, row_id)
    assert place.jobs.sent == [(job, row_id, "prompt")] * 2
    (event,) = place.events.heard
    assert (event["kind"], event["detail"].endswith(f"after 3 tries: {error}")) == ("failed", True)


LASTING = [
    PermissionError(errno.EACCES, "Permission denied"),
    PermissionDeniedError("this object is for others"),
    OSError(errno.EIO, "Input/output error"),
    torch.OutOfMemoryError("too large for this GPU"),
    MemoryError(),
]


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_lasts_is_given_up_and_says_why_although_nobody_waits(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    annotation, rooms = place.annotation(), list[None]()
    monkeypatch.setattr(place.bench, "make_room", lambda: rooms.append(None))
    place.predictor.error = error
    for _ in range(3):
        with pytest.raises(type(error)):
            predict_first(place.bench, annotation)
    predict_first(place.bench, annotation)
    assert len(rooms) in (0, 3)
    (event,) = place.events.heard
    assert event["detail"].endswith(f"after 3 tries: {str(error) or 'MemoryError'}")


def test_an_image_that_is_damaged_or_gone_is_given_up(place: Workplace) -> None:
    for error in (OSError("image file is truncated"), FileNotFoundError("gone")):
        annotation = place.annotation()
        place.predictor.error = error
        for _ in range(3):
            with pytest.raises(OSError, match=str(error)):
                predict_first(place.bench, annotation)
        predict_first(place.bench, annotation)
    assert [event["kind"] for event in place.events.heard] == ["failed"] * 2


def test_one_failure_does_not_spoil_the_next_try(place: Workplace) -> None:
    annotation = place.annotation()
    interaction = place.interaction(annotation)
    place.predictor.error = RuntimeError("once")
    with pytest.raises(RuntimeError):
        predict_interaction(place.bench, interaction)
    place.predictor.error = None
    predict_interaction(place.bench, interaction)
    assert [prediction.n for prediction in place.predictions(annotation)] == [1]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_for_want_of_memory_what_is_encoded_is_given_back_and_it_is_tried_once_more(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    first, second = (place.interaction(place.annotation()) for _ in range(2))
    predict_interaction(place.bench, first)
    encoded, make_room = place.bench.inputs("memory-v1").images, place.bench.make_room

    def with_room() -> None:
        make_room()
        place.predictor.error = None

    monkeypatch.setattr(place.bench, "make_room", with_room)
    place.predictor.error = error
    predict_interaction(place.bench, second)
    assert place.bench.inputs("memory-v1").images is not encoded
    assert len(place.predictor.images) == 3, "the image of the second is encoded anew"
    assert [event["kind"] for event in place.events.heard] == ["predicted"] * 2


def test_for_want_of_memory_for_a_model_what_is_encoded_is_given_back_and_it_is_no_missing_model(
    place: Workplace,
) -> None:
    interaction, full = place.interaction(place.annotation()), [torch.OutOfMemoryError()]

    def load(_name: str) -> Predictor:
        if full:
            raise full.pop()
        return loaded("memory-v1")

    loaded, place.bench.load = place.bench.load, load
    predict_interaction(place.bench, interaction)
    assert [event["kind"] for event in place.events.heard] == ["predicted"]


def test_a_prediction_ahead_gives_way_as_often_as_somebody_waits_and_is_no_failed_attempt(
    place: Workplace,
) -> None:
    pairs = [place.accepted() for _ in range(2)]
    annotation_id = place.annotation()
    place.jobs.waiting = True
    for _ in range(4):
        predict_first(place.bench, annotation_id)
    assert place.jobs.sent == [(Job.PREDICT_FIRST, annotation_id, "next")] * 4
    assert (place.predictor.contexts, place.predictions(annotation_id)) == ([], [])
    place.jobs.waiting = False
    predict_first(place.bench, annotation_id)
    assert len(place.predictions(annotation_id)) == 1
    assert len(place.predictor.images) == 1 + len(pairs), "what was encoded before it gave way is kept"


def test_a_first_mask_that_somebody_looks_for_gives_way_to_nobody(place: Workplace) -> None:
    annotation_id = place.annotation()
    place.leased(annotation_id)
    place.jobs.waiting = True
    predict_first(place.bench, annotation_id)
    assert len(place.predictions(annotation_id)) == 1


def test_a_first_mask_is_good_until_one_in_eight_changes_of_the_context_has_come_after_it(
    place: Workplace,
) -> None:
    for _ in range(7):
        place.accepted()
    annotation_id = place.annotation()
    predict_first(place.bench, annotation_id)
    for size, predictions in ((8, 1), (9, 2), (10, 2), (11, 3)):
        place.accepted()
        predict_first(place.bench, annotation_id)
        assert (size, len(place.predictions(annotation_id))) == (size, predictions)
