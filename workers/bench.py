"""What a task works with; built once per process by the worker, and by hand in a test."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from sqlalchemy.orm import Session, sessionmaker

from models.predictor import Predictor
from service.context import queries
from service.events import Events
from service.jobs import Jobs
from service.storage import Storage
from workers.inputs import Inputs, Recent

logger = logging.getLogger(__name__)

PAIRS_KEPT = 8
# Of so many exports: to name all images of a large project takes as long as a part of one.
NAMES_KEPT = 5
# A model that cannot be loaded is not tried again for so long: its weights are read whole each time.
MISSING_SECONDS = 60.0

Pairs = tuple[queries.ContextPair, ...]
Made = TypeVar("Made")


class PersonWaits(Exception):  # noqa: N818
    """Somebody waits for a mask: what nobody waits for is put off."""


class ModelMissing(Exception):  # noqa: N818
    """A model cannot be loaded, whatever it was to work on."""


@dataclass
class Bench:
    """Rows, blobs, ports, the models by name, and the settings that tasks go by."""

    sessions: sessionmaker[Session]
    storage: Storage
    jobs: Jobs
    events: Events
    load: Callable[[str], Predictor]
    max_attempts: int
    predict_ahead: int
    names: Recent[str, dict[int, str]] = field(default_factory=lambda: Recent(NAMES_KEPT))
    _inputs: dict[str, Inputs] = field(default_factory=dict)
    # When a model could not be loaded, and what is said of it.
    _missing: dict[str, tuple[float, str]] = field(default_factory=dict)
    _pairs: Recent[tuple[int, int], Pairs] = field(default_factory=lambda: Recent(PAIRS_KEPT))

    def pairs(self, session: Session, label_id: int, version: int) -> Pairs:
        """The context of a label at a version; read once: of an old one only pins may have changed."""
        found = self._pairs.get((label_id, version))
        if found is None:
            found = queries.pairs(session, label_id, version)
            self._pairs.put((label_id, version), found)
        return found

    def give_way(self) -> None:
        """Asked before each step of long work; raises PersonWaits when somebody waits for the worker."""
        if self.jobs.people_wait():
            raise PersonWaits

    def inputs(self, model: str) -> Inputs:
        """The encoded images and contexts of one model, which is loaded when it is first asked for.

        Raises ModelMissing when it cannot be loaded, unless only memory is wanting.
        """
        if model not in self._inputs:
            self._inputs[model] = Inputs(self._loaded(model), self.storage)
        return self._inputs[model]

    def _loaded(self, model: str) -> Predictor:
        since, said = self._missing.get(model, (-MISSING_SECONDS, ""))
        if time.monotonic() - since >= MISSING_SECONDS:
            try:
                return self.load(model)
            except Exception as error:
                if wants_memory(error):
                    raise
                logger.exception("model.not_loaded %s", model)
                said = f"The model {model} cannot be loaded: {error}."
                self._missing[model] = time.monotonic(), said
        raise ModelMissing(said)

    def with_room(self, make: Callable[[], Made]) -> Made:
        """What ``make`` returns; for want of memory once more, when all that was kept is given back."""
        try:
            return make()
        except Exception as error:
            if not wants_memory(error):
                raise
        self.make_room()
        return make()

    def make_room(self) -> None:
        """Forgets all that is encoded: the next task encodes what it needs, and has the memory for it."""
        self._inputs = {name: Inputs(each.predictor, self.storage) for name, each in self._inputs.items()}


def wants_memory(error: Exception) -> bool:
    """On a CPU torch has no error of its own for that."""
    said = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return said or isinstance(error, MemoryError | torch.OutOfMemoryError)
