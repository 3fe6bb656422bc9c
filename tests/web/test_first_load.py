"""What the first load weighs on the wire, as Chromium counts it."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.factories import a_project
from tests.web.conftest import SignIn

GATE = 150_000  # bytes, everything included
HEADINGS = {
    "/": "Projects",
    "/projects/{0.id}/dashboard": "No accepted images yet",
    "/labels/{0.label_id}/annotate": "Nothing is left to annotate",
}


@pytest.mark.parametrize("path", HEADINGS)
def test_the_first_load_is_light(sign_in: SignIn, api: httpx.Client, path: str) -> None:
    project = a_project(api, images=0)
    page = sign_in().new_page()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    page.goto(path.format(project), wait_until="networkidle")
    expect(page.get_by_role("heading", name=HEADINGS[path])).to_be_visible()
    assert len(sizes) >= 5
    print(f"{path}: {sum(sizes):,.0f} bytes in {len(sizes)} answers")
    assert sum(sizes) <= GATE
