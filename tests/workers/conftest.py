"""A bench with a fake network, and something to work on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from models.handles import Result
from models.handles import State as Logits
from models.prompts import Click
from service.clock import now
from service.db import unit_of_work
from service.events import LocalEvents
from service.jobs import RecordedJobs
from service.masks import Mask, to_png
from service.storage import MemoryStorage
from service.tables import (
    Annotation,
    ContextEntry,
    Interaction,
    Label,
    Lease,
    Prediction,
    Project,
    State,
    User,
)
from tests.factories import png, stored_image
from workers.bench import Bench

DIAGONAL: Mask = np.eye(48, 64) > 0


@dataclass(frozen=True, eq=False)
class FakeContext:
    """The masks that it was given."""

    masks: tuple[Any, ...] = ()
    near: frozenset[int] = frozenset()
    pinned: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.masks) - len(self.hidden)

    def reading_first(self, near: frozenset[int], pinned: frozenset[int]) -> "FakeContext":
        return replace(self, near=near, pinned=pinned)

    def without(self, pairs: list[int]) -> "FakeContext":
        return replace(self, hidden=frozenset(pairs))

    def keeping(self, pairs: list[int]) -> "FakeContext":
        return FakeContext(tuple(self.masks[i] for i in pairs))


class FakeImage(np.ndarray):
    """The pixels that it was given."""

    def forget_context(self) -> None:
        """There is nothing to forget."""


@dataclass
class FakeSegmenter:
    uses_context: bool = True


@dataclass
class InterruptibleFake:
    """A fake predictor that may be ended before each thing that it is asked for."""

    predictor: "FakePredictor"
    before: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        if name in ("encode_image", "extend_context", "predict"):
            self.before()
        return getattr(self.predictor, name)


@dataclass
class FakePredictor:
    """Counts what it is asked for; without prompts it repeats the newest mask of the context."""

    weights_sha256: str = "f" * 64
    segmenter: FakeSegmenter = field(default_factory=FakeSegmenter)
    images: list[Any] = field(default_factory=list)
    extended: int = 0
    contexts: list[int] = field(default_factory=list)
    seen: list[FakeContext] = field(default_factory=list)
    previous: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    logit: float = 0.0

    def interruptible(self, before: Callable[[], None]) -> InterruptibleFake:
        return InterruptibleFake(self, before)

    def encode_image(self, array: Any) -> Any:
        self.images.append(array)
        return array.view(FakeImage)

    def encode_context(self, pairs: Any) -> FakeContext:
        return FakeContext(tuple(pairs))

    def extend_context(self, context: FakeContext, image: Any, mask: Any) -> FakeContext:
        self.extended += 1
        return replace(context, masks=(*context.masks, mask))

    def predict(
        self,
        image: Any,
        prompts: Any,
        *,
        context: FakeContext,
        previous: Any = None,
        second_opinions: bool = True,
    ) -> Result:
        self.contexts.append(len(context))
        self.seen.append(context)
        self.previous.append(previous)
        if self.error is not None:
            raise self.error
        mask = np.zeros(image.shape, dtype=np.bool_)
        mask[:4, : 1 + len(prompts)] = True
        if not prompts and len(context):
            mask = context.masks[-1]
        state = Logits(np.full((1, 4, 4), self.logit or len(prompts), dtype=np.float16), len(prompts))
        return Result(mask, mask.astype(np.float32), 0.25, state)


class HeardEvents(LocalEvents):
    """Events that are also written down."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []

    def publish(self, channel: str, event: dict[str, Any]) -> None:
        self.heard.append(event)
        super().publish(channel, event)


@dataclass
class Workplace:
    """A bench, its fake network, and a label to work on."""

    bench: Bench
    predictor: FakePredictor
    jobs: RecordedJobs
    events: HeardEvents
    label_id: int
    user_id: int

    def annotation(self) -> int:
        """A new image of the label, untouched."""
        digest = self.bench.storage.put(png())
        with unit_of_work(self.bench.sessions) as session:
            label = session.get_one(Label, self.label_id)
            image = stored_image(session, label.project_id, digest)
            annotation = Annotation(label_id=label.id, image_id=image.id, position=image.id)
            session.add(annotation)
            session.flush()
            return annotation.id

    def replica(self, annotation_id: int) -> int:
        """The same image of the same label, for somebody else."""
        with unit_of_work(self.bench.sessions) as session:
            first = session.get_one(Annotation, annotation_id)
            second = Annotation(
                label_id=first.label_id, image_id=first.image_id, replica=1, position=first.position
            )
            session.add(second)
            session.flush()
            return second.id

    def interaction(self, annotation_id: int) -> int:
        """One more click on it."""
        with unit_of_work(self.bench.sessions) as session:
            annotation = session.get_one(Annotation, annotation_id)
            interaction = Interaction(
                annotation_id=annotation_id,
                n=annotation.step + 1,
                parent=annotation.step,
                user_id=self.user_id,
                prompts=(Click(10.5, 10.5),),
            )
            session.add(interaction)
            annotation.step = interaction.n
            session.flush()
            return interaction.id

    def accepted(self, mask: Mask = DIAGONAL) -> int:
        """One more pair in the context of the label; the id of its entry."""
        annotation_id = self.annotation()
        digest = self.bench.storage.put(to_png(mask))
        with unit_of_work(self.bench.sessions) as session:
            label = session.get_one(Label, self.label_id)
            label.context_version += 1
            annotation = session.get_one(Annotation, annotation_id)
            annotation.state = State.ACCEPTED
            entry = ContextEntry(
                label_id=label.id,
                annotation_id=annotation_id,
                image_id=annotation.image_id,
                mask_digest=digest,
                added_version=label.context_version,
            )
            session.add(entry)
            session.flush()
            return entry.id

    def leased(self, annotation_id: int, time_left: timedelta = timedelta(minutes=2)) -> None:
        """Somebody has it before them, or had until lately."""
        with unit_of_work(self.bench.sessions) as session:
            session.add(
                Lease(
                    annotation_id=annotation_id,
                    user_id=self.user_id,
                    token_digest="0" * 64,
                    fence=1,
                    context_version=0,
                    expires_at=now() + time_left,
                    idle_at=now() + timedelta(hours=1),
                    seconds=120,
                    idle_seconds=900,
                )
            )

    def entry(self, entry_id: int) -> ContextEntry:
        with self.bench.sessions() as session:
            return session.get_one(ContextEntry, entry_id)

    def context_version(self) -> int:
        with self.bench.sessions() as session:
            return session.get_one(Label, self.label_id).context_version

    def predictions(self, annotation_id: int) -> list[Prediction]:
        with self.bench.sessions() as session:
            found = select(Prediction).where(Prediction.annotation_id == annotation_id)
            return list(session.scalars(found.order_by(Prediction.id)))


@pytest.fixture
def place(sessions: sessionmaker[Session]) -> Workplace:
    predictor, jobs, events = FakePredictor(), RecordedJobs(), HeardEvents()
    bench = Bench(
        sessions=sessions,
        storage=MemoryStorage(),
        jobs=jobs,
        events=events,
        load=lambda _name: predictor,  # type: ignore[arg-type,return-value]
        max_attempts=3,
        predict_ahead=2,
    )
    with unit_of_work(sessions) as session:
        user = User(name="somebody")
        session.add(user)
        session.flush()
        project = Project(name="p", model="memory-v1", use_context=True, created_by=user.id)
        session.add(project)
        session.flush()
        label = Label(project_id=project.id, name="disc")
        session.add(label)
        session.flush()
        return Workplace(bench, predictor, jobs, events, label.id, user.id)
