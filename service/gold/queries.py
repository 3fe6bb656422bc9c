"""Reads about gold masks; who annotates never gets to see one."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.tables import Gold, Image, Label, User


class GoldMask(NamedTuple):
    """An image of a label with a mask known to be right, and who says so."""

    image_id: int
    image_name: str
    mask_digest: str
    created_by: str
    created_at: datetime


def gold_masks(session: Session, label_id: int) -> Sequence[GoldMask]:
    """The gold masks of a label, in the order of its images."""
    found = session.execute(
        select(Image.id, Image.name, Gold.mask_digest, User.name, Gold.created_at)
        .join(Gold, Gold.image_id == Image.id)
        .join(User, User.id == Gold.created_by)
        .where(Gold.label_id == label_id)
        .order_by(Image.id)
    )
    return [GoldMask(*row) for row in found]


def image_of(session: Session, label_id: int, image_id: int) -> Image:
    """An image of the label's project; NotFound when there is none."""
    found = session.scalars(
        select(Image)
        .join(Label, Label.project_id == Image.project_id)
        .where(Image.id == image_id, Label.id == label_id)
    ).first()
    if found is None:
        raise NotFound(f"The project has no image {image_id}.")
    return found
