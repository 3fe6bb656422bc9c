"""Weights at rest: half-precision safetensors with the network's configuration in the header."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.memory import ContextMemory, MemoryConfig


def save_weights(network: ContextMemory, path: Path) -> str:
    """Writes the weights as float16, whole or not at all; returns the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().half().contiguous() for name, t in network.state_dict().items()}
    draft = path.with_suffix(".draft")
    save_file(tensors, draft, metadata={"config": json.dumps(asdict(network.config))})
    draft.replace(path)
    return sha256_of(path)


def load_weights(path: Path) -> ContextMemory:
    """The network whose configuration and float32 weights the file holds, in evaluation mode.

    Raises ValueError, with what is wrong, for a file that is missing, damaged, of another network
    or holds values that are not finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if "config" not in header:
        raise ValueError(f"{path} does not say which network it holds (no config in its header)")
    try:
        network = ContextMemory(config_from(json.loads(header["config"])))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} describes a network that cannot be: {error}") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} holds the weights of another network: {error}") from error
    if broken := [name for name, t in tensors.items() if not torch.isfinite(t).all()]:
        raise ValueError(f"{path} holds values that are not finite, in {broken[0]}")
    return network.eval()


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def config_from(written: dict[str, Any]) -> MemoryConfig:
    """The configuration as ``asdict`` made a dictionary of it; JSON has lists where it has tuples."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items()}
    return MemoryConfig(**values)
