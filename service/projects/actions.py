"""The rules of projects and labels; every image has one annotation per label, always."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import catalogue
from service.allotment import allot
from service.errors import Invalid, NameTaken
from service.projects import queries
from service.tables import Image, Label, Membership, Project, Role, Strategy


def create_project(
    session: Session, name: str, user_id: int, *, model: str, use_context: bool, weights_dir: Path | None
) -> Project:
    """A new, empty project, whose owner the user is; its model must be one that is installed here."""
    require_installed(model, weights_dir)
    project = Project(name=name, model=model, use_context=use_context, created_by=user_id)
    _add_named(session, project, f"There is a project {name!r} already.")
    session.add(Membership(project_id=project.id, user_id=user_id, role=Role.OWNER))
    session.flush()
    return project


def require_installed(model: str, weights_dir: Path | None) -> None:
    """That the model's weights are here; Invalid says which are, and what to put where."""
    installed = catalogue.installed(weights_dir)
    if model in installed:
        return
    why = "its weights are missing"
    try:
        catalogue.weight_files(model, weights_dir)
    except ValueError as error:
        why = str(error)
    raise Invalid(f"The model {model!r} cannot be used: {why}. Installed here: {', '.join(installed)}.")


def create_label(session: Session, project_id: int, name: str, strategy: Strategy) -> Label:
    """A new label, with open annotations for every image that the project has."""
    # The lock keeps an upload from adding images between the statements below.
    project = queries.project(session, project_id, lock=True)
    label = Label(project_id=project_id, name=name, context_version=0, strategy=strategy)
    _add_named(session, label, f"The project has a label {name!r} already.")
    images = session.scalars(select(Image.id).where(Image.project_id == project_id).order_by(Image.id)).all()
    allot(session, [label.id], images, range(project.overlap))
    return label


def _add_named(session: Session, row: Project | Label, taken: str) -> None:
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise NameTaken(taken) from error
