"""Episodes as they are drawn from packs, synthetic tasks and superpixels."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models import data
from models.data import EpisodeSampler, Pack
from tests.models.packs import pack_of, squares

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def unaugmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes as drawn, so that their images can be told."""
    for name in ("augment_task", "augment_images"):
        monkeypatch.setattr(data, name, lambda _, images, masks: (images, masks))


def sampler(packs: Sequence[Pack], synthetic: float = 0, superpixel: float = 0) -> EpisodeSampler:
    return EpisodeSampler(packs, synthetic_share=synthetic, superpixel_share=superpixel, side=16)


def drawn_images(source: EpisodeSampler, seed: int, context_size: int) -> list[int]:
    """Which images of a pack_of() an unaugmented episode consists of, the query first."""
    images, _ = source.draw(rng(seed), context_size)
    return [round(float(image[-1, -1]) * 25.5) for image in images]


@pytest.mark.usefixtures("unaugmented")
def test_the_query_is_not_in_its_own_context_and_no_image_comes_twice() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6))])
    episodes = [drawn_images(source, seed, 4) for seed in range(60)]
    assert all(len(set(episode)) == 5 for episode in episodes)
    assert {episode[0] for episode in episodes} == set(range(6))


@pytest.mark.usefixtures("unaugmented")
def test_a_context_larger_than_the_pack_repeats_images_but_never_the_query() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 3))])
    for seed in range(20):
        query, *context = drawn_images(source, seed, 9)
        assert len(context) == 9 and query not in context


@pytest.mark.usefixtures("unaugmented")
def test_the_context_mostly_avoids_the_subject_of_the_query() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 8), ["a"] * 4 + ["b"] * 4)])
    episodes = [drawn_images(source, seed, 3) for seed in range(300)]
    strangers = [all((i < 4) != (query < 4) for i in context) for query, *context in episodes]
    # 70 % avoid it, and so does every ninth of the rest by chance.
    assert 0.63 < np.mean(strangers) < 0.84


@pytest.mark.usefixtures("unaugmented")
def test_the_own_subject_fills_in_where_strangers_are_too_few() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6), ["a"] * 5 + ["b"])])
    assert all(len(set(drawn_images(source, seed, 5))) == 6 for seed in range(20))


@pytest.mark.usefixtures("unaugmented")
def test_unknown_subjects_are_not_taken_for_one_subject() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 8), [""] * 4 + ["b"] * 4)])
    episodes = [drawn_images(source, seed, 3) for seed in range(200)]
    unknown = [context for query, *context in episodes if query < 4]
    assert np.mean([all(i >= 4 for i in context) for context in unknown]) < 0.3


@pytest.mark.usefixtures("unaugmented")
def test_an_episode_asks_for_one_label_in_images_that_hold_it() -> None:
    labels = squares((4, 6), (4, 0), (0, 6), (4, 6), (3, 6))
    source = sampler([pack_of(labels, names=("x", "y"))])
    asked = set()
    for seed in range(40):
        _, masks = source.draw(rng(seed), 1)
        number = {(labels[i] == k).tobytes(): k for i in range(5) for k in (1, 2)}
        values = {number[mask.tobytes()] for mask in masks}
        assert len(values) == 1 and (masks.sum((1, 2)) >= 16).all()
        asked |= values
    assert asked == {1, 2}


@pytest.mark.usefixtures("unaugmented")
@pytest.mark.parametrize(("lacking", "expected"), [(2, False), (3, True)])
def test_some_episodes_hold_images_without_the_object_where_a_pack_has_enough(
    lacking: int, expected: bool
) -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6, *[(0,)] * lacking))])
    episodes = [~source.draw(rng(seed), 4)[1].any((1, 2)) for seed in range(200)]
    query, first, others = (np.mean([e[place] for e in episodes]) for place in (0, 1, slice(2, None)))
    assert first == 0  # or nothing would say what is meant
    assert (0.03 < query < 0.2) == (0.02 < others < 0.15) == expected
    assert not any(source.draw(rng(seed), 0)[1].sum() == 0 for seed in range(50))


@pytest.mark.usefixtures("unaugmented")
def test_a_query_without_the_object_is_not_in_its_own_context_either() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6, *[(0,)] * 3))])
    episodes = [drawn_images(source, seed, 8) for seed in range(400)]
    lacking = [episode for episode in episodes if episode[0] >= 6]
    assert len(lacking) > 20 and any(set(context) & {6, 7, 8} for _, *context in lacking)
    assert all(query not in context for query, *context in lacking)


@pytest.mark.usefixtures("unaugmented")
@pytest.mark.parametrize(("synthetic", "superpixel"), [(0.5, 0.2), (0.0, 0.6), (1.0, 0.0), (0.0, 0.0)])
def test_the_shares_are_kept(monkeypatch: pytest.MonkeyPatch, synthetic: float, superpixel: float) -> None:
    def made_up(_: np.random.Generator, count: int, side: int, *_absent: Masks) -> tuple[Images, Masks]:
        return np.full((count, side, side), 0.999, np.float32), np.ones((count, side, side), np.bool_)

    monkeypatch.setattr(data, "sample_task", made_up)
    source, generator = sampler([pack_of(squares(*[(4,)] * 6))], synthetic, superpixel), rng(1)
    seen = {"synthetic": 0, "superpixel": 0, "real": 0}
    for _ in range(400):
        images, _masks = source.draw(generator, 1)
        same = (images[0] == images[1]).all()
        seen["synthetic" if images[0, 0, 0] > 0.99 else "superpixel" if same else "real"] += 1
    expected = np.array([synthetic, superpixel, 1 - synthetic - superpixel])
    assert np.abs(np.array(list(seen.values())) / 400 - expected).max() < 0.08
    assert all((seen[kind] == 0) == (share == 0) for kind, share in zip(seen, expected, strict=True))


@pytest.mark.usefixtures("unaugmented")
def test_a_superpixel_is_a_piece_of_its_image() -> None:
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[:, 16:48, 10:40] = 1
    pack = Pack("p", labels * 200 + 20, labels, ("x",), ("", ""))
    source = EpisodeSampler([pack], synthetic_share=0, superpixel_share=1, side=64)
    for seed in range(10):
        images, masks = source.draw(rng(seed), 3)
        assert (images == images[0]).all() and (masks == masks[0]).all()
        assert ndimage.label(masks[0], np.ones((3, 3)))[1] == 1
        assert 0.004 < masks[0].mean() < 1
        # What is seen here is one square; a piece ends where the square does.
        inside, outside = labels[0] == 1, labels[0] == 0
        deep = ndimage.binary_erosion(inside, iterations=4), ndimage.binary_erosion(outside, iterations=4)
        assert all(np.unique(masks[0][region]).size == 1 for region in deep)


@pytest.mark.usefixtures("unaugmented")
def test_an_image_of_another_size_is_brought_to_the_side_with_its_mask() -> None:
    labels = np.zeros((3, 50, 70), np.uint8)
    labels[:, 10:30, 20:60] = 1
    pack = Pack("p", labels * 255, labels, ("x",), ("",) * 3)
    source = EpisodeSampler([pack], synthetic_share=0, superpixel_share=0, side=32)
    images, masks = source.draw(rng(0), 2)
    assert images.shape == masks.shape == (3, 32, 32)
    assert images.dtype == np.float32 and masks.dtype == np.bool_
    assert ((images > 0.5) == masks).mean() > 0.99 and 0.2 < masks.mean() < 0.26


@pytest.mark.parametrize("context_size", [0, 1, 5])
@pytest.mark.parametrize(("synthetic", "superpixel"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_episodes_have_the_right_shape_and_range(
    context_size: int, synthetic: float, superpixel: float
) -> None:
    packs = [pack_of(squares(*[(9, 9)] * 4, side=48), names=("x", "y"))]
    source = EpisodeSampler(packs, synthetic_share=synthetic, superpixel_share=superpixel, side=48)
    for seed in range(3):
        images, masks = source.draw(rng(seed), context_size)
        assert images.shape == masks.shape == (1 + context_size, 48, 48)
        assert images.dtype == np.float32 and masks.dtype == np.bool_
        assert images.min() >= 0 and images.max() <= 1 and masks[0].any()


def test_without_packs_there_are_synthetic_episodes() -> None:
    images, masks = EpisodeSampler([], synthetic_share=1, superpixel_share=0).draw(rng(0), 2)
    assert images.shape == masks.shape == (3, 128, 128) and masks.any()


def test_a_seed_repeats_an_episode() -> None:
    source = sampler([pack_of(squares(*[(4,)] * 6))], 0.3, 0.3)
    for seed in range(8):
        for one, other in zip(source.draw(rng(seed), 2), source.draw(rng(seed), 2), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shares", [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.5), (1.1, 0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="synthetic_share and superpixel_share"):
        sampler([pack_of(squares((4,), (4,)))], *shares)


@pytest.mark.parametrize(
    "packs",
    [[], [pack_of(squares((4,), (0,), (0,)))], [pack_of(squares((3,), (3,)))]],
    ids=["none", "a label on one image", "too few pixels"],
)
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.9, 0.1)])
def test_packs_without_a_usable_label_are_refused(packs: list[Pack], shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no pack holds a usable label"):
        sampler(packs, *shares)


@pytest.mark.usefixtures("unaugmented")
def test_a_pack_without_a_usable_label_is_passed_over() -> None:
    bare, usable = pack_of(squares((4,), (0,))), pack_of(squares(*[(4,)] * 3))
    usable.images[:] += 100
    source = sampler([bare, usable])
    assert all(min(drawn_images(source, seed, 1)) >= 10 for seed in range(20))
