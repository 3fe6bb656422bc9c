"""A context goes from one project to another as an archive, whole or not at all."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select, update

from service.client import Accrue
from service.clock import now
from service.context import archive, transfer
from service.context.archive import MANIFEST, Manifest, check
from service.db import reading, unit_of_work
from service.errors import ContextRefused
from service.masks import from_png, to_png
from service.tables import Annotation, Image, Lease, Origin, Source, State, Submission
from tests.factories import CLICK, AProject, a_project, accept_next, open_next, png, told, upload
from tests.files import png_that_claims
from tests.service.conftest import Alone
from tests.service.hands import Hand, disc, take_next

Files = dict[str, bytes]


def exported(api: httpx.Client, label_id: int) -> bytes:
    answer = api.get(f"/labels/{label_id}/context/export")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    return answer.content


def imported(api: httpx.Client, label_id: int, data: bytes, **options: Any) -> httpx.Response:
    files = {"file": ("context.zip", data)}
    return api.post(f"/labels/{label_id}/context/import", files=files, **options)


def unpacked(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def context_of(api: httpx.Client, label_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(api.get(f"/labels/{label_id}/context"))
    return found


@pytest.fixture
def origin(alone: Alone) -> AProject:
    """A project with three accepted masks of its four images, the second of them pinned."""
    project = a_project(alone.api, images=4)
    for _ in range(3):
        alone.accept(project.label_id)
    entry = context_of(alone.api, project.label_id)[1]["id"]
    told(alone.api.patch(f"/context/{entry}", json={"pinned": True}, headers={"If-Match": "*"}))
    return project


def test_an_archive_says_what_is_in_it_and_holds_it(alone: Alone, origin: AProject) -> None:
    files = unpacked(exported(alone.api, origin.label_id))
    manifest = json.loads(files.pop(MANIFEST))
    assert (manifest["format"], manifest["model"], manifest["label"]) == (
        "accrue-context",
        "memory-v1",
        "disc",
    )
    assert manifest["context_version"] == 4
    assert [pair["pinned"] for pair in manifest["pairs"]] == [False, True, False]
    assert "licence" in manifest["note"]
    for pair in manifest["pairs"]:
        for part in (pair["image"], pair["mask"]):
            assert sha256(files[part["file"]]).hexdigest() == part["sha256"]
        assert from_png(files[pair["mask"]["file"]]).shape == (48, 64)
        assert (pair["image"]["width"], pair["image"]["height"]) == (64, 48)


def test_a_context_comes_back_as_it_was_in_another_project(alone: Alone, origin: AProject) -> None:
    with unit_of_work(alone.sessions) as session:
        image = session.get_one(Image, origin.image_ids[0])
        image.scale, image.offset, image.spacing = 0.5, -1024.0, [0.7, 0.8]
        image.window_low, image.window_high = -160.0, 240.0
    home = a_project(alone.api, images=1)
    report = told(imported(alone.api, home.label_id, exported(alone.api, origin.label_id)), 201)
    assert [pair["detail"] for pair in report["pairs"]] == [None] * 3
    entries = context_of(alone.api, home.label_id)
    assert [entry["id"] for entry in entries] == [pair["entry_id"] for pair in report["pairs"]]
    assert [entry["pinned"] for entry in entries] == [False, True, False]
    assert entries[0]["why"] == f"imported from {report['source']}, by somebody"
    assert exported_pairs(alone, home) == exported_pairs(alone, origin)
    with reading(alone.sessions) as session:
        rows = session.execute(
            select(Annotation.imported, Annotation.state, Submission.origin)
            .join(Submission, Submission.annotation_id == Annotation.id)
            .where(Annotation.label_id == home.label_id)
        ).all()
        assert [tuple(row) for row in rows] == [(True, State.ACCEPTED, Origin.IMPORTED)] * 3
    made = open_next(alone.api, home.label_id)
    alone.work()
    assert told(alone.api.get(f"/annotations/{made.id}"))["prediction"]["context_size"] == 3


def exported_pairs(alone: Alone, project: AProject) -> Any:
    return json.loads(unpacked(exported(alone.api, project.label_id))[MANIFEST])["pairs"]


def test_of_more_than_an_archive_holds_it_has_what_is_pinned_and_the_newest(
    alone: Alone, origin: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exported_pairs(alone, origin)
    alone.accept(origin.label_id)
    monkeypatch.setattr(transfer, "MOST_PAIRS", 2)
    data = exported(alone.api, origin.label_id)
    manifest = json.loads(unpacked(data)[MANIFEST])
    assert manifest["left_out"] == 2 and len(manifest["pairs"]) == 2
    assert manifest["pairs"][0] == whole[1] and manifest["pairs"][1] not in whole
    home = a_project(alone.api, images=0)
    assert len(told(imported(alone.api, home.label_id, data), 201)["pairs"]) == 2


def test_an_import_twice_changes_nothing_and_says_so(alone: Alone, origin: AProject) -> None:
    home, data = a_project(alone.api, images=0), exported(alone.api, origin.label_id)
    key = {"Idempotency-Key": "once"}
    first = told(imported(alone.api, home.label_id, data, headers=key), 201)
    assert told(imported(alone.api, home.label_id, data, headers=key), 201) == first
    again = told(imported(alone.api, home.label_id, data), 201)
    assert {pair["detail"] for pair in again["pairs"]} == {"The image has an accepted mask here already."}
    assert len(context_of(alone.api, home.label_id)) == 3
    with reading(alone.sessions) as session:
        of_home = Image.project_id == home.id
        assert session.scalar(select(func.count(Image.id)).where(of_home)) == 3


def draft_and_go(hand: Hand) -> None:
    body = {"prompts": [CLICK], "step": 0, "mask": None}
    told(hand.api.put(f"/annotations/{hand.id}/draft", json=body, headers=hand.lease))
    hand.post("release", status=204)


def undo_and_go(hand: Hand) -> None:
    hand.draw()
    hand.undo()
    hand.post("release", status=204)


def time_out(hand: Hand) -> None:
    end_lease(hand, Lease.expires_at)


def doze(hand: Hand) -> None:
    end_lease(hand, Lease.idle_at)


def end_lease(hand: Hand, clock: Any) -> None:
    with unit_of_work(hand.alone.sessions) as session:
        session.execute(update(Lease).values({clock: now() - timedelta(seconds=1)}))


def withdrawn_import(hand: Hand) -> None:
    hand.post("release", status=204)
    named = {"files": ("mine.png", png(disc(20, 20, 5)))}
    project_id = told(hand.api.get("/projects"))[-1]["id"]
    told(hand.api.post(f"/projects/{project_id}/masks", files=named, data={"label": "disc"}), 201)
    path = f"/annotations/{hand.id}/withdraw"
    told(hand.api.post(path, json={"reason": "wrong side"}, headers={"If-Match": "*"}))


BEGUN = "Somebody has begun on the image here. Their mask enters the context once it is accepted."


@pytest.mark.parametrize(
    ("do", "detail"),
    [
        (lambda _: None, BEGUN),
        (draft_and_go, BEGUN),
        (undo_and_go, BEGUN),
        (time_out, None),
        (doze, None),
        (withdrawn_import, None),
    ],
    ids=["at it", "drafted", "undone", "timed out", "dozing", "withdrawn import"],
)
def test_what_people_have_begun_stays_and_what_they_left_as_it_was_is_free(
    alone: Alone, origin: AProject, do: Callable[[Hand], None], detail: str | None
) -> None:
    data = exported(alone.api, origin.label_id)
    manifest = json.loads(unpacked(data)[MANIFEST])
    home = a_project(alone.api, images=0)
    first = manifest["pairs"][0]["image"]["file"]
    told(upload(alone.api, home.id, {"mine.png": unpacked(data)[first]}), 201)
    hand = take_next(alone, alone.api, home.label_id)
    do(hand)
    report = told(imported(alone.api, home.label_id, data), 201)["pairs"]
    assert [pair["detail"] for pair in report] == [detail, None, None]
    assert [pair["entry_id"] is None for pair in report] == [detail is not None, False, False]
    assert hand.seen()["state"] == ("open" if detail else "accepted")


def with_manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        manifest = json.loads(files[MANIFEST])
        change(manifest)
        files[MANIFEST] = json.dumps(manifest).encode()

    return apply


def in_place_of_the_first_mask(content: bytes, *, told: bool) -> Callable[[Files], None]:
    """Another mask file; ``told``: its digest is in the manifest."""

    def apply(files: Files) -> None:
        manifest = json.loads(files[MANIFEST])
        first = manifest["pairs"][0]["mask"]["file"]
        files[first] = content
        for mask in (pair["mask"] for pair in manifest["pairs"]):
            if told and mask["file"] == first:
                mask["sha256"] = sha256(content).hexdigest()
        files[MANIFEST] = json.dumps(manifest).encode()

    return apply


def all_images(**told: int) -> Callable[[Files], None]:
    return with_manifest(lambda manifest: [pair["image"].update(told) for pair in manifest["pairs"]])


def of_another_width(pair: dict[str, Any]) -> dict[str, Any]:
    return pair | {"image": pair["image"] | {"width": pair["image"]["width"] + 1}}


def larger_than_any_image(files: Files) -> None:
    """A mask is of more pixels than an image may have, as all images are said to be."""
    all_images(width=40_000, height=40_000)(files)
    in_place_of_the_first_mask(png_that_claims(40_000, 40_000), told=True)(files)


HOSTILE: dict[str, tuple[Callable[[Files], Any], str]] = {
    "no manifest": (lambda files: files.pop(MANIFEST), "no manifest.json"),
    "manifest of nothing": (lambda files: files.update({MANIFEST: b"[]"}), "manifest.json"),
    "another format": (with_manifest(lambda told: told.update(format="zip")), "format"),
    "no number": (with_manifest(lambda told: told["pairs"][0]["image"].update(scale="NaN")), "scale"),
    "a name with a break": (with_manifest(lambda told: told.update(project="a\nb")), "project"),
    "a file is missing": (lambda files: files.pop(list(files)[-1]), "missing"),
    "another size": (all_images(width=65), "64 x 48"),
    "another kind": (
        with_manifest(lambda told: told["pairs"][0]["image"].update(media_type="image/jpeg")),
        "image/png",
    ),
    "an image as a mask": (
        with_manifest(lambda told: told["pairs"][0].update(mask=told["pairs"][1]["image"])),
        "an image and a mask",
    ),
    "one image of two sizes": (
        with_manifest(lambda told: told["pairs"].append(of_another_width(told["pairs"][0]))),
        "two sizes",
    ),
    "a mask that is too large": (larger_than_any_image, "at most 64,000,000 are taken"),
    "a mask of another size": (in_place_of_the_first_mask(to_png(np.eye(5) > 0), told=True), "5 x 5"),
    "a mask that was changed": (
        in_place_of_the_first_mask(to_png(np.eye(48, 64) > 0), told=False),
        "SHA-256",
    ),
    "a mask that is a page": (in_place_of_the_first_mask(b"<svg/>", told=True), "PNG"),
    "a bomb": (lambda files: files.update({"zeros": bytes(100 * 1024 * 1024)}), "at most"),
    "a way out": (
        with_manifest(lambda told: told["pairs"][0]["image"].update(file="../../etc/passwd")),
        "missing",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_with_one_pair_refuses_all(alone: Alone, origin: AProject, name: str) -> None:
    spoil, expected = HOSTILE[name]
    files = unpacked(exported(alone.api, origin.label_id))
    spoil(files)
    refused(alone, repacked(files), expected)


def test_no_mask_is_decoded_that_is_larger_than_an_image_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = Mock()
    monkeypatch.setattr(archive, "read_mask", decoded)
    mask = png_that_claims(40_000, 40_000)
    manifest = manifest_of((png(), mask), width=40_000, height=40_000)
    with pytest.raises(ContextRefused, match="at most 1,000,000 are taken"):
        check(repacked({"0.mask": mask, "0.image": png()}), manifest, max_pixels=1_000_000)
    assert not decoded.called


def test_what_several_pairs_have_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = {name: Mock(wraps=getattr(archive, name)) for name in ("read_mask", "decode", "digest_of")}
    for name, look in looks.items():
        monkeypatch.setattr(archive, name, look)
    image, one, other = png(), to_png(np.eye(48, 64) > 0), to_png(np.eye(48, 64) == 0)
    manifest = manifest_of(*[(image, one)] * 20, *[(image, other)] * 20)
    files = {"0.image": image, "0.mask": one, "20.mask": other}
    check(repacked(files), manifest, max_pixels=1_000_000)
    assert {name: look.call_count for name, look in looks.items()} == {
        "read_mask": 2,
        "decode": 1,
        "digest_of": 3,
    }
    with pytest.raises(ContextRefused) as refused:
        check(repacked(files | {"0.mask": other}), manifest, max_pixels=1_000_000)
    assert len(refused.value.extra["problems"]) == 20


def manifest_of(*pairs: tuple[bytes, bytes], width: int = 64, height: int = 48) -> Manifest:
    """That of pairs of an image and a mask; the same bytes are in one file."""
    names: dict[bytes, str] = {}
    for n, (image, mask) in enumerate(pairs):
        names.setdefault(image, f"{n}.image")
        names.setdefault(mask, f"{n}.mask")

    def told(data: bytes) -> dict[str, str]:
        return {"file": names[data], "sha256": sha256(data).hexdigest()}

    size = {"width": width, "height": height, "media_type": "image/png", "name": "a.png"}
    return Manifest.model_validate(
        {
            "project": "p",
            "label": "l",
            "model": "m",
            "context_version": 1,
            "pairs": [{"image": told(image) | size, "mask": told(mask)} for image, mask in pairs],
        }
    )


@pytest.mark.parametrize(
    "data", [b"", b"PK", png(), repacked({})], ids=["empty", "cut", "an image", "nothing"]
)
def test_what_is_no_archive_is_refused(alone: Alone, data: bytes) -> None:
    refused(alone, data, "")


def test_a_file_with_a_way_out_in_its_own_name_is_refused(alone: Alone, origin: AProject) -> None:
    files = unpacked(exported(alone.api, origin.label_id))
    manifest = json.loads(files[MANIFEST])
    image = manifest["pairs"][0]["image"]
    files["../out.png"] = files.pop(image["file"])
    image["file"] = "../out.png"
    refused(alone, repacked(files | {MANIFEST: json.dumps(manifest).encode()}), "leads out")


def refused(alone: Alone, data: bytes, expected: str) -> None:
    """The archive is refused, in words, and nothing of it is left."""
    home = a_project(alone.api, images=0)
    kept = set(alone.storage._blobs)
    told_why = told(imported(alone.api, home.label_id, data), 422)
    assert told_why["code"] == "context_refused" and expected in told_why["detail"], told_why
    assert set(alone.storage._blobs) == kept
    assert context_of(alone.api, home.label_id) == []
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Source.id)).where(Source.project_id == home.id)) == 0


def test_an_import_without_an_archive_is_refused(alone: Alone, origin: AProject) -> None:
    path = f"/labels/{origin.label_id}/context/import"
    assert told(alone.api.post(path), 422)["code"] == "invalid"
    assert told(alone.api.post(path, data={"file": "text"}), 422)["code"] == "invalid"


def test_a_fresh_project_starts_from_the_context_of_another(api: httpx.Client, service: Any) -> None:
    first, fresh, empty = (a_project(api, images=n) for n in (3, 1, 1))
    for _ in range(3):
        accept_next(api, first.label_id, clicks=1)
    with Accrue(service.base_url, service.token) as accrue:
        pairs = accrue.import_context(fresh.label_id, accrue.export_context(first.label_id))
        shown = accrue.context(fresh.label_id)
        started, alone = accrue.next(fresh.label_id), accrue.next(empty.label_id)
    assert [entry["id"] for entry in shown] == [pair["entry_id"] for pair in pairs]
    assert started is not None and alone is not None
    assert (started.context_size, started.mask.any()) == (3, True), "nobody has drawn on it"
    assert (alone.context_size, alone.mask.any()) == (0, False)
