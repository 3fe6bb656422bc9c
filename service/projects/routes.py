"""Projects with their settings, their labels, and the models they can choose from."""

from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from models import catalogue
from service.db import reading
from service.dependencies import Caller, IfMatch, OwnRole, Rules, Sessions, Transaction
from service.etag import etag, require_seen
from service.ids import Id
from service.projects import actions, queries
from service.projects.schemas import (
    LabelChange,
    LabelOut,
    LabelProgress,
    LabelSettings,
    ModelOut,
    NewLabel,
    NewProject,
    ProjectChange,
    ProjectOut,
    ProjectSettings,
)
from service.tables import Label, Project, Role

router = APIRouter(tags=["projects"])

Out = TypeVar("Out", ProjectOut, LabelOut)


@router.get("/models")
def list_models(rules: Rules) -> list[ModelOut]:
    installed = catalogue.installed(rules.weights_dir)
    return [
        ModelOut(name=name, licence=model.licence, installed=name in installed, default=name == rules.model)
        for name, model in catalogue.MODELS.items()
    ]


@router.post("/projects", status_code=201)
def create_project(
    new: NewProject, response: Response, caller: Caller, transaction: Transaction, rules: Rules
) -> ProjectOut:
    def effect(session: Session) -> ProjectOut:
        project = actions.create_project(
            session, caller.id, {"model": rules.model, **new}, weights_dir=rules.weights_dir
        )
        return _project(project, Role.OWNER, [])

    return _tagged(response, transaction(effect, ProjectOut))


@router.get("/projects")
def list_projects(caller: Caller, sessions: Sessions, deleted: bool = False) -> list[ProjectOut]:
    """Those that the caller is part of; with `deleted` the ones that can still be restored."""
    with reading(sessions) as session:
        found = queries.projects_of(session, caller, deleted=deleted)
        progress = queries.progress(session, [project.id for project, _ in found])
    return [_project(project, role, progress.get(project.id, [])) for project, role in found]


@router.get("/projects/{project_id}")
def read_project(project_id: Id, response: Response, own: OwnRole, sessions: Sessions) -> ProjectOut:
    with reading(sessions) as session:
        return _tagged(response, _read(session, project_id, own))


@router.patch("/projects/{project_id}")
def change_project(
    project_id: Id,
    change: ProjectChange,
    response: Response,
    if_match: IfMatch,
    own: OwnRole,
    transaction: Transaction,
    rules: Rules,
) -> ProjectOut:
    """Change settings. A larger overlap adds work for each image; a smaller one drops what is untouched."""

    def effect(session: Session) -> ProjectOut:
        project = queries.project(session, project_id, lock=True)
        require_seen(if_match, ProjectSettings.model_validate(project))
        transaction.mention(**change)
        actions.change_project(session, project, dict(change), weights_dir=rules.weights_dir)
        return _read(session, project_id, own)

    return _tagged(response, transaction(effect, ProjectOut))


@router.delete("/projects/{project_id}", status_code=204)
def delete_project(
    project_id: Id, name: Annotated[str, Query(max_length=200)], transaction: Transaction
) -> None:
    """Delete a project, by its name to be sure; for 30 days its managers can restore it."""
    transaction.do(lambda session: actions.delete_project(session, project_id, name))


@router.post("/projects/{project_id}/restore")
def restore_project(project_id: Id, response: Response, own: OwnRole, transaction: Transaction) -> ProjectOut:
    """Undo the deletion; where somebody has taken the name meanwhile a number follows it."""

    def effect(session: Session) -> ProjectOut:
        actions.restore_project(session, project_id)
        return _read(session, project_id, own)

    return _tagged(response, transaction(effect, ProjectOut))


@router.get("/projects/{project_id}/labels")
def list_labels(project_id: Id, sessions: Sessions) -> list[LabelOut]:
    with reading(sessions) as session:
        return [_label(label) for label in queries.labels(session, project_id)]


@router.post("/projects/{project_id}/labels", status_code=201)
def create_label(project_id: Id, new: NewLabel, response: Response, transaction: Transaction) -> LabelOut:
    def effect(session: Session) -> LabelOut:
        label = actions.create_label(
            session, project_id, new.name, strategy=new.strategy, context_limit=new.context_limit
        )
        return _label(label)

    return _tagged(response, transaction(effect, LabelOut))


@router.get("/labels/{label_id}")
def read_label(label_id: Id, response: Response, sessions: Sessions) -> LabelOut:
    with reading(sessions) as session:
        return _tagged(response, _label(queries.label(session, label_id)))


@router.patch("/labels/{label_id}")
def change_label(
    label_id: Id, change: LabelChange, response: Response, if_match: IfMatch, transaction: Transaction
) -> LabelOut:
    """Another name, another order for what is still open, another limit; or into the archive and back."""

    def effect(session: Session) -> LabelOut:
        label = queries.lock_label(session, label_id)
        require_seen(if_match, _changeable(_label(label)))
        transaction.mention(**change)
        actions.change_label(session, label, dict(change))
        return _label(label)

    return _tagged(response, transaction(effect, LabelOut))


@router.delete("/labels/{label_id}", status_code=204)
def delete_label(label_id: Id, transaction: Transaction) -> None:
    """Delete a label that nobody has worked under; any other can be archived."""
    transaction.do(lambda session: actions.delete_label(session, label_id))


def _tagged(response: Response, answer: Out) -> Out:
    response.headers["ETag"] = etag(_changeable(answer))
    return answer


def _changeable(answer: ProjectOut | LabelOut) -> ProjectSettings | LabelSettings:
    """The part of it that a PATCH can change."""
    kind = ProjectSettings if isinstance(answer, ProjectOut) else LabelSettings
    return kind.model_validate(answer.model_dump(include=set(kind.model_fields)))


def _read(session: Session, project_id: int, own: Role) -> ProjectOut:
    project = queries.project(session, project_id)
    return _project(project, own, queries.progress(session, [project_id]).get(project_id, []))


def _project(project: Project, own: Role, labels: list[queries.Progress]) -> ProjectOut:
    return ProjectOut(
        **ProjectSettings.model_validate(project).model_dump(),
        id=project.id,
        created_at=project.created_at,
        deleted_at=project.deleted_at,
        role=own,
        labels=[
            LabelProgress(
                id=each.label.id,
                name=each.label.name,
                context_version=each.label.context_version,
                strategy=each.label.strategy,
                archived=each.label.archived_at is not None,
                images=each.images,
                accepted=each.accepted,
                skipped=each.skipped,
            )
            for each in labels
        ],
    )


def _label(label: Label) -> LabelOut:
    return LabelOut(
        id=label.id,
        project_id=label.project_id,
        name=label.name,
        context_version=label.context_version,
        context_limit=label.context_limit,
        strategy=label.strategy,
        archived=label.archived_at is not None,
    )
