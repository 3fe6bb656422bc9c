"""The models that can be loaded by name, and where their weights are."""

from dataclasses import dataclass
from pathlib import Path

from models.predictor import Predictor
from models.weights_file import load_weights, sha256_of

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Model:
    """A network with weights that ship: file in ``weights/``, its SHA-256, and the weights' licence."""

    file: str
    sha256: str
    licence: str


MODELS = {
    "memory-v1": Model(
        "memory-v1.safetensors",
        "a4c94ca965e65a2742ee21fa8c92c72ca963a032d2ae6aab8c5f2c5af85fe571",
        "Apache-2.0",
    ),
}


def load(name: str, *, device: str = "cpu", weights: str | Path | None = None) -> Predictor:
    """The named model, ready to predict; ``weights`` replaces the file that ships.

    Raises ValueError for an unknown name, a damaged shipped file (its checksum is verified) and
    weights that are not this model's. Nothing is downloaded, ever.
    """
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r}; choose one of: {', '.join(sorted(MODELS))}")
    path = Path(weights) if weights is not None else WEIGHTS / MODELS[name].file
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    digest = sha256_of(path)
    if weights is None and digest != MODELS[name].sha256:
        raise ValueError(f"{path} is damaged: its SHA-256 is {digest}, not {MODELS[name].sha256}")
    return Predictor(load_weights(path), weights_sha256=digest, device=device)
