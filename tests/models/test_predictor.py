"""The Predictor: any image in, a mask of its own size out."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.handles import State
from models.memory_segmenter import MemorySegmenter
from models.predictor import Looks, Predictor
from models.prompts import Box, Click, Scribble

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    "image",
    [
        rng.integers(0, 255, (200, 300, 3)).astype(np.uint8),
        rng.integers(0, 4000, (37, 81)).astype(np.uint16),
        rng.normal(size=(128, 128)).astype(np.float32),
        rng.integers(0, 255, (1, 50)).astype(np.uint8),
        np.full((40, 30), 9, np.uint8),
        np.full((40, 30), np.nan, np.float32),
        np.zeros((1, 1), np.uint8),
    ],
    ids=["colour", "16 bit", "float", "one row", "constant", "all NaN", "one pixel"],
)
def test_any_image_gets_a_finite_mask_of_its_own_size(predictor: Predictor, image: np.ndarray) -> None:
    encoded = predictor.encode_image(image)
    result = predictor.predict(encoded, [Click(0.5, 0.5)], context=predictor.encode_context([]))
    assert result.mask.shape == result.probability.shape == image.shape[:2]
    assert result.mask.dtype == np.bool_ and result.probability.dtype == np.float32
    assert np.isfinite(result.probability).all()
    assert 0 <= result.uncertainty <= 1


def test_every_kind_of_prompt_changes_the_answer(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    bare = predictor.predict(image, [], context=context)
    for prompt in (Click(20, 30), Scribble([(5, 5), (60, 50)], 3, False), Box(10, 10, 40, 40)):
        prompted = predictor.predict(image, [prompt], context=context)
        assert not np.allclose(bare.probability, prompted.probability), prompt


def test_the_previous_state_changes_the_answer(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    first = predictor.predict(image, [Click(20, 30)], context=context)
    again = predictor.predict(image, [Click(20, 30)], context=context, previous=first.state)
    assert not np.array_equal(first.probability, again.probability)


@pytest.mark.parametrize("shape", [(1, 128, 128), (5, 256, 256), (6, 128, 128)])
def test_the_state_of_a_network_that_looks_in_another_way_is_none(
    predictor: Predictor, shape: tuple[int, int, int]
) -> None:
    image, context = _scene(predictor)
    anew = predictor.predict(image, [Click(20, 30)], context=context)
    foreign = State(np.ones(shape, np.float16), 0)
    found = predictor.predict(image, [Click(20, 30)], context=context, previous=foreign)
    np.testing.assert_array_equal(found.probability, anew.probability)


def test_the_same_question_gets_the_same_answer(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    answers = [predictor.predict(image, [Click(20, 30)], context=context) for _ in range(2)]
    np.testing.assert_array_equal(answers[0].probability, answers[1].probability)


def test_a_context_extended_pair_by_pair_equals_one_encoded_at_once(predictor: Predictor) -> None:
    pairs = [(rng.random((60, 80)), rng.random((60, 80)) > 0.5) for _ in range(3)]
    grown = predictor.encode_context([])
    for pair in pairs:
        grown = predictor.extend_context(grown, *pair)
    at_once = predictor.encode_context(pairs)
    assert len(grown) == len(at_once) == 3
    image = predictor.encode_image(rng.random((60, 80)))
    a, b = (predictor.predict(image, [], context=c).probability for c in (grown, at_once))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_of_a_context_some_pairs_can_be_kept_and_others_added(predictor: Predictor) -> None:
    a, b, c, d, e = (
        (rng.random(size), rng.random(size) > 0.5)
        for size in ((60, 80), (30, 24), (60, 80), (60, 80), (40, 60))
    )
    kept = predictor.encode_context([a, b, c, d]).reading_first([0]).without([2]).keeping([1, 3])
    grown, anew = predictor.extend_context(kept, *e), predictor.encode_context([b, d, e])
    assert {scale: shelf.owners for scale, shelf in grown.shelves.items()} == {
        scale: shelf.owners for scale, shelf in anew.shelves.items()
    }
    image = predictor.encode_image(rng.random((60, 80)))
    found, wanted = (predictor.predict(image, [], context=each).probability for each in (grown, anew))
    np.testing.assert_array_equal(found, wanted)


def test_another_context_is_read_anew(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    first = predictor.predict(image, [], context=context)
    other = predictor.extend_context(context, rng.random((50, 70)), np.ones((50, 70), bool))
    second = predictor.predict(image, [], context=other)
    back = predictor.predict(image, [], context=context)
    assert not np.allclose(first.probability, second.probability)
    np.testing.assert_array_equal(first.probability, back.probability)


def test_with_nothing_to_go_on_the_mask_is_empty_and_wholly_uncertain(predictor: Predictor) -> None:
    image = predictor.encode_image(rng.random((50, 70)))
    result = predictor.predict(image, [], context=predictor.encode_context([]))
    assert not result.mask.any() and result.uncertainty == 1


@pytest.mark.parametrize("click", [Click(-1, 5), Click(71, 5), Click(5, 50.5), Click(float("nan"), 5)])
def test_a_prompt_outside_the_image_is_refused(predictor: Predictor, click: Click) -> None:
    image, context = _scene(predictor)
    with pytest.raises(ValueError, match="outside the image of 70 x 50"):
        predictor.predict(image, [click], context=context)


def test_a_context_mask_of_another_size_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="the mask is"):
        predictor.encode_context([(np.zeros((5, 6)), np.zeros((6, 5), bool))])


def _scene(predictor: Predictor):  # type: ignore[no-untyped-def]
    image = np.random.default_rng(1).random((50, 70))
    context = predictor.encode_context([(image, image > 0.5)])
    return predictor.encode_image(image[::-1].copy()), context


def test_what_is_near_is_read_before_what_is_pinned(predictor: Predictor) -> None:
    small = Predictor(predictor.segmenter, weights_sha256="random", cap=3)
    pairs = [(rng.random((60, 80)), rng.random((60, 80)) > 0.5) for _ in range(6)]
    context = small.encode_context(pairs)
    image = small.encode_image(rng.random((60, 80)))
    whole, *_ = small.open(image, context.reading_first([1, 4, 5], range(6)))
    alone, *_ = small.open(image, context.without([0, 2, 3]))
    pinned, *_ = small.open(image, context.reading_first(range(6)))
    torch.testing.assert_close(whole.entered, alone.entered)
    assert not all(map(torch.equal, whole.entered, pinned.entered))


def test_a_large_context_is_read_in_part_and_what_is_pinned_always(predictor: Predictor) -> None:
    small = Predictor(predictor.segmenter, weights_sha256="random", cap=3)
    pairs = [(rng.random((60, 80)), rng.random((60, 80)) > 0.5) for _ in range(6)]
    context = small.encode_context(pairs)
    image = small.encode_image(rng.random((60, 80)))
    chosen = small.predict(image, [], context=context).probability
    for pair in range(6):
        pinned = small.predict(image, [], context=context.reading_first([pair])).probability
        alone = small.predict(image, [], context=context.reading_first(set(range(6)) - {pair})).probability
        assert not np.array_equal(pinned, alone)
    assert not np.allclose(chosen, predictor.predict(image, [], context=context).probability)


@pytest.mark.parametrize("lanes", [2, 3, 8])
def test_lanes_share_the_views_and_find_the_same(predictor: Predictor, lanes: int) -> None:
    threads = set()

    class Watched(MemorySegmenter):
        def decode(self, *given: Any) -> Tensor:
            threads.add(threading.current_thread().name)
            return super().decode(*given)

    assert isinstance(predictor.segmenter, MemorySegmenter)
    shared = Predictor(Watched(predictor.segmenter.network), weights_sha256="random", lanes=lanes)
    pixels = rng.random((200, 160))
    image, context = predictor.encode_image(pixels), predictor.encode_context([(pixels, pixels > 0.5)])
    first = predictor.predict(image, [], context=context)
    for prompts in ([Click(80, 100)], [Click(80, 100), Click(5, 5, positive=False)]):
        alone, together = (
            one.predict(image, prompts, context=context, previous=first.state) for one in (predictor, shared)
        )
        np.testing.assert_allclose(together.probability, alone.probability, atol=1e-5)
        np.testing.assert_allclose(together.state.logits, alone.state.logits, atol=1e-2)
    assert all(name.startswith("lane") for name in threads)
    assert len(threads) > 1


@pytest.mark.parametrize(("looks", "views"), [("whole", 1), ("tiles", 5), ("closely", 5)])
def test_an_image_is_looked_at_as_closely_as_it_is_said(
    predictor: Predictor, looks: Looks, views: int
) -> None:
    looking = Predictor(predictor.segmenter, weights_sha256="random", looks=looks)
    image = looking.encode_image(rng.random((200, 160)))
    assert image.views == views
    assert (image.plane is not None) == (looks == "closely")


@pytest.mark.parametrize("cap", [16, 3], ids=["all are read", "some are chosen"])
def test_pairs_left_out_are_as_if_they_had_never_been(predictor: Predictor, cap: int) -> None:
    small = Predictor(predictor.segmenter, weights_sha256="random", cap=cap)
    pairs = [(rng.random((60, 80)), rng.random((60, 80)) > 0.5) for _ in range(5)]
    context = small.encode_context(pairs).reading_first([0, 4])
    image = rng.random((60, 80))
    for hidden in ({1}, {0, 3}, {0, 1, 2, 4}, set(range(5))):
        shown = [i for i in range(5) if i not in hidden]
        rest = small.encode_context([pairs[i] for i in shown])
        rest = rest.reading_first([n for n, i in enumerate(shown) if i in (0, 4)])
        without = context.without(hidden)
        assert len(without) == len(rest)
        found, wanted = (small.predict(small.encode_image(image), [], context=c) for c in (without, rest))
        np.testing.assert_allclose(found.probability, wanted.probability, atol=1e-5)
        assert found.uncertainty == pytest.approx(wanted.uncertainty, abs=1e-5)


def test_a_context_is_read_once_and_known_again_as_part_of_a_longer_one(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    opened = predictor.open(image, context)
    longer = predictor.extend_context(context, rng.random((60, 80)), rng.random((60, 80)) > 0.5)
    assert predictor.open(image, longer.without([len(context)])) is opened
    assert predictor.open(image, longer.reading_first([0]).without([len(context)])) is not opened
    assert predictor.open(image, longer) is not opened


def test_what_was_left_out_comes_in_with_the_next_pair(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    extended = predictor.extend_context(
        context.without([0]), rng.random((60, 80)), rng.random((60, 80)) > 0.5
    )
    assert (len(context.without([0])), len(extended)) == (len(context) - 1, len(context))
    whole = predictor.predict(image, [], context=context)
    blind = predictor.predict(image, [], context=context.without([0]))
    assert not np.allclose(whole.probability, blind.probability)


def test_tiles_far_from_the_newest_prompt_stay_as_they_were(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    first = predictor.predict(image, [Click(35, 25)], context=context)
    corner = [Click(35, 25), Click(69, 49)]
    second = predictor.predict(image, corner, context=context, previous=first.state)
    whole, *tiles = (~np.isclose(first.state.logits, second.state.logits)).any(axis=(1, 2))
    assert whole and tiles == [False, False, False, True]
    assert second.state.prompts == 2


def test_after_fewer_prompts_than_before_the_answer_starts_afresh(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    undone = predictor.predict(image, [Click(35, 25), Click(60, 40)], context=context)
    again = predictor.predict(image, [Click(35, 25)], context=context, previous=undone.state)
    straight = predictor.predict(image, [Click(35, 25)], context=context)
    np.testing.assert_array_equal(again.probability, straight.probability)


def test_the_order_of_the_context_does_not_matter(predictor: Predictor) -> None:
    pairs = [(rng.random((60, 80)), rng.random((60, 80)) > 0.5) for _ in range(4)]
    image = predictor.encode_image(rng.random((60, 80)))
    orders = (pairs, pairs[::-1], [*pairs, *pairs])
    found = [predictor.predict(image, [], context=predictor.encode_context(p)).probability for p in orders]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_after_an_interruption_at_any_pass_the_answer_is_the_same(predictor: Predictor) -> None:
    image, context = _scene(predictor)
    whole = predictor.predict(image, [], context=context)
    for passes in itertools.count():
        image.forget_context()
        try:
            answer = predictor.interruptible(_ends_after(passes)).predict(image, [], context=context)
        except InterruptedError:
            again = predictor.predict(image, [], context=context)
            np.testing.assert_array_equal(again.probability, whole.probability)
        else:
            break
    assert passes > 3, "it was asked more than now and then"
    np.testing.assert_array_equal(answer.probability, whole.probability)


def _ends_after(passes: int) -> Callable[[], None]:
    left = iter(range(passes))

    def before() -> None:
        if next(left, None) is None:
            raise InterruptedError

    return before
