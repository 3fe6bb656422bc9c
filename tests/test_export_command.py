"""Exports from a running service, with the Python client and from the command line."""

import json
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from typer.testing import CliRunner

from cli import app
from models.prompts import Click
from service.client import Accrue, RefusedError
from service.db import unit_of_work
from service.storage import open_storage
from service.tables import Annotation
from tests.conftest import ServiceUnderTest
from tests.exporting import picture
from tests.factories import png


@pytest.fixture
def client(service: ServiceUnderTest):  # type: ignore[no-untyped-def]
    with Accrue(service.base_url, service.token, patience=5) as client:
        yield client


@pytest.fixture
def project(client: Accrue) -> tuple[int, str]:
    """A project with two images, one of them accepted after a click."""
    name = f"exported {uuid4()}"
    project = client.create_project(name)
    client.upload_images(project, [(f"{i}.png", png()) for i in range(2)])
    held = client.next(client.add_label(project, "disc"))
    assert held is not None
    client.submit(client.interact(held, [Click(32, 24)]))
    return project, name


def test_the_client_exports_a_project_and_tells_how_far_it_is(
    client: Accrue, project: tuple[int, str], tmp_path: Path
) -> None:
    heard: list[tuple[str, float]] = []
    made = client.export(
        project[0], "png", tmp_path / "masks.zip", progress=lambda what, share: heard.append((what, share))
    )
    assert (made["state"], made["report"]) == ("done", [])
    assert heard[-1] == ("downloaded", 1.0) and ("made", 1.0) in heard
    (accepted,) = client.interactions_per_image(made["labels"][0])
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        exported = picture(archive.read(f"masks/disc/{accepted['image']}"))
    (annotation,) = _annotations(client, project[0], tmp_path)
    np.testing.assert_array_equal(exported, client.mask(annotation["id"]))
    assert {each.name for each in tmp_path.iterdir()} == {"masks.zip", "all.json"}


def _annotations(client: Accrue, project_id: int, folder: Path) -> list[dict[str, Any]]:
    """The accepted annotations, as the JSON of everything tells of them."""
    client.export(project_id, "json", folder / "all.json")
    everything = json.loads((folder / "all.json").read_bytes())
    return [each for each in everything["annotations"] if each["state"] == "accepted"]


def test_a_download_goes_on_where_it_broke_off(
    client: Accrue, project: tuple[int, str], tmp_path: Path
) -> None:
    made = client.export(project[0], "json", tmp_path / "first.json")
    whole = (tmp_path / "first.json").read_bytes()
    part = tmp_path / f"second.json.{made['digest'][:12]}.part"
    part.write_bytes(b"*" * 100)  # what is there is not fetched again
    client.download_export(made, tmp_path / "second.json")
    assert (tmp_path / "second.json").read_bytes() == b"*" * 100 + whole[100:]
    assert not part.exists()


def test_what_is_exported_as_coco_can_be_imported_into_another_project(
    client: Accrue, tmp_path: Path
) -> None:
    files = [(f"{i}.png", png()) for i in range(2)]
    first, second = (client.create_project(f"{name} {uuid4()}") for name in ("from", "to"))
    for project_id in (first, second):
        client.upload_images(project_id, files)
    held = client.next(client.add_label(first, "disc"))
    assert held is not None
    held = client.interact(held, [Click(32, 24)])
    client.submit(held)
    client.export(first, "coco", tmp_path / "masks.json")
    client.add_label(second, "disc")
    client.import_masks(second, [tmp_path / "masks.json"])
    (annotation,) = _annotations(client, second, tmp_path)
    np.testing.assert_array_equal(client.mask(annotation["id"]), held.mask)


def test_an_export_can_be_deleted(client: Accrue, project: tuple[int, str], tmp_path: Path) -> None:
    made = client.export(project[0], "csv", tmp_path / "lines.csv")
    assert [each["id"] for each in client.exports(project[0])] == [made["id"]]
    client.delete_export(made["id"])
    assert client.exports(project[0]) == []
    with pytest.raises(RefusedError, match="not_found"):
        client.download_export(made, tmp_path / "again.csv")


def run(service: ServiceUnderTest, *arguments: str) -> tuple[int, str]:
    """The exit code of `accrue export`, and what it says."""
    command = ["export", *arguments, "--url", service.base_url, "--token", service.token]
    told = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    return told.exit_code, told.output


def test_a_project_is_exported_by_name_with_what_was_lost_told(
    service: ServiceUnderTest, project: tuple[int, str], tmp_path: Path
) -> None:
    out = tmp_path / "coco.json"
    code, said = run(service, project[1], "--format", "coco", "--out", str(out), "--label", "disc")
    assert (code, said.lstrip()) == (0, f"{out.stat().st_size:,} bytes are in {out}.\n")
    assert len(json.loads(out.read_bytes())["annotations"]) == 1
    with unit_of_work(service.sessions) as session:
        accepted = session.query(Annotation).filter(Annotation.mask_digest.is_not(None))
        newest = accepted.order_by(Annotation.id.desc()).limit(1).one()
        newest.mask_digest = open_storage("memory://").put(b"gone")
    code, said = run(service, str(project[0]), "--format", "coco", "--out", str(out))
    assert code == 0 and "missing from the storage" in said
    assert json.loads(out.read_bytes())["annotations"] == []


def test_what_cannot_be_exported_is_said_in_a_sentence(
    service: ServiceUnderTest, project: tuple[int, str], tmp_path: Path
) -> None:
    out = str(tmp_path / "masks.zip")
    assert run(service, "no such project", "--out", out)[0] == 1
    code, said = run(service, project[1], "--out", out, "--label", "ring")
    assert code == 1 and "has no label 'ring', only disc" in said
    with Accrue(service.base_url, service.token) as client:
        client.add_label(project[0], "empty")
    code, said = run(service, project[1], "--out", out, "--label", "empty")
    assert code == 1 and "Nothing is accepted yet" in said
    code, said = run(service, project[1], "--out", str(tmp_path / "nowhere" / "masks.zip"))
    assert code == 1 and "There is no folder" in said
    assert list(tmp_path.iterdir()) == []
