"""A predictor with random weights: for what must hold whatever was learned."""

import pytest
import torch

from models.memory import ContextMemory
from models.memory_segmenter import MemorySegmenter
from models.predictor import Predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = ContextMemory().eval().requires_grad_(False)
    return Predictor(MemorySegmenter(network), weights_sha256="random")
