"""Weight files of published networks: read so that they run no code, and refused where they do not fit."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

import torch
from torch import Tensor, nn

# The first parameter of each published network: it says whose a file is, and its length how wide.
FIRST_PARAMETERS = {
    "MultiverSeg": "enc_blocks.0.cross.cross_conv.bias",
    "ScribblePrompt-UNet": "downs.0.conv.0.bias",
    "ScribblePrompt-SAM": "image_encoder.patch_embed.proj.bias",
}
COMPILED = "_orig_mod."  # what torch.compile puts before every name
NAMED_MISFITS = 3
# torch.load has no error of its own for bytes that are not what they should be.
DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
)

Weights = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def load_published(name: str, build: Callable[[int], Network], path: Path) -> Network:
    """The published network of this name, in evaluation mode; ``build`` makes one of the file's width.

    Raises ValueError, with what is wrong and what to do, for a file that is not this network's.
    """
    weights = read_checkpoint(path)
    width = width_of(name, weights, path)
    with torch.device("meta"):  # a width that only the file vouches for must not cost memory
        network = build(width)
    return fit(network, weights, path)


def read_checkpoint(path: Path) -> Weights:
    """The float32 tensors of a .pt file by name: a plain state dict, or one under ``"model"``.

    Raises ValueError, with what is wrong and what to do, for a file that is missing, damaged, would
    run code, holds no named tensors, or values that are not finite.
    """
    found = _load(path)
    state = found.get("model", found) if isinstance(found, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise ValueError(f"{path} holds no tensors by name; give a file with a network's state dict")
    weights = {str(name).removeprefix(COMPILED): tensor.float() for name, tensor in state.items()}
    if broken := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"{path} holds values that are not finite, in {broken[0]}; get another copy of it")
    return weights


def width_of(name: str, weights: Weights, path: Path) -> int:
    """The length of the first parameter in a file that should be the published network's of this name.

    Raises ValueError when it is the file of another one.
    """
    first = weights.get(FIRST_PARAMETERS[name])
    if first is not None and first.ndim == 1 and len(first):
        return len(first)
    others = [other for other, p in FIRST_PARAMETERS.items() if p in weights and other != name]
    found = others[0] if others else f"another network (with {next(iter(weights))})"
    raise ValueError(f"{path} holds the weights of {found}; give those of {name}")


def fit(network: Network, weights: Weights, path: Path) -> Network:
    """The network with exactly these weights, in evaluation mode; it may have been built on "meta".

    Raises ValueError that names the parameters which are missing, left over or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    misfits = [f"{name} is missing" for name in wanted if name not in given]
    misfits += [f"{name} is too many" for name in given if name not in wanted]
    both = [name for name in wanted if name in given and wanted[name] != given[name]]
    misfits += [f"{name} has shape {given[name]}, not {wanted[name]}" for name in both]
    if misfits:
        more = f" and {len(misfits) - NAMED_MISFITS} more" if len(misfits) > NAMED_MISFITS else ""
        said = ", ".join(misfits[:NAMED_MISFITS])
        raise ValueError(f"{path} does not fit {type(network).__name__}: {said}{more}")
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _load(path: Path) -> object:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise ValueError(
            f"there is no weights file {path}; download it from where its authors publish it"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except DAMAGE as error:
            raise ValueError(f"{path} {_fault(error)}") from error


def _fault(error: Exception) -> str:
    if code := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"wants to run code ({code[1]}), for which weights have no need; nothing was run: "
            "use only the file that the authors publish"
        )
    return "is damaged, incomplete or not a PyTorch file; download it again"
