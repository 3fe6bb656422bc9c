"""Trouble that has nothing to do with what a task works on: it passes, and the same work may succeed then."""

import torch

from service.storage import is_away


def passes(error: Exception) -> bool:
    """Whether the storage is full or away, or others have the memory."""
    return is_away(error) or wants_memory(error)


def wants_memory(error: Exception) -> bool:
    """On a CPU torch has no error of its own for that."""
    said = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return said or isinstance(error, MemoryError | torch.OutOfMemoryError)
