"""Deleting a file that was uploaded: with its images, and all that is theirs under any label."""

from sqlalchemy.orm import Session

from service.allotment import lock_annotations
from service.annotations.closing import predict_next
from service.context.actions import forget_images
from service.errors import FileInUse, Invalid
from service.exports.actions import begin_again
from service.images.queries import source
from service.jobs import Jobs
from service.projects import queries, removal
from service.tables import Annotation, Source


def delete_source(
    session: Session, jobs: Jobs, source_id: int, typed: str | None, *, predict_ahead: int
) -> tuple[Source, dict[str, int]]:
    """Delete a file, for good; what it was, and how much work went with it.

    FileInUse counts what people did on it, unless they ``typed`` its name. Where an image of it was in the
    context, the next annotations are predicted without it.
    """
    project_id = source(session, source_id).project_id
    # The lock keeps labels from coming, and uploads of the same bytes from taking the file for known.
    queries.project(session, project_id, lock=True)
    gone, images = source(session, source_id), removal.images_of(source_id)
    labels = queries.lock_labels(session, project_id)
    lock_annotations(session, Annotation.image_id.in_(images))
    work = queries.work_on(session, images)
    if typed is None and any(work.values()):
        counted = queries.counted(work)
        raise FileInUse(
            f"On {gone.name!r} there is work ({counted}). To delete it with all of that, type its name: send "
            "it as `name`.",
            work=work,
        )
    if typed not in (None, gone.name):
        raise Invalid("To delete a file with the work on it, type its name: send it as `name`.")
    changed = [label_id for label_id in labels if forget_images(session, label_id, images)]
    removal.remove_source(session, source_id)
    begin_again(session, jobs, project_id)
    for label_id in changed:
        predict_next(session, jobs, label_id, predict_ahead)
    return gone, work
