"""A page that stays open while the service is upgraded: it says so, and a reload brings what is missing."""

import httpx
from playwright.sync_api import Page, Route, expect

from tests.factories import a_project

UPGRADED = "Accrue has been upgraded."


def test_an_open_page_says_that_the_service_has_been_upgraded(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=1)

    def upgraded(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "accrue-version": "0.1.0+another"})

    page.goto(f"/projects/{project.id}/images")
    expect(page.get_by_text("0.png").first).to_be_visible()
    expect(page.get_by_text(UPGRADED)).to_have_count(0)
    page.route("**/api/projects/*/exports*", upgraded)
    page.get_by_role("link", name="Exports").click()
    expect(page.get_by_text(UPGRADED)).to_be_visible()
    page.unroute("**/api/projects/*/exports*")
    with page.expect_navigation():
        page.get_by_role("button", name="Reload the page").click()
    expect(page.get_by_role("link", name="Exports")).to_be_visible()
    expect(page.get_by_text(UPGRADED)).to_have_count(0)


def test_a_part_that_could_not_be_fetched_comes_with_a_reload(page: Page, api: httpx.Client) -> None:
    project = a_project(api, images=0)
    page.goto(f"/projects/{project.id}/images")
    page.route("**/assets/dashboard-*.js", lambda route: route.abort())
    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_text("could not be fetched")).to_be_visible()
    page.unroute("**/assets/dashboard-*.js")
    page.get_by_role("button", name="Reload the page").click()
    expect(page.get_by_role("heading", name="No accepted images yet")).to_be_visible()
