"""Loading a model by its name: its weights checked, its network built, a Predictor around it."""

from collections.abc import Callable
from pathlib import Path

from models import published
from models.catalogue import MODELS, weight_files
from models.devices import device_called
from models.memory_segmenter import MemorySegmenter
from models.predictor import Predictor
from models.segmenter import Segmenter
from models.weights_file import load_weights, sha256_of


def _memory(weights: Path, *, device: str) -> Segmenter:
    return MemorySegmenter(load_weights(weights).to(device).requires_grad_(False))


BUILDERS: dict[str, Callable[..., Segmenter]] = {
    "memory-v1": _memory,
    "multiverseg": published.multiverseg,
    "scribbleprompt-unet": published.scribbleprompt_unet,
    "scribbleprompt-sam": published.scribbleprompt_sam,
}


def load(name: str, *, device: str = "cpu", weights: str | Path | None = None, lanes: int = 1) -> Predictor:
    """The named model, ready to predict, in as many ``lanes`` (see ``Predictor``).

    ``weights`` is a file to use instead of the one that ships; for a published model it is its official
    file, or the folder that holds it (MultiverSeg needs ScribblePrompt-UNet's beside its own). Raises
    ValueError for an unknown name, a damaged shipped file (its checksum is verified), weights that are not
    this model's and a device that is not there. Nothing is downloaded, ever.
    """
    device = device_called(device)
    files = _files(name, None if weights is None else Path(weights))
    for path in files:
        if not path.is_file():
            raise ValueError(f"there is no weights file {path}")
    digest, expected = sha256_of(files[0]), MODELS[name].sha256
    if weights is None and digest != expected:
        raise ValueError(f"{files[0]} is damaged: its SHA-256 is {digest}, not {expected}")
    segmenter = BUILDERS[name](*files, device=device)
    return Predictor(segmenter, weights_sha256=digest, device=device, lanes=lanes)


def _files(name: str, weights: Path | None) -> list[Path]:
    if weights is None or name not in MODELS:
        return weight_files(name, weights)
    if weights.is_dir():
        if MODELS[name].sha256:
            raise ValueError(
                f"{weights} is a folder; give the file of the weights to use instead of {name}'s own"
            )
        return weight_files(name, weights)
    others = MODELS[name].files[1:]
    return [weights, *(weights.parent / names[0] for names in others)]
