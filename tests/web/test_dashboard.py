"""The dashboard in a real browser: live, and every plot goes along as a picture and as numbers."""

import csv
import io
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Page, expect

from service.client import Accrue
from service.db import unit_of_work
from service.tables import Annotation
from tests.conftest import ServiceUnderTest
from tests.factories import AProject, a_project, accept_next, told
from tests.web.conftest import held_back

ACCEPTED, IMAGES = 12, 15
INK = (0x0A, 0x67, 0x66)  # what the curves are drawn in on a light page


@pytest.fixture(scope="module")
def half_done(service: ServiceUnderTest) -> AProject:
    """Twelve of fifteen images accepted over two days, every other one without the context."""
    with service.client() as api:
        return work_half_of_it(api, service)


def work_half_of_it(api: httpx.Client, service: ServiceUnderTest) -> AProject:
    project = a_project(api, images=IMAGES)
    seen = {"If-Match": api.get(f"/projects/{project.id}").headers["ETag"]}
    told(api.patch(f"/projects/{project.id}", json={"control_share": 0.5}, headers=seen))
    with unit_of_work(service.sessions) as session:
        for each in session.query(Annotation).filter_by(label_id=project.label_id):
            each.lot = 0.2 if each.position % 2 else 0.8
    for index in range(ACCEPTED):
        accept_next(api, project.label_id, clicks=index % 3)
    with unit_of_work(service.sessions) as session:
        of_label = session.query(Annotation).filter_by(label_id=project.label_id)
        for each in of_label.order_by(Annotation.id).limit(ACCEPTED // 2):
            assert each.accepted_at is not None
            each.accepted_at -= timedelta(days=1)
    return project


def taken(page: Page, plot: str, kind: str) -> bytes:
    """The file that a plot's button hands to the browser's downloads."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"{plot} as {kind}").click()
    assert download.value.suggested_filename.endswith(kind.lower())
    return Path(download.value.path()).read_bytes()


def numbers(page: Page, plot: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(taken(page, plot, "CSV").decode())))


def test_the_dashboard_follows_what_is_accepted_elsewhere(
    page: Page, service: ServiceUnderTest, api: httpx.Client
) -> None:
    project = a_project(api, images=3)
    accept_next(api, project.label_id, clicks=2)
    page.goto(f"/projects/{project.id}/dashboard")
    curve = page.get_by_role("img", name="Interactions per image")
    expect(curve).to_have_attribute("data-points", "1")
    with Accrue(service.base_url, service.token) as client:
        held = client.next(project.label_id)
        assert held is not None
        client.submit(held)
    expect(curve).to_have_attribute("data-points", "2")
    expect(page.get_by_text("over 2 accepted images")).to_be_visible()


def test_of_another_label_no_plot_is_shown(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=1)
    accept_next(api, project.label_id, clicks=1)
    rim = told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)["id"]
    path = f"**/api/labels/{rim}/metrics/curve"
    held = held_back(page, path)
    page.goto(f"/projects/{project.id}/dashboard")
    curve = page.get_by_role("img", name="Interactions per image")
    expect(curve).to_be_visible()
    with page.expect_request(path):
        page.get_by_label("Label").select_option("rim")
    expect(page.get_by_text("Loading …")).to_be_visible()
    expect(curve).to_have_count(0)
    held.pop().continue_()
    expect(page.get_by_text("Loading …")).to_have_count(0)
    expect(curve).to_have_count(0)


def test_each_plot_goes_along_as_the_numbers_that_the_service_measured(
    page: Page, api: httpx.Client, half_done: AProject
) -> None:
    page.goto(f"/projects/{half_done.id}/dashboard")
    measured = told(api.get(f"/labels/{half_done.label_id}/metrics/curve"))
    (of_label,) = told(api.get(f"/projects/{half_done.id}/metrics"))["labels"]

    curve = numbers(page, "Interactions per image")
    assert [int(row["Accepted image"]) for row in curve] == list(range(1, ACCEPTED + 1))
    assert [float(row["Running mean"]) for row in curve] == [each["running_mean"] for each in measured]
    without = [row["Accepted image"] for row in curve if row["Without context"]]
    assert len(without) == ACCEPTED // 2
    assert all(bool(row["Interactions"]) != bool(row["Without context"]) for row in curve)

    effort = numbers(page, "Effort, done and to come")
    total = of_label["work"]["interactions"]
    assert [float(effort[at]["Interactions so far"]) for at in (0, -2)] == [0, pytest.approx(total)]
    last, left = effort[-1], of_label["projection"]["interactions"]
    assert (int(last["Accepted image"]), last["Interactions so far"]) == (IMAGES, "")
    for column, bound in (("Expected", "value"), ("At least (95 %)", "low"), ("At most (95 %)", "high")):
        assert float(last[column]) == pytest.approx(total + left[bound])

    days = numbers(page, "Active time per image, day by day")
    assert [int(row["Accepted images"]) for row in days] == [ACCEPTED // 2] * 2
    assert all(float(row["Seconds per image"]) >= 0 for row in days)
    expect(page.locator("dt", has_text="Active time per image")).to_be_visible()


def test_each_plot_goes_along_as_a_picture_of_what_is_seen(page: Page, half_done: AProject) -> None:
    page.goto(f"/projects/{half_done.id}/dashboard")
    for plot in ("Interactions per image", "Effort, done and to come", "Active time per image, day by day"):
        picture = Picture.open(io.BytesIO(taken(page, plot, "PNG"))).convert("RGB")
        assert picture.width > 600 and picture.height > 300
        inked = (np.asarray(picture) == INK).all(axis=-1)
        assert inked.sum() > 200, plot
        title = np.asarray(picture.convert("L"))[: picture.height // 12]
        assert title.min() < 64 and title.max() == 255, plot
