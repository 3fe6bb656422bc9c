"""Exports are asked for, made part by part whatever happens to workers, and downloaded in ranges."""

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import select, update

from service.clock import now
from service.db import unit_of_work
from service.exports.actions import claim, folder_of
from service.exports.formats import FORMATS
from service.exports.queries import DEAD_AFTER
from service.jobs import Job
from service.tables import Annotation, Export, Progress, State
from tests.exporting import begin, bench_of, download, finished, picture, put_mask, rectangle, unpacked, work
from tests.factories import AProject, a_project, png, told, upload
from tests.files import nifti
from tests.service.conftest import Alone
from workers import export as worker
from workers.sweep import sweep

IMAGES = 6


@pytest.fixture
def project(alone: Alone) -> AProject:
    """A project whose images are all accepted, each with a mask of its own."""
    made = a_project(alone.api, images=IMAGES)
    for n, image_id in enumerate(made.image_ids):
        put_mask(alone, made.label_id, image_id, rectangle(0, 0, n + 1, 5))
    return made


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item is a part."""
    monkeypatch.setattr(worker, "PART_BYTES", -1)
    for name, form in FORMATS.items():
        steps = tuple(replace(step, limit=2) for step in form.steps)
        monkeypatch.setitem(FORMATS, name, replace(form, steps=steps))


def row(alone: Alone, export_id: int) -> Export:
    with alone.sessions() as session:
        return session.get_one(Export, export_id)


def change(alone: Alone, export_id: int, **values: object) -> None:
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Export).where(Export.id == export_id).values(**values))


def assert_whole(alone: Alone, project: AProject, export_id: int) -> None:
    found = unpacked(download(alone, told(alone.api.get(f"/exports/{export_id}"))))
    for n in range(IMAGES):
        np.testing.assert_array_equal(picture(found[f"masks/disc/{n}.png"]), rectangle(0, 0, n + 1, 5))
    assert len(found) == IMAGES + 1


def test_an_export_is_accepted_and_says_where_to_look(alone: Alone, project: AProject) -> None:
    answer = alone.api.post(f"/projects/{project.id}/exports", json={"format": "png"})
    begun = told(answer, 202)
    assert answer.headers["Location"] == f"/api/exports/{begun['id']}"
    assert (begun["state"], begun["percent"], begun["download"]) == ("waiting", 0.0, None)
    assert (Job.EXPORT, begun["id"], "batch") in alone.jobs.sent
    seen = alone.api.get(f"/exports/{begun['id']}")
    assert seen.headers["Retry-After"] == "1"
    unfinished = alone.api.get(f"/exports/{begun['id']}/download")
    assert told(unfinished, 409)["code"] == "export_unfinished"
    work(alone)
    done = told(alone.api.get(f"/exports/{begun['id']}"))
    assert (done["state"], done["done"], done["total"], done["percent"]) == ("done", IMAGES, IMAGES, 100.0)
    assert told(alone.api.get(f"/projects/{project.id}/exports")) == [done]
    assert_whole(alone, project, begun["id"])


def test_a_repeated_request_is_one_export(alone: Alone, project: AProject) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    asked = {"format": "coco"}
    first, again = (
        told(alone.api.post(f"/projects/{project.id}/exports", json=asked, headers=key), 202) for _ in "ab"
    )
    assert first == again
    assert len(told(alone.api.get(f"/projects/{project.id}/exports"))) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"format": "exe"},
        {"format": "png", "labels": []},
        {"format": "png", "labels": [2**31 - 1]},
        {"format": "png", "states": ["open"]},
    ],
)
def test_what_cannot_be_exported_is_refused(
    alone: Alone, project: AProject, asked: dict[str, object]
) -> None:
    told(alone.api.post(f"/projects/{project.id}/exports", json=asked), 422)


def test_not_too_many_exports_are_made_at_once(alone: Alone, project: AProject) -> None:
    for _ in range(5):
        begin(alone, project.id, "csv")
    refused = alone.api.post(f"/projects/{project.id}/exports", json={"format": "csv"})
    assert told(refused, 409)["code"] == "too_many_exports"
    work(alone)
    begin(alone, project.id, "csv")


@pytest.mark.parametrize("form", ["png", "labelmap", "coco", "nifti", "numpy", "csv", "json"])
def test_a_project_without_masks_is_exported_as_nothing(alone: Alone, form: str) -> None:
    project = a_project(alone.api, images=1)
    assert download(alone, finished(alone, project.id, form))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("form", ["png", "labelmap", "coco", "nifti", "numpy", "csv", "json"])
def test_a_file_made_in_many_parts_is_the_one_made_at_once(
    alone: Alone, project: AProject, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(alone, project.id, form)
    assert work(alone) >= IMAGES
    parts = download(alone, told(alone.api.get(f"/exports/{begun['id']}")))
    monkeypatch.undo()
    monkeypatch.setattr(worker, "PART_SECONDS", math.inf)  # at once, however busy the machine is
    change(alone, begun["id"], state=Progress.WAITING, parts=[], cursor=None, done=0)
    alone.jobs.send(Job.EXPORT, begun["id"])
    assert work(alone) == 1
    assert download(alone, told(alone.api.get(f"/exports/{begun['id']}"))) == parts


def test_a_part_ends_when_somebody_waits_for_a_mask(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.0)
    alone.jobs.waiting = True
    begun = begin(alone, project.id, "png")
    assert work(alone) == IMAGES + 1  # the last one finds that there are no more
    assert_whole(alone, project, begun["id"])


@pytest.mark.usefixtures("small_parts")
def test_a_dead_workers_export_is_sent_again_and_ends(alone: Alone, project: AProject) -> None:
    begun = begin(alone, project.id, "png")
    worker.make_part(bench_of(alone), begun["id"])
    alone.jobs.sent.clear()
    with unit_of_work(alone.sessions) as session:
        assert claim(session, begun["id"], max_attempts=3) is not None  # and is killed
    assert told(alone.api.get(f"/exports/{begun['id']}"))["done"] == 1
    worker.make_part(bench_of(alone), begun["id"])  # while it may be alive nobody else begins
    sweep(bench_of(alone))
    assert (alone.jobs.sent, row(alone, begun["id"]).done) == ([], 1)
    change(alone, begun["id"], alive_at=now() - DEAD_AFTER - timedelta(seconds=1))
    sweep(bench_of(alone))
    sweep(bench_of(alone))
    assert alone.jobs.sent == [(Job.EXPORT, begun["id"], "batch")]
    work(alone)
    assert_whole(alone, project, begun["id"])


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_was_taken_for_dead_changes_nothing(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(alone, project.id, "png")
    slow: Callable[..., object] = worker._kept

    def overtaken(*arguments: object, **options: object) -> object:
        monkeypatch.setattr(worker, "_kept", slow)
        change(alone, begun["id"], alive_at=now() - DEAD_AFTER - timedelta(seconds=1))
        worker.make_part(bench_of(alone), begun["id"])
        worker.make_part(bench_of(alone), begun["id"])
        return slow(*arguments, **options)

    monkeypatch.setattr(worker, "_kept", overtaken)
    worker.make_part(bench_of(alone), begun["id"])
    assert row(alone, begun["id"]).done == 2
    work(alone)
    assert_whole(alone, project, begun["id"])


def test_a_volume_that_takes_long_is_not_taken_for_lost(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SIGN_SECONDS", 0.0)
    made = a_project(alone.api, images=0)
    volume = np.zeros((64, 48, 3), dtype=np.uint8)
    told(upload(alone.api, made.id, {"scan.nii": nifti(volume, compressed=False)}), 201)
    for image_id in told(alone.api.get(f"/projects/{made.id}/images")):
        put_mask(alone, made.label_id, image_id["id"], rectangle(0, 0, 9, 5))
    begun = begin(alone, made.id, "nifti")
    read, reads = alone.storage.get, 0

    def slowly(digest: str) -> bytes:
        nonlocal reads
        reads += 1
        if reads > 1:  # it has given a sign of life since
            sweep(bench_of(alone))
            assert row(alone, begun["id"]).worker is not None, "it is still its worker's"
        change(alone, begun["id"], alive_at=now() - DEAD_AFTER - timedelta(seconds=1))
        return read(digest)

    monkeypatch.setattr(alone.storage, "get", slowly)
    work(alone)
    assert reads >= 3
    assert told(alone.api.get(f"/exports/{begun['id']}"))["state"] == "done"


def test_what_is_accepted_after_it_was_asked_for_is_not_in_it(alone: Alone, project: AProject) -> None:
    late = told(upload(alone.api, project.id, {"late.png": png()}), 201)["images"][0]["image"]["id"]
    begun = begin(alone, project.id, "png")
    put_mask(alone, project.label_id, late, rectangle(0, 0, 9, 5))
    work(alone)
    assert "masks/disc/late.png" not in unpacked(
        download(alone, told(alone.api.get(f"/exports/{begun['id']}")))
    )
    assert "masks/disc/late.png" in unpacked(download(alone, finished(alone, project.id, "png")))


@pytest.mark.usefixtures("small_parts")
def test_what_is_accepted_while_it_is_made_was_in_it_as_submitted(alone: Alone, project: AProject) -> None:
    last = Annotation.image_id == project.image_ids[-1]
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Annotation).where(last).values(state=State.SUBMITTED, accepted_at=None))
    begun = begin(alone, project.id, "png", states=["submitted", "accepted"])
    worker.make_part(bench_of(alone), begun["id"])
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Annotation).where(last).values(state=State.ACCEPTED, accepted_at=now()))
    work(alone)
    assert_whole(alone, project, begun["id"])


@pytest.mark.usefixtures("small_parts")
def test_a_volume_is_in_it_once_whatever_becomes_of_its_slices(alone: Alone) -> None:
    made = a_project(alone.api, images=0)
    for name in ("a.nii", "b.nii"):
        volume = np.full((64, 48, 3), ord(name[0]), dtype=np.uint8)
        told(upload(alone.api, made.id, {name: nifti(volume, compressed=False)}), 201)
    images = [each["id"] for each in told(alone.api.get(f"/projects/{made.id}/images"))]
    for image_id in images:
        put_mask(alone, made.label_id, image_id, rectangle(0, 0, 9, 5))
    begun = begin(alone, made.id, "nifti")
    worker.make_part(bench_of(alone), begun["id"])
    with unit_of_work(alone.sessions) as session:
        first = update(Annotation).where(Annotation.image_id == images[0])
        session.execute(first.values(state=State.OPEN, mask_digest=None, accepted_at=None))
    work(alone)
    data = download(alone, told(alone.api.get(f"/exports/{begun['id']}")))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["volumes/a.nii.gz", "volumes/b.nii.gz", "labels.json"]


def test_what_kills_its_workers_does_so_three_times(alone: Alone, project: AProject) -> None:
    begun = begin(alone, project.id, "png")
    for _ in range(3):
        with unit_of_work(alone.sessions) as session:
            assert claim(session, begun["id"], max_attempts=3) is not None
        change(alone, begun["id"], alive_at=now() - DEAD_AFTER - timedelta(seconds=1))
    work(alone)
    found = told(alone.api.get(f"/exports/{begun['id']}"))
    assert found["state"] == "failed" and "several times" in found["failure"]


def test_what_cannot_be_made_is_tried_again_and_then_says_why(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_name: str, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    begun = begin(alone, project.id, "png")
    monkeypatch.setattr(alone.storage, "write_passing", full)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            work(alone)
    work(alone)
    found = told(alone.api.get(f"/exports/{begun['id']}"))
    assert found["state"] == "failed" and "No space left" in found["failure"]


@pytest.mark.parametrize("form", ["png", "labelmap", "coco", "nifti", "numpy", "json"])
@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_what_is_damaged_is_reported_and_the_rest_is_there(
    alone: Alone, project: AProject, form: str, harm: str
) -> None:
    with alone.sessions() as session:
        where = Annotation.image_id == project.image_ids[2]
        digest = session.scalars(select(Annotation.mask_digest).where(where)).one()
    assert digest is not None
    if harm == "missing":
        del alone.storage._blobs[digest]
    else:
        alone.storage._blobs[digest] = alone.storage._blobs[digest][:-20] + bytes(20)
    export = finished(alone, project.id, form)
    (line,) = export["report"]
    assert line["item"].startswith("2.png")
    assert harm in line["what"] and digest[:12] in line["what"]
    data = download(alone, export)
    if form in ("png", "labelmap", "nifti", "numpy"):
        names = [name for name in unpacked(data) if "/2." in name]
        assert names == [] and any("/3." in name for name in unpacked(data))


def test_a_download_is_resumed_at_any_byte(alone: Alone, project: AProject) -> None:
    export = finished(alone, project.id, "png")
    path = f"/exports/{export['id']}/download"
    whole = alone.api.get(path)
    size = len(whole.content)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Type"] == "application/zip"
    assert whole.headers["Content-Disposition"].startswith('attachment; filename="project ')
    tag = whole.headers["ETag"]
    for asked, start, stop in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=5-{size + 100}", 5, size),
        (f"bytes=-{size + 100}", 0, size),
    ]:
        part = alone.api.get(path, headers={"Range": asked, "If-Range": tag})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.content == whole.content[start:stop]
        assert part.headers["Content-Length"] == str(stop - start)
    for ignored in ("bytes=-", "bytes=4-2", "lines=1-2", "bytes=0-1,3-4", "nonsense"):
        answer = alone.api.get(path, headers={"Range": ignored})
        assert (answer.status_code, answer.content) == (200, whole.content)
    other = alone.api.get(path, headers={"Range": "bytes=1-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = alone.api.get(path, headers={"Range": f"bytes={size}-"})
    assert told(beyond, 416)["code"] == "range_invalid"
    assert beyond.headers["Content-Range"] == f"bytes */{size}"


def test_a_file_that_is_lost_says_so(alone: Alone, project: AProject) -> None:
    export = finished(alone, project.id, "png")
    alone.storage.delete_passing(folder_of(export["id"]))
    assert told(alone.api.get(f"/exports/{export['id']}/download"), 410)["code"] == "export_gone"


def test_what_was_accepted_by_a_clock_that_was_fast_is_exported(alone: Alone, project: AProject) -> None:
    with unit_of_work(alone.sessions) as session:
        fast = now() + timedelta(hours=1)
        session.execute(update(Annotation).values(submitted_at=fast, accepted_at=fast))
    assert_whole(alone, project, finished(alone, project.id, "png")["id"])
