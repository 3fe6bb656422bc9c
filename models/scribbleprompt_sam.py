"""ScribblePrompt-SAM: SAM fine-tuned on scribbles, clicks and boxes; an optional extra.

Wong et al., "ScribblePrompt" (ECCV 2024), on "Segment Anything" (Kirillov et al., ICCV 2023). The network
is transformers' SamModel; here are the official file's names for its parameters, and what ScribblePrompt
does around it: a scribble is one point per drawn pixel, several masks are predicted, the one with the
best predicted overlap counts, and its logits come back as the mask prompt of the next interaction.
"""

import importlib
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.checkpoints import Weights, fit, read_checkpoint, width_of

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of SAM's pixels in [0, 255]
STATE_SIDE = 256  # of the logits that are fed back
DECODER_EPS = 1e-5  # of SAM's mask decoder; transformers' own default is another

# From a name in the official file to that in SamModel, one rule after the other.
RENAMED = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"neck\.0\.", "neck.conv1."),
    (r"neck\.1\.", "neck.layer_norm1."),
    (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"point_embeddings\.", "point_embed."),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"norm_final_attn\.", "layer_norm_final_attn."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"(mlps\.\d|head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|head)\.layers\.2\.", r"\1.proj_out."),
)
# SamModel keeps the encoding of places twice.
PLACES = "prompt_encoder.shared_embedding.positional_embedding"
PLACES_AGAIN = "shared_image_embedding.positional_embedding"


class ScribblePromptSam(nn.Module):
    """One image at a time: its embedding once, then masks for prompts."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, sam: Any) -> None:
        super().__init__()
        self.sam = sam
        self.side = int(sam.config.vision_config.image_size)  # 1024: what every image is resized to
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)

    def embed(self, image: Tensor) -> Tensor:
        """image (1, 1, H, W) in [0, 1] -> (1, 256, 64, 64)."""
        square = F.interpolate(image, (self.side, self.side), mode="bilinear", align_corners=False)
        pixels = (square.expand(-1, 3, -1, -1) * 255 - self.mean) / self.deviation
        embedding: Tensor = self.sam.get_image_embeddings(pixels)
        return embedding

    def forward(
        self,
        embedding: Tensor,
        image_side: int,
        *,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        scribbles: Tensor | None = None,
        previous: Tensor | None = None,
    ) -> Tensor:
        """Prompts in pixels of a square image of ``image_side`` -> logits (1, 1, 256, 256) over it.

        boxes (1, 1, 4): x0, y0, x1, y1; points (1, N, 2): x, y, with labels (1, N): 1 on the object, 0
        off it; scribbles (1, 2, H, W): positive and negative ink; previous: the last logits.
        """
        scale = self.side / image_side
        points, labels = _with_ink(points, labels, scribbles)
        told = self.sam(
            image_embeddings=embedding,
            input_points=None if points is None else points[:, None] * scale,
            input_labels=None if labels is None else labels[:, None],
            input_boxes=None if boxes is None else boxes * scale,
            input_masks=previous,
            multimask_output=True,
        )
        best = told.iou_scores[0, 0].argmax()
        logits: Tensor = told.pred_masks[:, 0, best, None]
        return logits


def load_scribbleprompt_sam(path: Path) -> ScribblePromptSam:
    """The network of an official weight file, in evaluation mode; the encoder's size is the file's.

    Raises ValueError for a file that is not ScribblePrompt-SAM's, and without the extra.
    """
    weights = read_checkpoint(path)
    width_of("ScribblePrompt-SAM", weights, path)
    try:
        sizes = vision_sizes(weights)
    except (LookupError, ZeroDivisionError) as error:
        raise ValueError(f"{path} does not hold the image encoder of SAM: {error} is missing") from error
    return ScribblePromptSam(fit(new_sam(sizes), renamed(weights), path))


def new_sam(sizes: dict[str, Any]) -> Any:
    """transformers' SamModel without weights. Raises ValueError when transformers is not installed."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ValueError("ScribblePrompt-SAM needs transformers: pip install 'accrue[sam]'") from error
    decoder = {"layer_norm_eps": DECODER_EPS}
    config = transformers.SamConfig(vision_config=sizes, mask_decoder_config=decoder)
    with torch.device("meta"):
        return transformers.SamModel(config)


def vision_sizes(weights: Weights) -> dict[str, Any]:
    """What SamVisionConfig wants to know, read off the shapes in an official file.

    Relative positions tell a block's reach: 2 n - 1 of them for n x n patches, all or a window's.
    """
    encoder = {
        name.removeprefix("image_encoder."): tuple(tensor.shape)
        for name, tensor in weights.items()
        if name.startswith("image_encoder.")
    }
    _, grid, _, width = encoder["pos_embed"]
    depth = 1 + max(int(name.split(".")[1]) for name in encoder if name.startswith("blocks."))
    reach = [(encoder[f"blocks.{i}.attn.rel_pos_h"][0] + 1) // 2 for i in range(depth)]
    patch = encoder["patch_embed.proj.weight"][-1]
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": width // encoder["blocks.0.attn.rel_pos_h"][1],
        "mlp_dim": encoder["blocks.0.mlp.lin1.bias"][0],
        "patch_size": patch,
        "image_size": grid * patch,
        "window_size": min(reach),
        "global_attn_indexes": [i for i, cells in enumerate(reach) if cells == grid],
    }


def renamed(weights: Weights) -> Weights:
    """The official file's tensors under SamModel's names."""
    told = {renamed_key(name): tensor for name, tensor in weights.items()}
    return told | {PLACES_AGAIN: told[PLACES]} if PLACES in told else told


def renamed_key(name: str) -> str:
    """An official parameter's name in SamModel."""
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _with_ink(
    points: Tensor | None, labels: Tensor | None, scribbles: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Points and labels, and those of every pixel with ink."""
    if scribbles is None or not scribbles.any():
        return points, labels
    sign, y, x = scribbles[0].nonzero().unbind(dim=1)
    drawn, meaning = torch.stack([x, y], dim=-1)[None], 1 - sign[None]
    if points is None or labels is None:
        return drawn, meaning
    return torch.cat([points, drawn], dim=1), torch.cat([labels, meaning], dim=1)
