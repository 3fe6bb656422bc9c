"""What a worker keeps between tasks: encoded images, and contexts that grow with their label."""

from dataclasses import replace

import numpy as np
import pytest

from models.encoding import Window
from models.handles import State
from service.context.actions import change_entry
from service.db import unit_of_work
from service.images.deletion import delete_source
from service.tables import Annotation, ContextEntry, Image, Label
from tests.workers.conftest import Workplace
from workers.inputs import IMAGES_KEPT, NO_WINDOW, STATE_HEADER, Recent, pack_state, unpack_state
from workers.predict import predict_first, predict_interaction


def test_a_context_is_extended_by_what_is_new_and_not_made_again(place: Workplace) -> None:
    for _ in range(3):
        place.accepted()
    predict_first(place.bench, place.annotation())
    assert (place.predictor.contexts, place.predictor.extended) == ([3], 3)
    place.accepted()
    predict_first(place.bench, place.annotation())
    predict_first(place.bench, place.annotation())
    assert (place.predictor.contexts, place.predictor.extended) == ([3, 4, 4], 4)


def test_of_a_context_that_an_entry_has_left_nothing_is_encoded_again(place: Workplace) -> None:
    first = place.accepted()
    place.accepted()
    predict_first(place.bench, place.annotation())
    with unit_of_work(place.bench.sessions) as session:
        label = session.get_one(Label, place.label_id)
        label.context_version += 1
        session.get_one(ContextEntry, first).removed_version = label.context_version
    predict_first(place.bench, place.annotation())
    assert (place.predictor.contexts, place.predictor.extended) == ([2, 1], 2)


def test_nothing_that_is_kept_has_a_pair_whose_file_was_deleted(place: Workplace) -> None:
    first, _ = place.accepted(), place.accepted()
    opened = place.annotation()
    predict_first(place.bench, opened)
    step = place.interaction(opened)
    with unit_of_work(place.bench.sessions) as session:
        image = session.get_one(Image, session.get_one(ContextEntry, first).image_id)
        delete_source(session, place.jobs, image.source_id, image.name, predict_ahead=0)
    predict_interaction(place.bench, step)
    predict_first(place.bench, place.annotation())
    assert (place.predictor.contexts, place.context_version()) == ([2, 1, 1], 3)
    versions = [each.context_version for each in place.predictions(opened)]
    assert versions == [2, 3]


def test_pinned_entries_are_told_apart_and_nothing_is_encoded_again(place: Workplace) -> None:
    pinned, second, _ = [place.accepted() for _ in range(3)]
    predict_first(place.bench, place.annotation())
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, pinned, place.user_id, "somebody", pinned=True, excluded=None)
        change_entry(session, second, place.user_id, "somebody", pinned=None, excluded=None)
    predict_first(place.bench, place.annotation())
    place.accepted()
    predict_first(place.bench, place.annotation())
    assert [context.pinned for context in place.predictor.seen] == [frozenset(), {0}, {0}]
    assert (place.predictor.contexts, place.predictor.extended) == ([3, 3, 4], 4)


def test_an_image_reads_no_more_of_the_context_until_that_matters_and_then_all_of_it(
    place: Workplace,
) -> None:
    for _ in range(16):
        place.accepted()
    annotation = place.annotation()
    predict_first(place.bench, annotation)
    for _ in range(3):
        place.accepted()
        predict_first(place.bench, place.annotation())  # the context at hand is the longer one
        predict_interaction(place.bench, place.interaction(annotation))
    assert [made.context_size for made in place.predictions(annotation)] == [16, 16, 16, 19]
    assert place.predictor.contexts == [16, 17, 16, 18, 16, 19, 19]
    assert place.predictor.extended == 19


def test_a_pin_holds_for_images_that_read_no_more_of_the_context(place: Workplace) -> None:
    pinned, *_ = [place.accepted() for _ in range(16)]
    annotation = place.annotation()
    predict_first(place.bench, annotation)
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, pinned, place.user_id, "somebody", pinned=True, excluded=None)
    predict_interaction(place.bench, place.interaction(annotation))
    assert [made.context_size for made in place.predictions(annotation)] == [16, 16]
    assert [context.pinned for context in place.predictor.seen] == [frozenset(), {0}]


def test_the_state_at_hand_is_the_one_that_other_workers_read(place: Workplace) -> None:
    annotation = place.annotation()
    place.predictor.logit = 1.3
    for bench in (place.bench, place.bench, replace(place.bench, _inputs={})):
        predict_interaction(bench, place.interaction(annotation))
    _, second, third = place.predictor.previous
    assert second.logits[0, 0, 0] == third.logits[0, 0, 0] == 1.25


def test_building_a_context_takes_no_place_from_images_that_people_have_open(place: Workplace) -> None:
    opened = place.annotation()
    predict_first(place.bench, opened)
    for _ in range(IMAGES_KEPT):
        place.accepted()
    predict_first(place.bench, place.annotation())
    encoded = len(place.predictor.images)
    predict_interaction(place.bench, place.interaction(opened))
    assert len(place.predictor.images) == encoded


def test_what_has_left_the_context_is_read_no_more_at_once(place: Workplace) -> None:
    newest = [place.accepted() for _ in range(16)][-1]
    annotation = place.annotation()
    predict_first(place.bench, annotation)
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, newest, place.user_id, "somebody", pinned=None, excluded=True)
    predict_first(place.bench, annotation)
    predict_interaction(place.bench, place.interaction(annotation))
    assert [made.context_size for made in place.predictions(annotation)] == [16, 15, 15]


def test_an_image_never_reads_its_own_pair_and_nothing_is_encoded_again_for_it(place: Workplace) -> None:
    place.accepted()
    own = place.accepted()
    place.accepted()
    second = place.replica(place.entry(own).annotation_id)
    predict_first(place.bench, second)
    predict_first(place.bench, place.annotation())
    for _ in range(2):
        predict_interaction(place.bench, place.interaction(second))
    assert [context.hidden for context in place.predictor.seen] == [{1}, frozenset(), {1}, {1}]
    assert (place.predictor.contexts, place.predictor.extended) == ([2, 3, 2, 2], 3)
    assert [made.context_size for made in place.predictions(second)] == [2, 2, 2]


def test_an_entry_that_comes_back_is_the_newest(place: Workplace) -> None:
    entry, _ = place.accepted(), place.accepted()
    for excluded in (True, False):
        with unit_of_work(place.bench.sessions) as session:
            change_entry(session, entry, place.user_id, "somebody", pinned=None, excluded=excluded)
        predict_first(place.bench, place.annotation())
    assert (place.predictor.contexts, place.predictor.extended) == ([1, 2], 2)


def test_an_image_is_encoded_once_for_all_that_happens_to_it(place: Workplace) -> None:
    annotation = place.annotation()
    predict_first(place.bench, annotation)
    for _ in range(3):
        predict_interaction(place.bench, place.interaction(annotation))
    assert len(place.predictor.images) == 1


def test_an_accepted_image_is_at_hand_when_it_enters_the_context(place: Workplace) -> None:
    place.accepted()
    predict_first(place.bench, place.annotation())
    assert len(place.predictor.images) == 2  # the one in the context, and the one that is new
    place.accepted()
    predict_first(place.bench, place.annotation())
    assert len(place.predictor.images) == 4


def test_what_was_used_least_recently_goes_first() -> None:
    recent = Recent[str, int](limit=2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def placed(place: Workplace, annotation_id: int, series: str, where: float) -> int:
    """Says where in a volume the image of an annotation lies."""
    with unit_of_work(place.bench.sessions) as session:
        image = session.get_one(Image, session.get_one(Annotation, annotation_id).image_id)
        image.series, image.place = series, where
    return annotation_id


def test_the_nearest_slices_of_its_own_volume_are_read_by_an_image_first(place: Workplace) -> None:
    for series, where in (("a", 10.0), ("b", 5.0), ("a", 4.0), ("a", 7.5), ("b", 6.0)):
        entry = place.entry(place.accepted())
        placed(place, entry.annotation_id, series, where)
    first = placed(place, place.annotation(), "a", 6.0)
    second = placed(place, place.annotation(), "b", 6.0)
    third = placed(place, place.annotation(), "c", 6.0)
    for annotation in (first, second, first, third, first):
        predict_interaction(place.bench, place.interaction(annotation))
    assert [context.near for context in place.predictor.seen] == [{2, 3}, {1, 4}, {2, 3}, set(), {2, 3}]
    assert place.predictor.extended == 5


def test_what_another_made_of_the_same_slice_is_not_one_of_its_neighbours(place: Workplace) -> None:
    for where in (3.0, 4.0):
        placed(place, place.entry(place.accepted()).annotation_id, "a", where)
    theirs = placed(place, place.entry(place.accepted()).annotation_id, "a", 5.0)
    predict_interaction(place.bench, place.interaction(place.replica(theirs)))
    assert [context.near for context in place.predictor.seen] == [{0, 1}]


def test_what_is_pinned_and_what_lies_near_are_told_apart(place: Workplace) -> None:
    entries = [place.entry(place.accepted()) for _ in range(3)]
    placed(place, entries[2].annotation_id, "a", 1.0)
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, entries[0].id, place.user_id, "somebody", pinned=True, excluded=None)
    predict_first(place.bench, placed(place, place.annotation(), "a", 2.0))
    predict_first(place.bench, place.annotation())
    assert [context.near for context in place.predictor.seen] == [{2}, set()]
    assert [context.pinned for context in place.predictor.seen] == [{0}, {0}]


@pytest.mark.parametrize("window", [None, Window(3, 4, 67, 68)])
def test_a_state_comes_back_from_its_bytes_with_its_close_up(window: Window | None) -> None:
    logits = np.linspace(-30, 30, 2 * 4 * 4).reshape(2, 4, 4).astype(np.float16)
    back = unpack_state(pack_state(State(logits, 3, window)))
    assert (back.prompts, back.window) == (3, window)
    assert np.abs(back.logits - logits).max() <= 0.125
    for broken in (b"", pack_state(State(logits, 3, window))[:-1]):
        with pytest.raises(ValueError, match=r"state|reshape"):
            unpack_state(broken)


def test_a_state_takes_few_bytes_and_one_of_before_it_was_packed_is_read() -> None:
    y, x = np.mgrid[:128, :128]
    logits = np.clip(20 - np.hypot(y - 60, x - 70), -30, 30)[None].astype(np.float16)
    packed = pack_state(State(logits, 3, None))
    assert len(packed) < logits.size / 2
    plain = np.rint(logits * 4).astype(np.int8).tobytes()
    of_before = STATE_HEADER.pack(3, *logits.shape, *NO_WINDOW) + plain
    np.testing.assert_array_equal(unpack_state(packed).logits, unpack_state(of_before).logits)
