"""A predictor with random weights: for what must hold whatever was learned."""

import pytest
import torch

from models.memory import ContextMemory
from models.predictor import Predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(ContextMemory(), weights_sha256="random")
