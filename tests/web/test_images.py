"""The images of a project in a real browser: found by where they stand and how unsure the model was."""

import re
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Locator, Page, expect

from service.db import unit_of_work
from service.tables import Annotation, Role
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, accept_next, open_next, png, review_all, told, upload
from tests.web.conftest import SignIn, eventually, held_back
from tests.web.people import a_person


def shown(page: Page) -> Locator:
    """The names of the images that the page shows."""
    return page.locator(".tile .name")


def test_images_are_found_by_state_holder_label_and_uncertainty(
    page: Page, api: httpx.Client, service: ServiceUnderTest
) -> None:
    project = a_project(api, images=4, use_context=False)  # each is predicted once, and then left alone
    accept_next(api, project.label_id, clicks=1)
    held = told(api.post(f"/labels/{project.label_id}/next"))["annotation"]
    told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)
    path = f"/labels/{project.label_id}/annotations"
    eventually(lambda: all(each["uncertainty"] is not None for each in told(api.get(path))))
    with unit_of_work(service.sessions) as session:
        for queued, uncertainty in zip(told(api.get(path)), (0.3, 0.05, 0.6, None), strict=True):
            session.get_one(Annotation, queued["id"]).first_uncertainty = uncertainty

    page.goto(f"/projects/{project.id}/images")
    expect(shown(page)).to_have_text(["0.png", "1.png", "2.png", "3.png"])
    page.get_by_label("State").select_option("Accepted")
    expect(shown(page)).to_have_text(["0.png"])
    page.get_by_label("State").select_option("Any")
    page.get_by_label("Held by").select_option("Somebody")
    expect(shown(page)).to_have_text([held["image"]["name"]])
    page.get_by_label("Held by").select_option("Nobody")
    expect(shown(page)).to_have_count(3)
    page.get_by_label("Held by").select_option("Anybody or nobody")

    page.get_by_label("Order").select_option("Most uncertain first")
    expect(shown(page)).to_have_text(["2.png", "0.png", "1.png"])
    expect(page.locator(".tile").first).to_contain_text("60 % unsure")
    page.get_by_label("Uncertainty").select_option("25 % or more")
    expect(shown(page)).to_have_text(["2.png", "0.png"])
    page.get_by_label("Order").select_option("As they came")
    expect(shown(page)).to_have_text(["0.png", "2.png"])
    page.get_by_label("Label").select_option("rim")
    expect(page.get_by_text("No image is like that")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(shown(page)).to_have_count(4)


def test_more_than_a_page_of_images_is_shown_on_demand_in_either_order(
    page: Page, api: httpx.Client, service: ServiceUnderTest
) -> None:
    project = a_project(api, images=0)
    small = {f"{index}.png": png(np.full((4, 4), index, np.uint8)) for index in range(70)}
    told(upload(api, project.id, small), 201)
    with unit_of_work(service.sessions) as session:
        of_label = session.query(Annotation).filter_by(label_id=project.label_id)
        for index, annotation in enumerate(of_label.order_by(Annotation.id)):
            annotation.first_uncertainty = index // 10 / 10
    page.goto(f"/projects/{project.id}/images")
    for order, last in (("As they came", "69.png"), ("Most uncertain first", "0.png")):
        page.get_by_label("Order").select_option(order)
        expect(shown(page)).to_have_count(60)
        page.get_by_role("button", name="Show more").click()
        expect(shown(page)).to_have_count(70)
        assert len(set(shown(page).all_inner_texts())) == 70
        expect(shown(page).last).to_have_text(last)


def test_masks_that_were_drawn_elsewhere_are_accepted_and_what_fits_no_image_is_told(
    page: Page, api: httpx.Client, tmp_path: Path
) -> None:
    project = a_project(api, images=3)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 10:40] = 255
    for name in ("0_mask.png", "1_mask.png", "elsewhere_mask.png"):
        (tmp_path / name).write_bytes(png(mask))
    page.goto(f"/projects/{project.id}")
    page.get_by_text("Add masks that were drawn elsewhere").click()
    page.get_by_label("The masks are of").select_option("disc")
    page.get_by_label("Add masks that were drawn elsewhere: Choose a folder").set_input_files(tmp_path)
    lines = page.locator("details .uploads li")
    expect(lines.filter(has_text="Stored")).to_have_count(2)
    expect(lines.filter(has_text="elsewhere_mask.png")).to_contain_text("Refused")
    expect(page.get_by_text("2 of 3 images accepted")).to_be_visible()
    page.get_by_role("link", name="Context").click()
    expect(page.locator(".tile")).to_have_count(2)


def test_managers_assign_images_and_take_one_back(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=3)
    told(api.post(f"/labels/{project.label_id}/next"))
    page.goto(f"/projects/{project.id}/images")
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(3)
    page.get_by_label("Held by").select_option("Somebody")
    expect(tiles).to_have_count(1)
    expect(tiles).to_contain_text("accrue has it until")
    tiles.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("No image is like that")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    tiles.first.get_by_label("Select").check()
    page.get_by_label("Assign to").select_option("accrue")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Change 1 image").click()
    expect(tiles.first).to_contain_text("Priority 7")
    expect(tiles.first).to_contain_text("For accrue")


def test_images_that_are_selected_while_others_are_assigned_stay_selected(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=3)
    held = held_back(page, "**/assignments")
    page.goto(f"/projects/{project.id}/images")
    tiles = page.locator(".tile")
    tiles.nth(0).get_by_label("Select").check()
    page.get_by_label("Priority").fill("7")
    with page.expect_request("**/assignments"):
        page.get_by_role("button", name="Change 1 image").click()
    tiles.nth(1).get_by_label("Select").check()
    held.pop().continue_()
    expect(tiles.nth(0)).to_contain_text("Priority 7")
    expect(tiles.nth(0).get_by_label("Select")).not_to_be_checked()
    expect(tiles.nth(1).get_by_label("Select")).to_be_checked()


def test_filters_and_how_many_are_shown_outlast_another_page_and_tabs_keep_the_label(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=0)
    small = {f"{index}.png": png(np.full((4, 4), index, np.uint8)) for index in range(70)}
    told(upload(api, project.id, small), 201)
    rim = told(api.post(f"/projects/{project.id}/labels", json={"name": "rim"}), 201)["id"]
    page.goto(f"/projects/{project.id}/images")
    page.get_by_label("Held by").select_option("Nobody")
    page.get_by_label("Label").select_option("rim")
    page.get_by_role("button", name="Show more").click()
    expect(shown(page)).to_have_count(70)
    page.get_by_role("link", name="Context").click()
    expect(page.get_by_label("Label")).to_have_value(str(rim))
    page.go_back()
    expect(shown(page)).to_have_count(70)
    expect(page.get_by_label("Held by")).to_have_value("free")
    expect(page.get_by_label("Label")).to_have_value(str(rim))
    page.reload()
    expect(page.get_by_label("Held by")).to_have_value("free")


def test_only_images_that_are_seen_are_changed(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=2)
    told(api.post(f"/labels/{project.label_id}/next"))
    page.goto(f"/projects/{project.id}/images")
    page.get_by_role("button", name="Select all shown").click()
    expect(page.get_by_role("button", name="Change 2 images")).to_be_visible()
    page.get_by_label("Held by").select_option("Nobody")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.get_by_role("button", name="Change")).to_have_count(0)
    page.get_by_label("Held by").select_option("Anybody or nobody")
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.get_by_role("button", name="Change")).to_have_count(0)


def test_an_image_that_changed_meanwhile_is_reopened_at_the_second_try(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=1)

    def skip(reason: str) -> None:
        opened = open_next(api, project.label_id, wait=True)
        told(api.post(f"/annotations/{opened.id}/skip", json={"reason": reason}, headers=opened.headers))

    skip("blurred")
    page.goto(f"/projects/{project.id}/images")
    tile = page.locator(".tile")
    expect(tile).to_contain_text("blurred")
    (row,) = told(api.get(f"/labels/{project.label_id}/annotations"))
    told(api.post(f"/annotations/{row['id']}/reopen", headers={"If-Match": f'"{row["version"]}"'}))
    skip("twice there")
    tile.get_by_role("button", name="Reopen").click()
    expect(page.locator(".toast.alarming")).to_be_visible()
    expect(tile).to_contain_text("twice there")
    tile.get_by_role("button", name="Reopen").click()
    expect(tile.locator(".chip")).to_have_text("Open")


def test_a_tile_leads_to_the_work_only_where_there_is_some_for_whoever_presses_it(
    page: Page, sign_in: SignIn, api: httpx.Client, service: ServiceUnderTest
) -> None:
    project = a_project(api, images=2)
    accept_next(api, project.label_id, clicks=1)
    looking = sign_in(a_person(service, project.id, Role.VIEWER).token).new_page()
    work, picture = re.compile(r"/annotations/\d+$"), re.compile(r"/api/images/\d+/thumbnail\?size=1024$")
    for who, leads in ((page, (picture, work)), (looking, (picture, picture))):
        who.goto(f"/projects/{project.id}/images")
        for index, where in enumerate(leads):
            expect(who.locator(".tile").nth(index).get_by_role("link")).to_have_attribute("href", where)
    looking.locator(".tile").first.get_by_role("link").click()
    looking.wait_for_url(picture)
    assert looking.evaluate("document.contentType") == "image/png"


def test_who_submitted_something_takes_it_back_and_goes_on_with_it(
    page: Page, sign_in: SignIn, api: httpx.Client, service: ServiceUnderTest
) -> None:
    project = a_project(api, images=2, use_context=False)
    annotator = a_person(service, project.id, Role.ANNOTATOR)
    theirs = sign_in(annotator.token).new_page()
    with service.client(annotator.token) as their_api:
        accept_next(their_api, project.label_id, clicks=1)
    for who, times in ((page, 0), (theirs, 1)):
        who.goto(f"/projects/{project.id}/images")
        expect(who.locator(".tile").first).to_contain_text("Accepted")
        expect(who.get_by_role("button", name="Take back")).to_have_count(times)
    theirs.get_by_role("button", name="Take back").click()
    expect(theirs.locator(".tile").first).to_contain_text("Returned")
    expect(theirs.get_by_role("button", name="Take back")).to_have_count(0)


def test_nobody_is_asked_to_take_back_what_a_reviewer_has_accepted(
    sign_in: SignIn, api: httpx.Client, service: ServiceUnderTest
) -> None:
    project = a_project(api, images=2, use_context=False)
    review_all(api, project)
    annotator = a_person(service, project.id, Role.ANNOTATOR)
    with service.client(annotator.token) as theirs:
        for _ in range(2):
            accept_next(theirs, project.label_id, clicks=1)
    opened = told(api.post(f"/labels/{project.label_id}/review/next"))
    annotation = opened["annotation"]
    headers = {"Lease-Token": opened["lease"]["token"], "If-Match": f'"{annotation["version"]}"'}
    told(api.post(f"/annotations/{annotation['id']}/accept", headers=headers))
    page = sign_in(annotator.token).new_page()
    page.goto(f"/projects/{project.id}/images")
    accepted, submitted = page.locator(".tile").nth(0), page.locator(".tile").nth(1)
    expect(accepted).to_contain_text("Accepted")
    expect(submitted.get_by_role("button", name="Take back")).to_have_count(1)
    expect(accepted.get_by_role("button", name="Take back")).to_have_count(0)


def test_a_file_is_deleted_and_where_people_worked_on_it_only_by_its_name(
    page: Page, api: httpx.Client
) -> None:
    project = a_project(api, images=3)
    accept_next(api, project.label_id)
    page.goto(f"/projects/{project.id}/images")
    expect(shown(page)).to_have_text(["0.png", "1.png", "2.png"])
    dialog = page.get_by_role("dialog")

    page.get_by_role("button", name="Delete file of 1.png").click()
    expect(dialog.get_by_role("heading")).to_have_text("Delete file of 1.png?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Delete file of 1.png").click()
    dialog.get_by_role("button", name="Delete file").click()
    expect(shown(page)).to_have_text(["0.png", "2.png"])

    page.get_by_role("button", name="Delete file of 0.png").click()
    sure = dialog.get_by_role("button", name="Delete file")
    sure.click()
    expect(dialog.get_by_role("alert")).to_have_text("People have worked on it.")
    expect(dialog).to_contain_text("Accepted: 1, Context: 1")
    expect(sure).to_be_disabled()
    dialog.get_by_label("Its name, to be sure").fill("0.png")
    sure.click()
    expect(shown(page)).to_have_text(["2.png"])
    assert [each["name"] for each in told(api.get(f"/projects/{project.id}/images"))] == ["2.png"]
