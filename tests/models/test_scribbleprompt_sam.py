"""ScribblePrompt-SAM: official names in SamModel, what is done around it, the reference's logits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.scribbleprompt_sam import (
    PLACES,
    PLACES_AGAIN,
    ScribblePromptSam,
    load_scribbleprompt_sam,
    renamed_key,
    vision_sizes,
)

GOLDEN = Path(__file__).parent / "golden"
# 15 MB, and so not in the repository.
LARGE = Path(__file__).parents[3] / "shared/golden"
SHAPES = json.loads((GOLDEN / "scribbleprompt_sam_shapes.json").read_text())["scribbleprompt_sam_tiny"]
SIDE = 128
POINTS, LABELS = torch.tensor([[[10, 20], [100, 64]]]), torch.tensor([[1, 0]])


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Random weights of a tiny image encoder and SAM's own decoder, under the official names."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def network(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> ScribblePromptSam:
    pytest.importorskip("transformers", reason="the extra accrue[sam] is not installed")
    path = tmp_path_factory.mktemp("sam") / "w.pt"
    torch.save(weights, path)
    return load_scribbleprompt_sam(path)


@pytest.fixture(scope="module")
def embedding(network: ScribblePromptSam) -> Tensor:
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return network.embed(image)


# ---- names and sizes


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
        ("image_encoder.blocks.11.norm2.bias", "vision_encoder.layers.11.layer_norm2.bias"),
        ("image_encoder.neck.3.weight", "vision_encoder.neck.layer_norm2.weight"),
        ("prompt_encoder.point_embeddings.3.weight", "prompt_encoder.point_embed.3.weight"),
        ("prompt_encoder.mask_downscaling.6.bias", "prompt_encoder.mask_embed.conv3.bias"),
        (
            "mask_decoder.transformer.layers.1.norm4.bias",
            "mask_decoder.transformer.layers.1.layer_norm4.bias",
        ),
        ("mask_decoder.output_upscaling.3.bias", "mask_decoder.upscale_conv2.bias"),
        (
            "mask_decoder.output_hypernetworks_mlps.3.layers.1.bias",
            "mask_decoder.output_hypernetworks_mlps.3.layers.0.bias",
        ),
        (
            "mask_decoder.iou_prediction_head.layers.2.weight",
            "mask_decoder.iou_prediction_head.proj_out.weight",
        ),
    ],
)
def test_an_official_name_has_its_place_in_sam_model(official: str, ours: str) -> None:
    assert renamed_key(official) == ours


def test_no_two_official_names_end_in_the_same_place() -> None:
    assert len({renamed_key(name) for name in SHAPES}) == len(SHAPES)


def test_the_encoders_size_is_read_off_its_weights(weights: dict[str, Tensor]) -> None:
    assert vision_sizes(weights) == {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_dim": 128,
        "patch_size": 16,
        "image_size": 1024,
        "window_size": 14,
        "global_attn_indexes": [1],
    }


def test_every_official_weight_arrives_and_nothing_else_is_there(
    network: ScribblePromptSam, weights: dict[str, Tensor]
) -> None:
    arrived = network.sam.state_dict()
    assert set(arrived) == {renamed_key(name) for name in weights} | {PLACES_AGAIN}
    for name, tensor in weights.items():
        assert torch.equal(arrived[renamed_key(name)], tensor), name
    assert torch.equal(arrived[PLACES_AGAIN], arrived[PLACES])


# ---- refusals


def test_without_transformers_the_sentence_says_what_to_install(
    weights: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"needs transformers: pip install 'accrue\[sam\]'"):
        load_scribbleprompt_sam(tmp_path / "w.pt")


def test_a_file_that_is_not_sams_is_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights of MultiverSeg; give those of ScribblePrompt-SAM"):
        load_scribbleprompt_sam(GOLDEN / "multiverseg_nf8_res128.pt")
    some = {name: tensor for name, tensor in weights.items() if "pos_embed" not in name}
    torch.save(some, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"image encoder of SAM: 'pos_embed' is missing"):
        load_scribbleprompt_sam(tmp_path / "w.pt")


def test_missing_decoder_weights_are_named(weights: dict[str, Tensor], tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra accrue[sam] is not installed")
    some = {name: tensor for name, tensor in weights.items() if "iou_token" not in name}
    torch.save(some, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"fit SamModel: mask_decoder\.iou_token\.weight is missing$"):
        load_scribbleprompt_sam(tmp_path / "w.pt")


# ---- masks


@torch.inference_mode()
def test_a_scribble_is_one_point_per_drawn_pixel(network: ScribblePromptSam, embedding: Tensor) -> None:
    scribbles = torch.zeros(1, 2, SIDE, SIDE)
    scribbles[0, 0, 20, 10] = scribbles[0, 1, 64, 100] = 1
    drawn = network(embedding, SIDE, scribbles=scribbles)
    assert drawn.shape == (1, 1, 256, 256)
    pointed = network(embedding, SIDE, points=POINTS, labels=LABELS)
    torch.testing.assert_close(drawn, pointed, atol=1e-5, rtol=0)
    half = network(embedding, SIDE, points=POINTS[:, 1:], labels=LABELS[:, 1:], scribbles=scribbles[:, :1])
    torch.testing.assert_close(half, pointed, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_every_kind_of_prompt_changes_the_answer(network: ScribblePromptSam, embedding: Tensor) -> None:
    scribbles = torch.zeros(1, 2, SIDE, SIDE)
    bare = network(embedding, SIDE, scribbles=scribbles)
    scribbles[0, 0, 40:44, 30:90] = 1
    for prompts in (
        {"points": POINTS, "labels": LABELS},
        {"boxes": torch.tensor([[[20, 30, 90, 80]]])},
        {"scribbles": scribbles},
        {"previous": bare},
    ):
        assert (network(embedding, SIDE, **prompts) - bare).abs().max() > 1e-3, prompts.keys()


@torch.inference_mode()
def test_of_several_masks_the_one_with_the_best_predicted_overlap_counts(
    network: ScribblePromptSam, embedding: Tensor
) -> None:
    told = network.sam(
        image_embeddings=embedding, input_points=POINTS[:, None] * 8.0, input_labels=LABELS[:, None]
    )
    assert told.pred_masks.shape[2] == 3
    best = told.pred_masks[0, 0, told.iou_scores[0, 0].argmax()]
    logits = network(embedding, SIDE, points=POINTS, labels=LABELS)
    torch.testing.assert_close(logits[0, 0], best, atol=1e-5, rtol=0)


# ---- the reference


def prompts_of(vectors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    clicks = {"points": vectors["point_coords_xy"], "labels": vectors["point_labels"]}
    box, scribbles = {"boxes": vectors["box_xyxy"]}, {"scribbles": vectors["scribbles"]}
    everything = clicks | box | scribbles | {"previous": vectors["mask_input_256"]}
    return {"clicks": clicks, "box": box, "scribbles": scribbles, "all": everything}


@torch.inference_mode()
@pytest.mark.skipif(not LARGE.is_dir(), reason=f"the golden vectors of SAM (15 MB) are not in {LARGE}")
def test_the_logits_are_those_of_the_reference() -> None:
    pytest.importorskip("transformers", reason="the extra accrue[sam] is not installed")
    network = load_scribbleprompt_sam(LARGE / "scribbleprompt_sam_tiny_fp16.pt")
    archive = np.load(LARGE / "scribbleprompt_sam_tiny.npz")
    vectors = {name: torch.from_numpy(array) for name, array in archive.items()}
    ours, theirs = network.embed(vectors["image"]), vectors["image_embedding"]
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)
    for case, prompts in prompts_of(vectors).items():
        for embedding, tolerance in ((ours, 1e-3), (theirs, 1e-5)):
            logits = network(embedding, SIDE, **prompts)
            torch.testing.assert_close(
                logits, vectors[f"{case}.low_res_logits"], atol=tolerance, rtol=0, msg=case
            )
            shown = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)
            torch.testing.assert_close(shown, vectors[f"{case}.logits"], atol=tolerance, rtol=0, msg=case)
