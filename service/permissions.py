"""Who may do what: one table of every operation of the API. What is not in it nobody may do."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Integer, Select, bindparam, case, null, select
from sqlalchemy.orm import Session, sessionmaker

from service.accounts.queries import Person, person_still, role_in
from service.db import glancing
from service.errors import NotAllowed, NotAuthenticated, NotFound
from service.ids import LARGEST_ID
from service.tables import (
    Annotation,
    ContextEntry,
    Export,
    Image,
    Label,
    Prediction,
    Project,
    Role,
    Source,
    Submission,
)


class Anyone(StrEnum):
    """A right that no project gives."""

    STRANGER = "stranger"  # also without a token
    SIGNED_IN = "signed in"
    ADMIN = "admin"


# The name of a route's function, and the least role in the project that its path names.
PERMISSIONS: dict[str, Anyone | Role] = {
    # accounts
    "me": Anyone.SIGNED_IN,
    "login": Anyone.STRANGER,
    "login_with_token": Anyone.STRANGER,
    "logout": Anyone.SIGNED_IN,
    "change_password": Anyone.SIGNED_IN,
    "list_tokens": Anyone.SIGNED_IN,
    "create_token": Anyone.SIGNED_IN,
    "revoke_token": Anyone.SIGNED_IN,
    "list_users": Anyone.ADMIN,
    "disable_user": Anyone.ADMIN,
    "enable_user": Anyone.ADMIN,
    # team
    "list_members": Role.VIEWER,
    "set_role": Role.MANAGER,
    "remove_member": Role.MANAGER,
    "leave_project": Role.VIEWER,
    "list_invitations": Role.MANAGER,
    "invite": Role.MANAGER,
    "revoke_invitation": Role.MANAGER,
    "make_password_link": Anyone.ADMIN,
    "look_at_invitation": Anyone.STRANGER,
    "accept_invitation": Anyone.STRANGER,
    # audit
    "project_audit": Role.MANAGER,
    "whole_audit": Anyone.ADMIN,
    # projects
    "list_models": Anyone.SIGNED_IN,
    "create_project": Anyone.SIGNED_IN,
    "list_projects": Anyone.SIGNED_IN,
    "read_project": Role.VIEWER,
    "change_project": Role.MANAGER,
    "delete_project": Role.OWNER,
    "restore_project": Role.MANAGER,
    "create_label": Role.MANAGER,
    "read_label": Role.VIEWER,
    "change_label": Role.MANAGER,
    "delete_label": Role.MANAGER,
    "list_labels": Role.VIEWER,
    # images
    "upload": Role.MANAGER,
    "known_files": Role.MANAGER,
    "delete_source": Role.MANAGER,
    "list_images": Role.VIEWER,
    "read_image": Role.VIEWER,
    "read_source": Role.VIEWER,
    "read_source_file": Role.VIEWER,
    "read_pixels": Role.VIEWER,
    "read_thumbnail": Role.VIEWER,
    # imports
    "import_masks": Role.MANAGER,
    # queue
    "next_annotation": Role.ANNOTATOR,
    "open_annotation": Role.ANNOTATOR,
    "heartbeat": Role.ANNOTATOR,
    "release_lease": Role.ANNOTATOR,
    "revoke_lease": Role.MANAGER,
    "assign_annotation": Role.MANAGER,
    "assign_many": Role.MANAGER,
    "list_annotations": Role.VIEWER,
    # annotations
    "read_annotation": Role.VIEWER,
    "add_interaction": Role.ANNOTATOR,
    "add_edit": Role.ANNOTATOR,
    "put_mask": Role.ANNOTATOR,
    "undo": Role.ANNOTATOR,
    "redo": Role.ANNOTATOR,
    "save_draft": Role.ANNOTATOR,
    "read_draft": Role.ANNOTATOR,
    "delete_draft": Role.ANNOTATOR,
    "submit": Role.ANNOTATOR,
    "skip": Role.ANNOTATOR,
    "reopen": Role.REVIEWER,
    "flag": Role.ANNOTATOR,
    "add_comment": Role.ANNOTATOR,
    "list_comments": Role.VIEWER,
    "read_mask": Role.VIEWER,
    "stream_events": Role.VIEWER,
    # review
    "next_review": Role.REVIEWER,
    "open_review": Role.REVIEWER,
    "accept": Role.REVIEWER,
    "return_annotation": Role.REVIEWER,
    "list_versions": Role.VIEWER,
    "list_opinions": Role.REVIEWER,
    "read_submitted_mask": Role.VIEWER,
    "read_predicted_mask": Role.VIEWER,
    # context
    "list_context": Role.VIEWER,
    "change_entry": Role.MANAGER,
    "read_entry_thumbnail": Role.VIEWER,
    "withdraw_acceptance": Role.ANNOTATOR,  # their own; reviewers anybody's
    "export_context": Role.MANAGER,
    "import_context": Role.MANAGER,
    # gold
    "list_gold": Role.MANAGER,
    "set_gold": Role.MANAGER,
    "remove_gold": Role.MANAGER,
    # metrics
    "interactions_per_image": Role.VIEWER,
    "curve": Role.VIEWER,
    "agreement": Role.REVIEWER,
    "project_metrics": Role.VIEWER,
    "stream_project": Role.VIEWER,
    # exports: they show the work of annotators who do not see each other's
    "create_export": Role.MANAGER,
    "list_exports": Role.MANAGER,
    "read_export": Role.MANAGER,
    "delete_export": Role.MANAGER,
    "download_export": Role.MANAGER,
}

# What can be done with a deleted project, until it is gone.
OF_DELETED = frozenset({"restore_project"})

# What a token may that is limited to a project or a role, beside that project.
OF_LIMITED_TOKENS = frozenset({"me", "logout", "list_models", "list_projects"})

# How a path parameter leads to the project, as its id, when it was deleted, and the author to whom it is
# private: who annotates an image beside others sees neither what they made of it nor that it exists.
_NAMED = bindparam("named", type_=Integer)
_PUBLIC = (Project.id, Project.deleted_at, null())
_PRIVATE = (
    select(Project.id, Project.deleted_at, case((Project.overlap > 1, Annotation.author_id)))
    .select_from(Annotation)
    .join(Label, Label.id == Annotation.label_id)
    .join(Project, Project.id == Label.project_id)
)
PROJECT_OF: dict[str, Select[int, datetime | None, int | None]] = {
    "project_id": select(*_PUBLIC).where(Project.id == _NAMED),
    "label_id": select(*_PUBLIC).join(Label).where(Label.id == _NAMED),
    "image_id": select(*_PUBLIC).join(Image).where(Image.id == _NAMED),
    "source_id": select(*_PUBLIC).join(Source).where(Source.id == _NAMED),
    "export_id": select(*_PUBLIC).join(Export).where(Export.id == _NAMED),
    "annotation_id": _PRIVATE.where(Annotation.id == _NAMED),
    "submission_id": _PRIVATE.join(Submission, Submission.annotation_id == Annotation.id).where(
        Submission.id == _NAMED
    ),
    "prediction_id": _PRIVATE.join(Prediction, Prediction.annotation_id == Annotation.id).where(
        Prediction.id == _NAMED
    ),
    "entry_id": _PRIVATE.join(ContextEntry, ContextEntry.annotation_id == Annotation.id).where(
        ContextEntry.id == _NAMED
    ),
}


def reviews(role: Role | None) -> bool:
    """Whether somebody in this role sees what others made of an image that they annotate, too."""
    return role is not None and role.covers(Role.REVIEWER)


def admit(
    session: Session, person: Person | None, operation: str, named: Mapping[str, str]
) -> tuple[int | None, Role | None]:
    """The project that an operation is about, and the caller's role in it, where it is about one.

    ``named`` are the parameters of the path. A project that the caller has no part in is told from one
    that does not exist by nothing: both are NotFound. A member who may not raises NotAllowed.
    """
    needed = PERMISSIONS[operation]
    if needed is Anyone.STRANGER:
        return None, None
    if person is None:
        raise NotAuthenticated("Sign in, or send your token as `Authorization: Bearer acc_…`.")
    if isinstance(needed, Anyone):
        _admit_without_project(person, needed, operation)
        return None, None
    parameter = next(name for name in named if name in PROJECT_OF)
    project_id, deleted, author_id = _project(session, parameter, named[parameter])
    role = role_in(session, person, project_id) if project_id is not None else None
    hidden = author_id not in (None, person.id) and not reviews(role)
    if project_id is None or role is None or hidden or (deleted and operation not in OF_DELETED):
        raise NotFound(f"There is no {parameter.removesuffix('_id')} {named[parameter]}.")
    if not role.covers(needed):
        raise NotAllowed(_too_little(person, role, needed))
    return project_id, role


def admit_again(sessions: sessionmaker[Session], person: Person, operation: str, **named: int) -> None:
    """What ``admit`` says now to somebody whom it has admitted; ``named`` are the parameters of the path."""
    with glancing(sessions) as session:
        admit(session, person_still(session, person), operation, {k: str(v) for k, v in named.items()})


def _too_little(person: Person, role: Role, needed: Role) -> str:
    """Why that role does not do: whether it is the person's, or all that their token gives."""
    this = f"this is for {'an' if needed[0] in 'aeiou' else 'a'} {needed}"
    if role is person.at_most:
        return f"This token is limited to the role {role}, and {this}. Use one that may do more."
    return f"You are {role} here, and {this}. Ask a manager of the project."


def _admit_without_project(person: Person, needed: Anyone, operation: str) -> None:
    if needed is Anyone.ADMIN and not person.admin:
        raise NotAllowed("This is for the administrator of the installation.")
    if person.limited and operation not in OF_LIMITED_TOKENS:
        raise NotAllowed("This token is limited to a project or a role, and this is about neither.")


def _project(session: Session, parameter: str, named: str) -> tuple[int | None, datetime | None, int | None]:
    """What ``PROJECT_OF`` says of a path parameter; Nones when it names nothing."""
    if not (named.isascii() and named.isdecimal() and len(named) <= 10 and 1 <= int(named) <= LARGEST_ID):
        return None, None, None
    found = session.execute(PROJECT_OF[parameter], {"named": int(named)}).first()
    return (found[0], found[1], found[2]) if found else (None, None, None)
