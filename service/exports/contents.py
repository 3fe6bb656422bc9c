"""What the files of an archive are called, and ``labels.json``, by which an import brings them back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import reading
from service.exports.making import Making
from service.exports.naming import CONTENTS, renamed, unique_stems
from service.exports.queries import with_mask
from service.tables import Image, Source


def image_stems(session: Session, project_id: int) -> dict[int, str]:
    """A file name for every image of the project, without its ending."""
    return unique_stems(_named(session, Image, project_id), folders=True)


def source_stems(session: Session, project_id: int) -> dict[int, str]:
    """A file name for every file of the project as it was uploaded, without its ending."""
    return unique_stems(_named(session, Source, project_id), folders=True)


def list_images(making: Making) -> None:
    """The list of an archive whose files are called like the images of the project."""
    with reading(making.sessions) as session:
        _write(making, _named(session, Image, making.scope.project.id), _scales(session, making))


def list_files(making: Making) -> None:
    """The list of an archive whose files are called like those that were uploaded."""
    with reading(making.sessions) as session:
        _write(making, _named(session, Source, making.scope.project.id), {})


def _named(session: Session, kind: type[Image | Source], project_id: int) -> list[tuple[int, str]]:
    named = select(kind.id, kind.name).where(kind.project_id == project_id).order_by(kind.id)
    return [(row.id, row.name) for row in session.execute(named)]


def _scales(session: Session, making: Making) -> dict[str, tuple[float, float]]:
    """Scale and offset of the images in the archive, by their stems, where pixels are not the values."""
    if not making.scope.images:
        return {}
    scaled = with_mask(making.scope).where((Image.scale != 1) | (Image.offset != 0)).distinct()
    rows = session.execute(scaled.join(Image).with_only_columns(Image.id, Image.scale, Image.offset))
    return {making.stems[row.id]: (row.scale, row.offset) for row in rows if row.id in making.stems}


def _write(
    making: Making, named: Sequence[tuple[int, str]], scales: Mapping[str, tuple[float, float]]
) -> None:
    told: dict[str, Any] = {
        "project": making.scope.project.name,
        "labels": [
            {"value": label.value, "name": label.name, "folder": label.folder}
            for label in making.scope.labels
        ],
        # Whether volumes are in the folders of labels as well.
        "separate": making.scope.separate,
        # What files are of whose names do not say it.
        "names": renamed(named, making.stems),
        # The values of labels that an image was annotated as having nothing of.
        "empty": making.carry.get("empty", {}),
        # A pixel of an image stands for pixel * scale + offset; here are those of which it is not 1 and 0.
        "scales": scales,
        "report": making.report,
    }
    making.file(CONTENTS, json.dumps(told, ensure_ascii=False, indent=2).encode())
