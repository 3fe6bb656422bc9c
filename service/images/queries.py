"""Reads about images."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.tables import Image


def image(session: Session, image_id: int) -> Image:
    """The image; NotFound when there is none."""
    found = session.get(Image, image_id)
    if found is None:
        raise NotFound(f"There is no image {image_id}.")
    return found


def images(session: Session, project_id: int, *, after: int, limit: int) -> Sequence[Image]:
    """Images of a project in the order of their upload, from behind the id ``after``."""
    return session.scalars(
        select(Image).where(Image.project_id == project_id, Image.id > after).order_by(Image.id).limit(limit)
    ).all()


def by_digest(session: Session, project_id: int, digests: Iterable[str]) -> dict[str, Image]:
    """The images of a project that have one of ``digests``."""
    found = session.scalars(select(Image).where(Image.project_id == project_id, Image.digest.in_(digests)))
    return {image.digest: image for image in found}
