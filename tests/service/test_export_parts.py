"""A part of an export does no work that grows with the project."""

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from service.clock import now
from service.db import unit_of_work
from service.exports import queries
from service.exports.actions import begin_again
from service.exports.formats import FORMATS, FormatName
from service.tables import Annotation, Export
from tests.exporting import begin, bench_of, download, put_mask, rectangle, work
from tests.factories import AProject, a_project, told
from tests.service.conftest import Alone
from workers import export as worker

IMAGES = 12


@pytest.fixture
def project(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> AProject:
    """A project whose images are all accepted, and of whose exports every item is a part."""
    monkeypatch.setattr(worker, "PART_BYTES", -1)
    made = a_project(alone.api, images=IMAGES)
    for image_id in made.image_ids:
        put_mask(alone, made.label_id, image_id, rectangle(0, 0, 5, 5))
    return made


@pytest.mark.parametrize(
    ("form", "read"),
    [("png", 3), ("labelmap", 3), ("numpy", 2), ("nifti", 3), ("coco", 0), ("csv", 0), ("json", 0)],
)
def test_names_are_not_read_for_every_part(alone: Alone, project: AProject, form: str, read: int) -> None:
    engine, bench, names = alone.sessions.kw["bind"], bench_of(alone), []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if re.match(r"SELECT (\w+)\.id, \1\.name \nFROM \1 \nWHERE \1.project_id", statement):
            names.append(statement)

    begin(alone, project.id, form)
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert work(alone, bench=bench) >= IMAGES
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(names) == read


def test_names_are_read_again_when_it_begins_again_and_when_a_part_went_wrong(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, read = bench_of(alone), []

    def names(_session: Session, _project_id: int) -> dict[int, str]:
        read.append(1)
        return dict.fromkeys(project.image_ids[: len(read) * 2], "name")

    monkeypatch.setitem(FORMATS, FormatName.PNG, replace(FORMATS[FormatName.PNG], stems=names))
    begun = begin(alone, project.id, "png")
    for _ in range(4):
        worker.make_part(bench, begun["id"])
    assert len(read) == 2
    with pytest.raises(KeyError):
        worker.make_part(bench, begun["id"])
    worker.make_part(bench, begun["id"])
    with alone.sessions() as session:
        assert (len(read), session.get_one(Export, begun["id"]).done) == (3, 5)
    with unit_of_work(alone.sessions) as session:
        begin_again(session, alone.jobs, project.id)
    for _ in range(3):
        worker.make_part(bench, begun["id"])
    assert len(read) == 5


def test_few_volumes_are_read_for_a_part(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, few = [], FORMATS[FormatName.NIFTI].steps[0].limit

    def volume(session: Session, of: queries.Scope, image_id: int) -> queries.Volume:
        read.append(image_id)
        return whole(session, of, image_id)

    whole = queries._volume
    monkeypatch.setattr(queries, "_volume", volume)
    begun = begin(alone, project.id, "nifti")
    worker.make_part(bench_of(alone), begun["id"])
    assert len(read) == few < IMAGES


def test_what_is_accepted_again_between_two_parts_is_not_told_twice(alone: Alone, project: AProject) -> None:
    begun = begin(alone, project.id, "csv")
    worker.make_part(bench_of(alone), begun["id"])
    with unit_of_work(alone.sessions) as session:
        first = session.query(Annotation).filter_by(image_id=project.image_ids[0]).one()
        first.accepted_at = now()
    work(alone)
    lines = download(alone, told(alone.api.get(f"/exports/{begun['id']}"))).decode().splitlines()
    assert len(lines) == 1 + IMAGES == len(set(lines))
