"""The models by name, and the files that hold their weights: standard library only, so that the API can look.

One model ships. The published ones work with their official files, which have no licence of their own and
so cannot ship: put them into a folder as they are.
"""

from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Model:
    """Its weight files (for each, the names it may have, the preferred one first), and their licence.

    A model with a SHA-256 ships.
    """

    files: tuple[tuple[str, ...], ...]
    licence: str
    sha256: str | None = None


SCRIBBLEPROMPT_UNET = ("ScribblePrompt_unet_v1_nf192_res128.pt",)

MODELS = {
    "memory-v1": Model(
        (("memory-v1.safetensors",),),
        "Apache-2.0",
        "afd9c9b4ec31f7625f58328402d15b752f3ce4ab3ca528f6b7a363d6d178d65d",
    ),
    "multiverseg": Model(
        (("MultiverSeg_v1_nf256_res128.pt", "MultiverSeg_v0_nf256_res128.pt"), SCRIBBLEPROMPT_UNET),
        "not stated by its authors",
    ),
    "scribbleprompt-unet": Model((SCRIBBLEPROMPT_UNET,), "not stated by its authors"),
    "scribbleprompt-sam": Model((("ScribblePrompt_sam_v1_vit_b_res128.pt",),), "not stated by its authors"),
}


def weight_files(name: str, folder: Path | None = None) -> list[Path]:
    """The weight files of a model: those that ship, or those in ``folder``.

    Raises ValueError for an unknown name, and for files that are not there, with what to put where.
    """
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r}; choose one of: {', '.join(sorted(MODELS))}")
    if MODELS[name].sha256:
        return [SHIPPED / names[0] for names in MODELS[name].files]
    if folder is None:
        raise ValueError(
            f"the weights of {name} do not ship: put {' and '.join(n[0] for n in MODELS[name].files)} "
            "into a folder and name it in ACCRUE_WEIGHTS_DIR"
        )
    return [_there(folder, names) for names in MODELS[name].files]


def installed(folder: Path | None = None) -> list[str]:
    """The models that can be loaded here, the one that ships first."""
    names = []
    for name in MODELS:
        try:
            if all(path.is_file() for path in weight_files(name, folder)):
                names.append(name)
        except ValueError:
            continue
    return names


def _there(folder: Path, names: tuple[str, ...]) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise ValueError(f"there is no {' or '.join(names)} in {folder}")
    return found
