"""Reads about projects: which there are, and how far each label is."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, joinedload

from service.accounts.queries import Person, within_limits
from service.allotment import untouched
from service.errors import NotFound
from service.tables import Annotation, ContextEntry, Gold, Label, Membership, Project, Role, State
from service.tables.columns import LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Progress:
    """One label and how many of its annotations stand where."""

    label: Label
    images: int
    accepted: int
    skipped: int


def projects_of(session: Session, person: Person, *, deleted: bool = False) -> list[tuple[Project, Role]]:
    """The projects that the person is part of, with what they are there; the admin is an owner of all."""
    statement = (
        select(Project, Membership.role)
        .outerjoin(Membership, and_(Membership.project_id == Project.id, Membership.user_id == person.id))
        .where(Project.deleted_at.is_not(None) if deleted else Project.deleted_at.is_(None))
        .order_by(Project.id)
    )
    if not person.admin:
        statement = statement.where(Membership.role.is_not(None))
    if person.only_project is not None:
        statement = statement.where(Project.id == person.only_project)
    found = ((row[0], within_limits(person, row[1])) for row in session.execute(statement))
    return [(project, role) for project, role in found if role is not None]


def project(session: Session, project_id: int, *, lock: bool = False) -> Project:
    """The project; NotFound when there is none."""
    found = session.get(Project, project_id, with_for_update=lock)
    if found is None:
        raise NotFound(f"There is no project {project_id}.")
    return found


def free_name(session: Session, name: str) -> str:
    """The name, or if a project has it the name with the first number that makes it free."""
    there = select(Project.id).where(Project.deleted_at.is_(None))
    free, n = name, 1
    while session.scalar(there.where(Project.name == free)) is not None:
        n += 1
        number = f" ({n})"
        free = name[: LONGEST_NAME - len(number)] + number
    return free


def label(session: Session, label_id: int) -> Label:
    """The label with its project; NotFound when there is none."""
    found = session.get(Label, label_id, options=[joinedload(Label.project, innerjoin=True)])
    if found is None:
        raise NotFound(f"There is no label {label_id}.")
    return found


def lock_label(session: Session, label_id: int) -> Label:
    """The label with its project, nobody else's to change until the commit; NotFound when there is none.

    Locks are taken in the order label, annotation, lease, so that no two requests wait for each
    other. Adding images goes on meanwhile: they refer to the label and do not change it.
    """
    found = session.get(
        Label,
        label_id,
        options=[joinedload(Label.project, innerjoin=True)],
        with_for_update={"key_share": True, "of": Label},
        populate_existing=True,
    )
    if found is None:
        raise NotFound(f"There is no label {label_id}.")
    return found


def lock_labels(session: Session, project_id: int) -> list[int]:
    """The ids of a project's labels, each locked as by ``lock_label``."""
    ids = [label.id for label in labels(session, project_id)]
    for label_id in ids:
        lock_label(session, label_id)
    return ids


def labels(session: Session, project_id: int) -> Sequence[Label]:
    return session.scalars(select(Label).where(Label.project_id == project_id).order_by(Label.id)).all()


def progress(session: Session, project_ids: Collection[int]) -> dict[int, list[Progress]]:
    """The progress of every label of the projects, by project id, in one query."""
    images = func.count(Annotation.id)
    accepted = images.filter(Annotation.state == State.ACCEPTED)
    skipped = images.filter(Annotation.state == State.SKIPPED)
    statement = (
        select(Label, images, accepted, skipped)
        .outerjoin(Annotation, Annotation.label_id == Label.id)
        .where(Label.project_id.in_(project_ids))
        .group_by(Label.id)
        .order_by(Label.id)
    )
    by_project: dict[int, list[Progress]] = {}
    for row in session.execute(statement):
        by_project.setdefault(row[0].project_id, []).append(Progress(*row))
    return by_project


def work_under(session: Session, label_id: int) -> dict[str, int]:
    """How much of what people did hangs on the label: annotations by their state, context, gold masks."""
    return _work(session, lambda table: table.label_id == label_id)


def work_on(session: Session, images: Select[int]) -> dict[str, int]:
    """The same for images, under all labels."""
    return _work(session, lambda table: table.image_id.in_(images))


def counted(work: dict[str, int]) -> str:
    """Work in words."""
    return ", ".join(f"{name}: {count}" for name, count in work.items() if count)


OfLabelsAndImages = type[Annotation] | type[ContextEntry] | type[Gold]


def _work(session: Session, of: Callable[[OfLabelsAndImages], ColumnElement[bool]]) -> dict[str, int]:
    touched = select(Annotation.state, func.count()).where(of(Annotation), ~untouched())
    rows = session.execute(touched.group_by(Annotation.state))
    work = {state.value: count for state, count in rows}
    kinds: dict[str, OfLabelsAndImages] = {"context": ContextEntry, "gold": Gold}
    for name, table in kinds.items():
        work[name] = session.scalar(select(func.count()).select_from(table).where(of(table))) or 0
    return work
