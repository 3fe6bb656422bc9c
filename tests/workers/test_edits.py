"""What people painted by hand stays through later predictions, until a prompt says otherwise."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.predictor import Predictor
from models.prompts import Box, Click, Prompt, Scribble
from models.registry import load
from service.annotations.work import Edit
from service.db import unit_of_work
from service.masks import Mask, from_png, to_png
from service.storage import MemoryStorage
from service.tables import Annotation, Interaction
from tests.workers.conftest import Workplace
from workers.edits import keep_painted
from workers.predict import predict_interaction

SHAPE = (48, 64)
NOTHING: Mask = np.zeros(SHAPE, dtype=np.bool_)


def box(x0: int, y0: int, x1: int, y1: int) -> Mask:
    mask = NOTHING.copy()
    mask[y0:y1, x0:x1] = True
    return mask


class Painted:
    """Manual edits, one upon the other."""

    def __init__(self) -> None:
        self.storage, self.edits = MemoryStorage(), list[Edit]()

    def edit(self, before: Mask | None, after: Mask, *, prompts: int = 0) -> "Painted":
        digests = [self.storage.put(to_png(mask)) if mask is not None else None for mask in (before, after)]
        assert digests[1] is not None
        self.edits.append(Edit(digests[0], digests[1], prompts))
        return self

    def kept(self, predicted: Mask, *prompts: Prompt) -> Mask:
        return keep_painted(predicted, self.edits, prompts, lambda digest: from_png(self.storage.get(digest)))


def test_without_edits_a_prediction_is_as_it_is() -> None:
    assert np.array_equal(Painted().kept(box(1, 1, 9, 9), Click(3, 3, positive=False)), box(1, 1, 9, 9))


def test_painted_and_erased_pixels_stay_and_all_others_are_predicted() -> None:
    painted = Painted().edit(box(0, 0, 10, 10), box(5, 0, 20, 10))
    predicted = box(0, 0, 5, 48)
    expected = predicted | box(10, 0, 20, 10)
    expected[:10, :5] = False
    assert np.array_equal(painted.kept(predicted, Click(60, 40)), expected)


def test_a_mask_painted_on_nothing_adds_and_takes_nothing_away() -> None:
    painted = Painted().edit(None, box(5, 5, 9, 9))
    assert np.array_equal(painted.kept(box(30, 30, 40, 40)), box(30, 30, 40, 40) | box(5, 5, 9, 9))


def test_the_newer_of_two_edits_of_a_pixel_counts() -> None:
    painted = Painted().edit(NOTHING, box(5, 5, 20, 20)).edit(box(5, 5, 20, 20), box(5, 5, 10, 20))
    assert np.array_equal(painted.kept(NOTHING), box(5, 5, 10, 20))
    assert np.array_equal(painted.kept(~NOTHING), ~box(10, 5, 20, 20))


@pytest.mark.parametrize(
    ("prompts", "given_up"),
    [
        ([Click(7.5, 7.5, positive=False)], True),
        ([Scribble([(1.0, 1.0), (8.0, 8.0)], 2.0, False)], True),
        ([Scribble([(1.0, 8.0), (30.0, 8.0)], 2.0, False)], True),
        ([Click(7.5, 7.5, positive=True)], False),
        ([Click(30.0, 7.5, positive=False)], False),
        ([Box(0, 0, 30, 30)], False),
        ([], False),
    ],
)
def test_a_part_is_given_up_where_a_later_prompt_says_otherwise(
    prompts: Sequence[Prompt], given_up: bool
) -> None:
    two = box(5, 5, 12, 12) | box(40, 30, 50, 40)
    kept = Painted().edit(NOTHING, two).kept(NOTHING, *prompts)
    assert np.array_equal(kept, box(40, 30, 50, 40) if given_up else two)


def test_what_was_erased_is_given_up_where_a_later_click_wants_it() -> None:
    painted = Painted().edit(box(5, 5, 20, 20), NOTHING)
    assert np.array_equal(painted.kept(box(5, 5, 20, 20), Click(8, 8)), box(5, 5, 20, 20))
    assert not painted.kept(box(5, 5, 20, 20), Click(40, 40)).any()


def test_a_prompt_before_an_edit_says_nothing_about_it() -> None:
    painted = Painted().edit(NOTHING, box(5, 5, 12, 12), prompts=1)
    assert np.array_equal(painted.kept(NOTHING, Click(7, 7, positive=False)), box(5, 5, 12, 12))
    assert not painted.kept(NOTHING, Click(7, 7), Click(7, 7, positive=False)).any()


def test_a_part_that_was_given_up_and_painted_again_stays() -> None:
    painted = Painted().edit(NOTHING, box(5, 5, 12, 12)).edit(NOTHING, box(5, 5, 12, 12), prompts=1)
    assert np.array_equal(painted.kept(NOTHING, Click(7, 7, positive=False)), box(5, 5, 12, 12))


def test_a_click_on_the_lower_right_border_is_on_the_last_pixel() -> None:
    painted = Painted().edit(NOTHING, box(60, 44, 64, 48))
    assert not painted.kept(NOTHING, Click(64.0, 48.0, positive=False)).any()


# ---- with the network that ships


@pytest.fixture(scope="module")
def network() -> Predictor:
    return load("memory-v1", device="cpu")


@pytest.fixture
def real(place: Workplace, network: Predictor) -> Workplace:
    """The workplace, with the network that ships in it."""
    place.bench.load = lambda _name: network
    return place


def paint(place: Workplace, annotation_id: int, mask: Mask) -> None:
    """A manual edit on top of what is there."""
    digest = place.bench.storage.put(to_png(mask))
    with unit_of_work(place.bench.sessions) as session:
        annotation = session.get_one(Annotation, annotation_id)
        step = annotation.step + 1
        made = {"user_id": place.user_id, "prompts": (), "edit": "paint", "mask_digest": digest}
        session.add(Interaction(annotation_id=annotation_id, n=step, parent=annotation.step, **made))
        annotation.step = step


def click(place: Workplace, annotation_id: int, prompt: Prompt) -> Mask:
    """What the network, with all that is kept, makes of one more prompt."""
    step = place.interaction(annotation_id)
    with unit_of_work(place.bench.sessions) as session:
        session.get_one(Interaction, step).prompts = (prompt,)
    predict_interaction(place.bench, step)
    prediction = place.predictions(annotation_id)[-1]
    return from_png(place.bench.storage.get(prediction.mask_digest))


def test_strokes_by_hand_stay_through_predictions_of_the_network_until_a_click_contradicts(
    real: Workplace,
) -> None:
    annotation = real.annotation()
    first = click(real, annotation, Click(32.0, 24.0))
    corner = box(1, 1, 7, 7)
    assert not (first & corner).any(), "the disc of the image does not reach into the corner"
    paint(real, annotation, first | corner)
    second = click(real, annotation, Click(36.0, 20.0))
    assert (second & corner).sum() == corner.sum()
    third = click(real, annotation, Click(60.0, 44.0, positive=False))
    assert (third & corner).sum() == corner.sum()
    last = click(real, annotation, Click(3.0, 3.0, positive=False))
    assert not (last & corner).any()
    assert last[24, 32]


def test_a_network_goes_on_from_what_was_drawn_by_hand(real: Workplace, network: Predictor) -> None:
    """The state of a mask drawn by hand says what the mask says, and the next prediction begins from it."""
    image = network.encode_image(np.random.default_rng(3).random(SHAPE).astype(np.float32))
    drawn = box(10, 10, 40, 38)
    state = network.drawn(image, drawn, prompts=2)
    assert state.prompts == 2
    context = network.encode_context([])
    prompts = [Click(12.0, 12.0), Click(38.0, 36.0), Click(25.0, 24.0)]
    result = network.predict(image, prompts, context=context, previous=state)
    without = network.predict(image, prompts, context=context)
    assert dice(result.mask, drawn) > dice(without.mask, drawn)
    with pytest.raises(ValueError, match="but the image is"):
        network.drawn(image, drawn[:-1], prompts=0)


def dice(one: Mask, other: Mask) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())
