"""ScribblePrompt-UNet: the reference's channels and logits, and the official file's parameters."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.checkpoints import load_published
from models.scribbleprompt import BOX, NEGATIVE, POSITIVE, ScribblePromptUNet, encode_channels

GOLDEN = Path(__file__).parent / "golden"
VECTORS = {
    name: torch.from_numpy(array)
    for name, array in np.load(GOLDEN / "scribbleprompt_unet_nf8_res128.npz").items()
}
CLICKS = {"points": VECTORS["point_coords_xy"], "labels": VECTORS["point_labels"]}
BOXES = {"boxes": VECTORS["box_xyxy"]}
SCRIBBLES = {"scribbles": VECTORS["scribbles"]}
PROMPTS: dict[str, dict[str, Tensor]] = {
    "none": {},
    "clicks": CLICKS,
    "box": BOXES,
    "scribbles": SCRIBBLES,
    "all": CLICKS | BOXES | SCRIBBLES | {"previous": VECTORS["mask_input"]},
}
BLANK = torch.zeros(1, 1, 32, 48)


@pytest.mark.parametrize("case", PROMPTS)
def test_the_channels_are_those_of_the_reference(case: str) -> None:
    channels = encode_channels(VECTORS["image"], **PROMPTS[case])
    torch.testing.assert_close(channels, VECTORS[f"{case}.channels"], atol=0, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("case", PROMPTS)
def test_the_logits_are_those_of_the_reference(case: str) -> None:
    path = GOLDEN / "scribbleprompt_unet_nf8_res128.pt"
    network = load_published("ScribblePrompt-UNet", ScribblePromptUNet, path)
    logits = network(encode_channels(VECTORS["image"], **PROMPTS[case]))
    torch.testing.assert_close(logits, VECTORS[f"{case}.logits"], atol=1e-4, rtol=0)


def test_the_parameters_are_those_of_the_official_file() -> None:
    shapes = json.loads((GOLDEN / "official_checkpoint_shapes.json").read_text())
    with torch.device("meta"):
        ours = ScribblePromptUNet().state_dict()
    official = shapes["scribbleprompt_unet_v1_nf192"]
    assert {name: list(tensor.shape) for name, tensor in ours.items()} == official


def test_coordinates_are_truncated_and_a_click_is_one_pixel() -> None:
    points = torch.tensor([[[47.9, 0.0], [3.99, 31.5]]])
    channels = encode_channels(BLANK, points=points, labels=torch.tensor([[1, 0]]))
    assert channels[0, POSITIVE].nonzero().tolist() == [[0, 47]]
    assert channels[0, NEGATIVE].nonzero().tolist() == [[31, 3]]


def test_boxes_are_painted_half_open_wherever_their_corners_are() -> None:
    channels = encode_channels(BLANK, boxes=torch.tensor([[[9, 20, 4, 10], [40, 30, 99, 99]]]))
    painted = torch.zeros(32, 48)
    painted[10:20, 4:9] = 1
    painted[30:, 40:] = 1
    assert torch.equal(channels[0, BOX], painted)


def test_a_click_on_faint_ink_counts_fully_and_no_more() -> None:
    ink = torch.full((1, 2, 32, 48), 0.25)
    channels = encode_channels(
        BLANK, scribbles=ink, points=torch.tensor([[[5, 6], [5, 6]]]), labels=torch.tensor([[1, 1]])
    )
    assert channels[0, POSITIVE, 6, 5] == 1
    assert channels[0, POSITIVE].sum() == 1 + 0.25 * (32 * 48 - 1)
    assert channels[0, NEGATIVE].unique().tolist() == [0.25]


def test_each_image_of_a_batch_has_its_own_prompts() -> None:
    channels = encode_channels(
        BLANK.repeat(2, 1, 1, 1),
        boxes=torch.tensor([[[0, 0, 4, 4]], [[8, 8, 9, 9]]]),
        points=torch.tensor([[[1, 2]], [[3, 4]]]),
        labels=torch.tensor([[1], [0]]),
    )
    assert channels[:, BOX].sum(dim=(1, 2)).tolist() == [16, 1]
    assert channels[:, POSITIVE].nonzero().tolist() == [[0, 2, 1]]
    assert channels[:, NEGATIVE].nonzero().tolist() == [[1, 4, 3]]


@pytest.mark.parametrize("point", [(-1, 0), (48, 0), (0, 32)])
def test_a_point_outside_the_image_is_refused(point: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside the image of 48 x 32"):
        encode_channels(BLANK, points=torch.tensor([[point]]), labels=torch.tensor([[1]]))
