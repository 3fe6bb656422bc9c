"""Reads about projects: which there are, and how far each label is."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from service.errors import NotFound
from service.tables import Annotation, Label, Membership, Project, State


@dataclass(frozen=True, slots=True)
class Progress:
    """One label and how many of its annotations stand where."""

    label: Label
    images: int
    accepted: int
    skipped: int


def all_projects(session: Session) -> Sequence[Project]:
    return session.scalars(select(Project).order_by(Project.id)).all()


def project(session: Session, project_id: int, *, lock: bool = False) -> Project:
    """The project; NotFound when there is none."""
    found = session.get(Project, project_id, with_for_update=lock)
    if found is None:
        raise NotFound(f"There is no project {project_id}.")
    return found


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


def member(session: Session, project_id: int, user_id: int) -> Membership | None:
    """The user's membership of the project."""
    return session.get(Membership, (project_id, user_id))


def labels(session: Session, project_id: int) -> Sequence[Label]:
    return session.scalars(select(Label).where(Label.project_id == project_id).order_by(Label.id)).all()


def progress(session: Session, project_id: int | None = None) -> dict[int, list[Progress]]:
    """The progress of every label by project id, of one project or of all, in one query."""
    images = func.count(Annotation.id)
    accepted = images.filter(Annotation.state == State.ACCEPTED)
    skipped = images.filter(Annotation.state == State.SKIPPED)
    statement = (
        select(Label, images, accepted, skipped)
        .outerjoin(Annotation, Annotation.label_id == Label.id)
        .group_by(Label.id)
        .order_by(Label.id)
    )
    if project_id is not None:
        statement = statement.where(Label.project_id == project_id)
    by_project: dict[int, list[Progress]] = {}
    for row in session.execute(statement):
        by_project.setdefault(row[0].project_id, []).append(Progress(*row))
    return by_project
