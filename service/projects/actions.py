"""The rules of projects and labels; every image has as many annotations per label as the overlap, always."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import catalogue
from service.allotment import allot, forget_first_masks, set_overlap
from service.clock import now
from service.context.actions import limit_context
from service.errors import Invalid, LabelInUse, NameTaken, NotFound
from service.projects import queries, removal
from service.tables import Image, Label, Membership, Project, Role, Strategy


def create_project(
    session: Session, user_id: int, settings: Mapping[str, Any], *, weights_dir: Path | None
) -> Project:
    """A new, empty project, whose owner the user is; its model must be one that is installed here.

    ``settings`` name at least the project and its model.
    """
    require_installed(settings["model"], weights_dir)
    project = Project(**{"use_context": True, **settings}, created_by=user_id)
    session.add(project)
    _require_free_name(session, _taken(project.name))
    session.add(Membership(project_id=project.id, user_id=user_id, role=Role.OWNER))
    session.flush()
    return project


def change_project(
    session: Session, project: Project, change: dict[str, Any], *, weights_dir: Path | None
) -> None:
    """Set what ``change`` names; a larger overlap allots more work, a smaller one takes untouched work away.

    Another model makes the first masks anew wherever nobody has begun.
    Needs the project's row locked.
    """
    model, overlap = change.get("model", project.model), change.get("overlap", project.overlap)
    if (model, overlap) != (project.model, project.overlap):
        # All of them before any blob is noted, as whoever accepts masks does.
        labels = queries.lock_labels(session, project.id)
    if model != project.model:
        require_installed(model, weights_dir)
        forget_first_masks(session, project.id)
    if overlap != project.overlap:
        for label_id in labels:
            set_overlap(session, project.id, label_id, overlap)
    for name, value in change.items():
        setattr(project, name, value)
    _require_free_name(session, _taken(project.name))


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


def delete_project(session: Session, project_id: int, typed: str) -> None:
    """Hide the project from everybody for a month, in which it can be restored; then it is gone."""
    project = queries.project(session, project_id, lock=True)
    if typed != project.name:
        raise Invalid("To delete a project, type its name: send it as `name`.")
    project.deleted_at = now()


def restore_project(session: Session, project_id: int) -> Project:
    """The deleted project is there again, under a new name if somebody has taken its own meanwhile."""
    project = queries.project(session, project_id, lock=True)
    if project.deleted_at is not None:
        if project.deleted_at < now() - removal.KEPT:  # and some of it may be gone
            raise NotFound(f"There is no project {project_id} any more: it was deleted a month ago.")
        project.name = queries.free_name(session, project.name)
        project.deleted_at = None
        _require_free_name(session, _taken(project.name))
    return project


def create_label(
    session: Session, project_id: int, name: str, *, strategy: Strategy, context_limit: int | None
) -> Label:
    """A new label, with open annotations for every image that the project has."""
    # The lock keeps an upload from adding images between the statements below.
    project = queries.project(session, project_id, lock=True)
    label = Label(
        project_id=project_id,
        name=name,
        context_version=0,
        context_limit=context_limit,
        strategy=strategy,
    )
    session.add(label)
    _require_free_name(session, f"The project has a label {name!r} already.")
    images = session.scalars(select(Image.id).where(Image.project_id == project_id).order_by(Image.id)).all()
    allot(session, [label.id], images, range(project.overlap))
    return label


def change_label(session: Session, label: Label, change: dict[str, Any]) -> None:
    """Set what ``change`` names; another order is for what is still open, what people hold stays theirs."""
    if "archived" in change:
        archived = change.pop("archived")
        label.archived_at = (label.archived_at or now()) if archived else None
    if "context_limit" in change:
        limit_context(session, label, change.pop("context_limit"))
    for name, value in change.items():
        setattr(label, name, value)
    _require_free_name(session, f"The project has a label {label.name!r} already.")


def delete_label(session: Session, label_id: int) -> None:
    """Delete a label that nobody has worked under; LabelInUse counts the work otherwise."""
    label = queries.lock_label(session, label_id)
    work = queries.work_under(session, label_id)
    if any(work.values()):
        raise LabelInUse(
            f"Under {label.name!r} there is work ({queries.counted(work)}). Archive the label instead: it is "
            "offered to nobody any more, and what was done stays.",
            work=work,
        )
    removal.remove_label(session, label_id)


def _taken(name: str) -> str:
    """The same to everybody: whose project has that name is nobody's business."""
    return f"The name {name!r} is taken. Choose another one."


def _require_free_name(session: Session, taken: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise NameTaken(taken) from error
