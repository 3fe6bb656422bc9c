"""What a task works with; built once per process by the worker, and by hand in a test."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session, sessionmaker

from models.predictor import Predictor
from service.context import queries
from service.events import Events
from service.jobs import Jobs
from service.storage import Storage
from workers.inputs import Inputs, Recent

PAIRS_KEPT = 8
# Of so many exports: to name all images of a large project takes as long as a part of one.
NAMES_KEPT = 5

Pairs = tuple[queries.ContextPair, ...]


class PersonWaits(Exception):  # noqa: N818
    """Somebody waits for a mask: what nobody waits for is put off."""


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
        """The encoded images and contexts of one model, which is loaded when it is first asked for."""
        if model not in self._inputs:
            self._inputs[model] = Inputs(self.load(model), self.storage)
        return self._inputs[model]

    def make_room(self) -> None:
        """Forgets all that is encoded: the next task encodes what it needs, and has the memory for it."""
        self._inputs = {name: Inputs(each.predictor, self.storage) for name, each in self._inputs.items()}
