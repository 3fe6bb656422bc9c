"""Histories of annotating, written down as tables and put into the database as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from models.prompts import Click
from service.tables import (
    Activity,
    Annotation,
    Interaction,
    Label,
    Origin,
    Prediction,
    Project,
    Review,
    State,
    Submission,
    User,
)
from tests.factories import stored_image

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Drawn:
    """What happened to one image; times in minutes after Monday, 9 o'clock.

    ``steps`` are the kinds of its interactions, ``p`` for prompts, ``e`` for a manual edit, in capitals when
    it was undone; ``active`` are stretches of (seconds from its opening on, seconds long).
    """

    by: str
    steps: str
    accepted: float | None = None
    opened: float | None = None
    state: State = State.ACCEPTED
    control: bool | None = None
    context: int = 0
    first_dice: float | None = None
    active: Sequence[tuple[float, float]] = ()
    imported: bool = False
    returned: int = 0
    gold: float | None = None


@dataclass
class Place:
    """A project with one label, and the people in it by name."""

    session: Session
    project: Project
    label: Label
    people: dict[str, User] = field(default_factory=dict)

    def person(self, name: str) -> User:
        if name not in self.people:
            self.people[name] = User(name=name)
            self.session.add(self.people[name])
            self.session.flush()
        return self.people[name]

    def add(self, *drawn: Drawn) -> list[Annotation]:
        """The annotations of these images, in their order."""
        return [self._one(each) for each in drawn]

    def submit(self, annotation: Annotation, by: str, minute: float, **columns: object) -> Submission:
        return self._keep(
            Submission(
                annotation_id=annotation.id,
                user_id=self.person(by).id,
                step=annotation.step,
                mask_digest="0" * 64,
                created_at=moment(minute),
                **columns,
            )
        )

    def _one(self, drawn: Drawn) -> Annotation:
        user = self.person(drawn.by)
        image = stored_image(self.session, self.project.id, digest_of_next())
        accepted = moment(drawn.accepted) if drawn.accepted is not None else None
        opened = moment(drawn.opened) if drawn.opened is not None else None
        annotation = self._keep(
            Annotation(
                label_id=self.label.id,
                image_id=image.id,
                position=image.id,
                state=drawn.state,
                author_id=user.id,
                control=drawn.control,
                opened_at=opened,
                accepted_at=accepted,
                submitted_by=user.id if accepted and not drawn.imported else None,
                accepted_by=user.id if accepted else None,
                imported=drawn.imported,
            )
        )
        self._draw(annotation, drawn, user)
        for began, length in drawn.active:
            start = moment(drawn.opened or 0) + timedelta(seconds=began)
            self._keep(
                Activity(
                    annotation_id=annotation.id,
                    user_id=user.id,
                    began_at=start,
                    ended_at=start + timedelta(seconds=length),
                )
            )
        self._review(annotation, drawn)
        return annotation

    def _draw(self, annotation: Annotation, drawn: Drawn, user: User) -> None:
        prediction = {"model": "memory-v1", "weights_sha256": "0", "network_ms": 1.0, "uncertainty": 0.1}
        digests = {"mask_digest": "0" * 64, "state_digest": "0" * 64}
        if not drawn.imported:
            self._keep(
                Prediction(
                    annotation_id=annotation.id,
                    n=0,
                    context_version=drawn.context,
                    context_size=drawn.context,
                    **prediction,
                    **digests,
                )
            )
        parent = 0
        for n, kind in enumerate(drawn.steps, start=1):
            self._keep(
                Interaction(
                    annotation_id=annotation.id,
                    n=n,
                    parent=parent,
                    user_id=user.id,
                    prompts=(Click(1.5, 1.5),) if kind in "pP" else (),
                    edit="brush" if kind in "eE" else None,
                )
            )
            parent = parent if kind.isupper() else n
        annotation.step = parent

    def _review(self, annotation: Annotation, drawn: Drawn) -> None:
        """Each return is of a submission of its own; the last one is the one that was accepted."""
        if drawn.accepted is None:
            return
        for n in range(drawn.returned + 1):
            last = n == drawn.returned
            submission = self.submit(
                annotation,
                drawn.by,
                drawn.accepted,
                origin=Origin.IMPORTED if drawn.imported else Origin.SUBMITTED,
                first_dice=drawn.first_dice if last else 0.1,
                gold_dice=drawn.gold,
            )
            if drawn.returned:
                self._keep(
                    Review(
                        annotation_id=annotation.id,
                        submission_id=submission.id,
                        user_id=self.person("reviewer").id,
                        accepted=last,
                        created_at=moment(drawn.accepted),
                    )
                )

    def _keep(self, row):  # type: ignore[no-untyped-def]
        self.session.add(row)
        self.session.flush()
        return row


def a_place(session: Session, name: str = "a project") -> Place:
    """An empty project with the label "disc"."""
    owner = User(name=f"owner of {name}")
    session.add(owner)
    session.flush()
    project = Project(name=name, model="memory-v1", use_context=True, created_by=owner.id)
    session.add(project)
    session.flush()
    label = Label(project_id=project.id, name="disc")
    session.add(label)
    session.flush()
    return Place(session, project, label)


def moment(minute: float) -> datetime:
    return MONDAY + timedelta(minutes=minute)


_digests = iter(range(10**9))


def digest_of_next() -> str:
    """A digest that no other image has."""
    return f"{next(_digests):064d}"
