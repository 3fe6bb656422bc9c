"""The published networks behind the Predictor: which of them answers, and what they are told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.encoding import Frame
from models.multiverseg import MultiverSegNet
from models.predictor import Predictor
from models.prompts import Box, Click, Prompt, Scribble
from models.published import MultiverSegSegmenter, multiverseg, scribbleprompt_sam, scribbleprompt_unet
from models.scribbleprompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, encode_channels
from models.scribbleprompt_sam import ScribblePromptSam
from models.segmenter import Segmenter

GOLDEN = Path(__file__).parent / "golden"
MULTIVERSEG = GOLDEN / "multiverseg_nf8_res128.pt"
SCRIBBLEPROMPT = GOLDEN / "scribbleprompt_unet_nf8_res128.pt"
SAM_SHAPES = json.loads((GOLDEN / "scribbleprompt_sam_shapes.json").read_text())["scribbleprompt_sam_tiny"]
WIDE, TALL = (
    Frame(64, 256, stretch=True),
    Frame(256, 64, stretch=True),
)  # twice and half as large in the square
rng = np.random.default_rng(0)
SQUARES = torch.from_numpy(rng.random((6, 1, 128, 128), dtype=np.float32))
MASKS = (SQUARES > 0.5).float()
CLICKS = [Click(40.5, 20.5), Click(80.2, 33.9, positive=False)]


@pytest.fixture(scope="module")
def segmenter() -> MultiverSegSegmenter:
    return multiverseg(MULTIVERSEG, SCRIBBLEPROMPT)


@pytest.fixture(scope="module")
def sam_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a tiny ScribblePrompt-SAM."""
    pytest.importorskip("transformers", reason="the extra accrue[sam] is not installed")
    generator = torch.Generator().manual_seed(0)
    path = tmp_path_factory.mktemp("sam") / "w.pt"
    torch.save({n: torch.randn(shape, generator=generator) * 0.1 for n, shape in SAM_SHAPES.items()}, path)
    return path


def channels_told(prompts: list[Prompt], frame: Frame, previous: torch.Tensor | None = None) -> torch.Tensor:
    """The channels (5, 128, 128) that a network is given, seen through one that returns them."""
    told: list[torch.Tensor] = []
    told_to = scribbleprompt_unet(SCRIBBLEPROMPT)
    told_to.network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[0]))
    told_to.decode(told_to.open(told_to.encode(SQUARES[:1]), None), prompts, [(0, frame)], previous)
    return told[0][0]


# ---- which network answers


@torch.inference_mode()
def test_without_context_scribbleprompt_answers(segmenter: MultiverSegSegmenter) -> None:
    alone = scribbleprompt_unet(SCRIBBLEPROMPT)
    seen = segmenter.encode(SQUARES[:1])
    empty = segmenter.remember(segmenter.encode(SQUARES[:0]), MASKS[:0])
    expected = alone.decode(alone.open(seen, None), CLICKS, [(0, WIDE)], None)
    for memory in (None, empty):
        logits = segmenter.decode(segmenter.open(seen, memory), CLICKS, [(0, WIDE)], None)
        assert torch.equal(logits, expected)


@torch.inference_mode()
def test_with_context_multiverseg_answers(segmenter: MultiverSegSegmenter) -> None:
    seen, memory = segmenter.encode(SQUARES[:1]), segmenter.remember(segmenter.encode(SQUARES[1:]), MASKS[1:])
    logits = segmenter.decode(segmenter.open(seen, memory), CLICKS, [(0, WIDE)], None)
    target = encode_channels(
        SQUARES[:1], points=torch.tensor([[[20, 41], [40, 67]]]), labels=torch.tensor([[1, 0]])
    )
    expected = segmenter.network(target, (SQUARES[None, 1:], MASKS[None, 1:]))
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=0)


# ---- what a network is told


def test_clicks_become_the_pixels_they_lie_in_also_at_the_very_border() -> None:
    prompts: list[Prompt] = [Click(0, 0), Click(255.9, 63.9), Click(256, 64), Click(100, 10, positive=False)]
    channels = channels_told(prompts, WIDE)
    assert channels[POSITIVE].nonzero().tolist() == [[0, 0], [127, 127]]
    assert channels[NEGATIVE].nonzero().tolist() == [[20, 50]]


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        (Box(20, 10, 100, 30), (20, 60), (10, 50)),
        (Box(100, 30, 20, 10), (20, 60), (10, 50)),
        (Box(0, 0, 256, 64), (0, 128), (0, 128)),
        (Box(20, 10, 20.5, 10.2), (20, 21), (10, 11)),
        (Box(256, 64, 256, 64), (127, 128), (127, 128)),
    ],
    ids=["plain", "other corners", "everything", "less than a pixel", "the last corner"],
)
def test_boxes_cover_at_least_a_pixel(box: Box, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    expected = torch.zeros(128, 128)
    expected[slice(*rows), slice(*columns)] = 1
    assert torch.equal(channels_told([box], WIDE)[BOX], expected)


def test_scribbles_are_soft_ink_of_their_sign() -> None:
    strokes: list[Prompt] = [Scribble([(8, 31), (56, 31)], 4), Scribble([(8, 201), (56, 201)], 4, False)]
    channels = channels_told(strokes, TALL)
    for sign, row in ((POSITIVE, 15), (NEGATIVE, 100)):
        across = channels[sign, :, 60]
        assert across[row - 2 : row + 3].tolist() == [0, 0.5, 1, 0.5, 0]
        assert across.sum() == 2


def test_the_last_logits_come_back_as_they_were() -> None:
    previous = torch.linspace(-30, 30, 128 * 128).view(1, 1, 128, 128)
    assert torch.equal(channels_told([], WIDE, previous)[PREVIOUS], previous[0, 0])


# ---- the context


def test_entries_are_kept_in_order_and_can_be_chosen(segmenter: MultiverSegSegmenter) -> None:
    first, more = (
        segmenter.remember(segmenter.encode(SQUARES[at]), MASKS[at]) for at in (slice(2), slice(2, 6))
    )
    memory = first.extended(more)
    assert len(memory) == 6
    chosen = memory.select(torch.tensor([[1, 4]]))
    assert torch.equal(chosen.images, SQUARES[[1, 4]]) and torch.equal(chosen.masks, MASKS[[1, 4]])


def test_an_image_finds_the_entry_that_looks_like_it_most_relevant(segmenter: MultiverSegSegmenter) -> None:
    memory = segmenter.remember(segmenter.encode(SQUARES), MASKS)
    darker = segmenter.encode(SQUARES[3:4] * 0.5)
    relevance = segmenter.relevance(darker, memory)
    assert relevance.shape == (1, 6) and relevance.argmax() == 3
    torch.testing.assert_close(relevance.sum(), torch.tensor(1.0))
    likeness = memory.likeness()
    torch.testing.assert_close(likeness.diagonal(), torch.ones(6))
    assert torch.equal(likeness.argmax(dim=1), torch.arange(6)) and likeness.min() >= -1


def test_an_image_without_contrast_is_like_nothing_and_breaks_nothing(
    segmenter: MultiverSegSegmenter,
) -> None:
    memory = segmenter.remember(segmenter.encode(SQUARES * 0), MASKS)
    relevance = segmenter.relevance(segmenter.encode(SQUARES[:1] * 0), memory)
    torch.testing.assert_close(relevance, torch.full((1, 6), 1 / 6))


# ---- behind the Predictor


def scene(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    y, x = np.mgrid[:height, :width]
    truth = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5) < 0.25
    return (np.where(truth, 180, 60) + rng.integers(0, 9, truth.shape)).astype(np.uint8), truth


def used(segmenter: Segmenter) -> None:
    """Images of any shape get masks of their own; every prompt and the last state change the answer."""
    predictor = Predictor(segmenter, weights_sha256="random")
    context = predictor.encode_context([scene(90, 37), scene(200, 300)])
    image, _ = scene(61, 150)
    encoded = predictor.encode_image(image)
    prompts: list[Prompt] = [Click(75, 30)]
    last = predictor.predict(encoded, prompts, context=context)
    assert last.mask.shape == image.shape
    for prompt in (Box(40, 10, 110, 50), Scribble([(60, 20), (90, 40)]), Click(5, 5, positive=False)):
        prompts.append(prompt)
        result = predictor.predict(encoded, prompts, context=context, previous=last.state)
        assert np.isfinite(result.probability).all()
        assert not np.array_equal(result.state.logits, last.state.logits), prompt
        last = result


def test_multiverseg_is_used_like_any_network(segmenter: MultiverSegSegmenter) -> None:
    used(segmenter)


def test_scribbleprompt_unet_is_used_like_any_network() -> None:
    used(scribbleprompt_unet(SCRIBBLEPROMPT))


def test_scribbleprompt_sam_is_used_like_any_network(sam_file: Path) -> None:
    used(scribbleprompt_sam(sam_file))


def test_multiverseg_predicts_from_context_alone(segmenter: MultiverSegSegmenter) -> None:
    predictor = Predictor(segmenter, weights_sha256="random")
    image, _ = scene(61, 150)
    encoded = predictor.encode_image(image)
    context = predictor.encode_context([scene(90, 37)])
    result = predictor.predict(encoded, [], context=context)
    more = predictor.predict(encoded, [], context=predictor.extend_context(context, *scene(50, 50)))
    assert np.abs(result.probability - more.probability).max() > 1e-4


# ---- SAM


@torch.inference_mode()
def test_sam_embeds_an_image_once_and_only_when_it_is_opened(sam_file: Path) -> None:
    segmenter = scribbleprompt_sam(sam_file)
    seen = segmenter.encode(SQUARES[:1])
    memory = segmenter.remember(seen, MASKS[:1])
    assert seen.embedding is None
    embedding = segmenter.open(seen, None).seen.embedding
    assert embedding is not None and segmenter.open(seen, memory).seen.embedding is embedding


@torch.inference_mode()
def test_sam_is_told_the_newest_box_and_the_drawn_pixels(sam_file: Path) -> None:
    segmenter = scribbleprompt_sam(sam_file)
    assert isinstance(segmenter.network, ScribblePromptSam)
    opened = segmenter.open(segmenter.encode(SQUARES[:1]), None)
    old, new, stroke = Box(0, 0, 30, 30), Box(20, 10, 100, 30), Scribble([(60, 20.5), (70, 20.5)], 1)
    told = segmenter.decode(opened, [old, stroke, new], [(0, WIDE)], None)
    ink = torch.zeros(1, 2, 128, 128)
    ink[0, 0, 40:42, 29:36] = 1
    expected = segmenter.network(
        opened.seen.embedding, 128, boxes=torch.tensor([[[10, 20, 50, 60]]]), scribbles=ink
    )
    torch.testing.assert_close(told, expected, atol=1e-5, rtol=0)


# ---- building


def test_each_weight_file_has_its_place() -> None:
    with pytest.raises(ValueError, match="the weights of ScribblePrompt-UNet; give those of MultiverSeg"):
        multiverseg(SCRIBBLEPROMPT, MULTIVERSEG)
    with pytest.raises(ValueError, match="the weights of MultiverSeg; give those of ScribblePrompt-UNet"):
        multiverseg(MULTIVERSEG, MULTIVERSEG)
    with pytest.raises(ValueError, match="the weights of MultiverSeg; give those of ScribblePrompt-UNet"):
        scribbleprompt_unet(MULTIVERSEG)
    assert isinstance(multiverseg(MULTIVERSEG, SCRIBBLEPROMPT).network, MultiverSegNet)
