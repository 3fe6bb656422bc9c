"""Segmentation without weights, on images whose answer is plain, and through the annotation protocol."""

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data import Task
from models.evaluate import Protocol, annotate
from models.peers import GrabCut, MaskCopy, Peer, RandomWalker
from models.prompts import Box, Click, Prompt, Scribble

KINDS: tuple[type[Peer], ...] = (RandomWalker, GrabCut, MaskCopy)
INSIDE, STROKE, AROUND = Click(90.5, 60.5), Scribble(((70, 60), (110, 60))), Box(38, 28, 142, 92)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def peer(request: pytest.FixtureRequest) -> Peer:
    return made(request.param)


def made(kind: type[Peer]) -> Peer:
    if kind is GrabCut:
        pytest.importorskip("cv2")
    return kind()


def scene(noise: int = 6) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright ellipse on a dark ground, 120 x 180, and its mask."""
    y, x = np.mgrid[:120, :180]
    truth = ((x - 90) / 50) ** 2 + ((y - 60) / 30) ** 2 < 1
    grain = np.random.default_rng(0).integers(0, noise, truth.shape)
    return (np.where(truth, 180, 60) + grain).astype(np.uint8), truth


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def after(peer: Peer, image: NDArray[np.uint8], *prompts: Prompt) -> NDArray[np.bool_]:
    return peer.predict(peer.encode_image(image), prompts, context=peer.encode_context([])).mask


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        (RandomWalker, INSIDE),
        (RandomWalker, STROKE),
        (RandomWalker, AROUND),
        (GrabCut, STROKE),
        (GrabCut, AROUND),
    ],
)
def test_one_prompt_finds_a_plain_object(kind: type[Peer], prompt: Prompt) -> None:
    image, truth = scene()
    assert overlap(after(made(kind), image, prompt), truth) > 0.95


def test_ink_holds_whatever_the_image_says(peer: Peer) -> None:
    image = np.random.default_rng(1).integers(0, 255, (128, 128)).astype(np.uint8)
    clicks = [Click(30.5, 40.5), Click(80.5, 40.5, False), Click(90.5, 100.5), Click(20.5, 110.5, False)]
    mask = after(peer, image, *clicks)
    assert [bool(mask[int(c.y), int(c.x)]) for c in clicks] == [True, False, True, False]


def test_a_newer_prompt_wins_over_an_older_one(peer: Peer) -> None:
    image, _ = scene()
    assert not after(peer, image, INSIDE, Click(90.5, 60.5, False))[60, 90]


@pytest.mark.parametrize("prompts", [[], [Click(3.5, 3.5, False)]], ids=["nothing", "off the object"])
def test_what_names_no_object_gives_an_empty_mask(peer: Peer, prompts: list[Prompt]) -> None:
    assert not after(peer, scene()[0], *prompts).any()


def test_the_same_prompts_give_the_same_mask(peer: Peer) -> None:
    image, _ = scene(noise=150)
    assert np.array_equal(after(peer, image, INSIDE), after(peer, image, INSIDE))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 300), (300, 5), (64, 64)])
@pytest.mark.parametrize("prompts", ["click", "box", "stroke around"])
def test_odd_images_without_contrast_get_a_mask(peer: Peer, shape: tuple[int, int], prompts: str) -> None:
    h, w = shape
    around = Scribble(((0, 0), (w, 0), (w, h), (0, h), (0, 0)))
    given: dict[str, Prompt] = {
        "click": Click(w / 2, h / 2),
        "box": Box(0, 0, w, h),
        "stroke around": around,
    }
    encoded = peer.encode_image(np.zeros(shape, dtype=np.uint8))
    result = peer.predict(encoded, [given[prompts]], context=peer.encode_context([]))
    assert result.mask.shape == shape and result.mask.any()
    assert 0 <= result.probability.min() <= result.probability.max() <= 1
    assert 0 <= result.uncertainty <= 1


def lending() -> tuple[MaskCopy, NDArray[np.uint8], NDArray[np.bool_]]:
    image, truth = scene()
    return MaskCopy(), image, truth


def test_the_most_similar_image_lends_its_mask() -> None:
    copy, image, truth = lending()
    context = copy.encode_context([(255 - image, ~truth), (image, truth), (image.T, truth.T)])
    result = copy.predict(copy.encode_image(image), [], context=context)
    assert len(context) == 3
    assert overlap(result.mask, truth) > 0.98


def test_clicks_add_and_remove_discs_of_a_copied_mask() -> None:
    copy, image, truth = lending()
    context = copy.encode_context([(image, truth)])
    encoded = copy.encode_image(image)
    before = copy.predict(encoded, [], context=context).mask
    mask = copy.predict(encoded, [Click(15.5, 15.5), Click(90.5, 60.5, False)], context=context).mask
    added, removed = mask & ~before, before & ~mask
    # The longer side is 180 pixels: a disc of 8 in 128 is one of about 11 in 180.
    for disc, (row, column) in ((added, (15, 15)), (removed, (60, 90))):
        assert disc[row, column]
        assert np.sqrt(disc.sum() / np.pi) == pytest.approx(8 * 180 / 128, rel=0.1)


def test_a_box_clears_what_is_outside_and_fills_what_has_nothing() -> None:
    copy, image, truth = lending()
    encoded = copy.encode_image(image)
    context = copy.encode_context([(image, truth)])
    half = copy.predict(encoded, [Box(0, 0, 90, 120)], context=context).mask
    assert half[60, 60] and not half[60, 110] and not half[5, 5]
    filled = after(copy, image, Box(20, 20, 40, 50))
    assert filled[35, 30] and not filled[35, 60]


def test_a_mask_of_another_size_than_its_image_is_refused(peer: Peer) -> None:
    image, truth = scene()
    with pytest.raises(ValueError, match="the mask is"):
        peer.encode_context([(image, truth.T)])


def test_peers_annotate_a_task_as_the_network_does(peer: Peer) -> None:
    image, truth = scene()
    images = np.stack([np.roll(image, shift, 1) for shift in (0, 4, 9)]).astype(np.float32) / 255
    masks = np.stack([np.roll(truth, shift, 1) for shift in (0, 4, 9)])
    task, protocol = Task("a/b", images, masks), Protocol(budget=4, commit="truth")
    rows = list(annotate(peer, task, protocol, seed=0))
    assert [row.context_size for row in rows] == [0, 1, 2]
    if isinstance(peer, MaskCopy):
        assert all(row.first_dice > 0.7 for row in rows[1:])
    else:
        assert all(row.first_dice == 0 and row.reached for row in rows)


def test_grabcut_without_opencv_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match="pip install opencv-python-headless"):
        GrabCut()
