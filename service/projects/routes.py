"""Projects, their labels, and the models they can choose from."""

from fastapi import APIRouter
from sqlalchemy.orm import Session

from models import catalogue
from service.db import reading
from service.dependencies import Caller, Id, Rules, Sessions, Transaction
from service.projects import actions, queries
from service.projects.schemas import (
    LabelChange,
    LabelOut,
    LabelProgress,
    ModelOut,
    NewLabel,
    NewProject,
    ProjectOut,
)
from service.tables import Label, Project

router = APIRouter(tags=["projects"])


@router.get("/models")
def list_models(_caller: Caller, rules: Rules) -> list[ModelOut]:
    installed = catalogue.installed(rules.weights_dir)
    return [
        ModelOut(name=name, licence=model.licence, installed=name in installed, default=name == rules.model)
        for name, model in catalogue.MODELS.items()
    ]


@router.post("/projects", status_code=201)
def create_project(new: NewProject, caller: Caller, transaction: Transaction, rules: Rules) -> ProjectOut:
    def effect(session: Session) -> ProjectOut:
        project = actions.create_project(
            session,
            new.name,
            caller.id,
            model=new.model or rules.model,
            use_context=new.use_context,
            weights_dir=rules.weights_dir,
        )
        return _project(project, [])

    return transaction(effect, ProjectOut)


@router.get("/projects")
def list_projects(_caller: Caller, sessions: Sessions) -> list[ProjectOut]:
    with reading(sessions) as session:
        progress = queries.progress(session)
        projects = queries.all_projects(session)
    return [_project(project, progress.get(project.id, [])) for project in projects]


@router.get("/projects/{project_id}")
def read_project(project_id: Id, _caller: Caller, sessions: Sessions) -> ProjectOut:
    with reading(sessions) as session:
        project = queries.project(session, project_id)
        return _project(project, queries.progress(session, project_id).get(project_id, []))


@router.post("/projects/{project_id}/labels", status_code=201)
def create_label(project_id: Id, new: NewLabel, transaction: Transaction) -> LabelOut:
    def effect(session: Session) -> LabelOut:
        return _label(actions.create_label(session, project_id, new.name, new.strategy))

    return transaction(effect, LabelOut)


@router.patch("/labels/{label_id}")
def change_label(label_id: Id, change: LabelChange, transaction: Transaction) -> LabelOut:
    """Another order for what is still open; what people hold stays theirs."""

    def effect(session: Session) -> LabelOut:
        label = queries.lock_label(session, label_id)
        label.strategy = change.strategy
        return _label(label)

    return transaction(effect, LabelOut)


@router.get("/projects/{project_id}/labels")
def list_labels(project_id: Id, _caller: Caller, sessions: Sessions) -> list[LabelOut]:
    with reading(sessions) as session:
        queries.project(session, project_id)
        return [_label(label) for label in queries.labels(session, project_id)]


def _project(project: Project, labels: list[queries.Progress]) -> ProjectOut:
    return ProjectOut(
        id=project.id,
        name=project.name,
        model=project.model,
        use_context=project.use_context,
        created_at=project.created_at,
        labels=[
            LabelProgress(
                id=each.label.id,
                name=each.label.name,
                context_version=each.label.context_version,
                strategy=each.label.strategy,
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
        strategy=label.strategy,
    )
