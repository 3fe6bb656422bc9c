"""How exports end: deleted, or over after a week; their files go then, whatever becomes of the storage."""

import errno
from datetime import timedelta

import pytest
from sqlalchemy import update

from service.clock import now
from service.db import unit_of_work
from service.exports.queries import KEPT
from service.tables import Export
from tests.exporting import begin, bench_of, finished, put_mask, rectangle, work
from tests.factories import AProject, a_project, told
from tests.service.conftest import Alone
from workers import export as worker
from workers.sweep import sweep


@pytest.fixture
def project(alone: Alone) -> AProject:
    """A project whose images are all accepted."""
    made = a_project(alone.api, images=3)
    for image_id in made.image_ids:
        put_mask(alone, made.label_id, image_id, rectangle(0, 0, 5, 5))
    return made


def passing(alone: Alone) -> int:
    """How many passing files there are."""
    return len(alone.storage._passing)


def test_a_deleted_export_leaves_nothing_not_even_while_it_is_made(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PART_BYTES", -1)  # every item is a part
    begun = begin(alone, project.id, "png")
    worker.make_part(bench_of(alone), begun["id"])
    assert passing(alone) > 0

    class DeletedMeanwhile(type(alone.storage)):  # type: ignore[misc]
        def write_passing(self, name: str, data: bytes) -> None:
            assert alone.api.delete(f"/exports/{begun['id']}").status_code in (204, 404)
            super().write_passing(name, data)

    alone.storage.__class__ = DeletedMeanwhile
    worker.make_part(bench_of(alone), begun["id"])
    told(alone.api.get(f"/exports/{begun['id']}"), 404)
    assert told(alone.api.get(f"/projects/{project.id}/exports")) == []
    assert work(alone) > 0  # the jobs that are left find nothing to do
    sweep(bench_of(alone))
    assert passing(alone) == 0
    told(alone.api.delete(f"/exports/{begun['id']}"), 404)


def test_the_file_of_a_deleted_export_goes_as_soon_as_the_storage_is_back(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_folder: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    export = finished(alone, project.id, "png")
    with monkeypatch.context() as patch:
        patch.setattr(alone.storage, "delete_passing", away)
        assert alone.api.delete(f"/exports/{export['id']}").status_code == 204
        with pytest.raises(OSError, match="Input"):
            sweep(bench_of(alone))
    told(alone.api.get(f"/exports/{export['id']}"), 404)
    sweep(bench_of(alone))
    assert passing(alone) == 0
    with alone.sessions() as session:
        assert session.get(Export, export["id"]) is None


def test_an_export_is_forgotten_after_a_week(alone: Alone, project: AProject) -> None:
    export = finished(alone, project.id, "png")
    sweep(bench_of(alone))
    assert passing(alone) > 0
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Export).values(finished_at=now() - KEPT - timedelta(minutes=1)))
    sweep(bench_of(alone))
    assert passing(alone) == 0
    told(alone.api.get(f"/exports/{export['id']}"), 404)
