"""A new team does the whole job in three browsers: from the link of the first start to the exported masks."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Locator, Page, expect

from commands.serve import first_admin_link
from service.exports.naming import safe_path
from service.settings import Settings
from tests.conftest import ServiceUnderTest, started
from tests.factories import pixels, png
from tests.files import dicom, nifti, tiff
from tests.web.conftest import VIEWPORT, Desk, eventually
from tests.web.people import come_in

Drawn = tuple[str, Sequence[tuple[float, float]]]

ROUND = [(0.5 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6.4, 16)]
SCRIBBLE: Drawn = ("s", [(0.45, 0.5), (0.5, 0.52), (0.55, 0.5)])
CLICK: Drawn = ("p", [(0.5, 0.5)])
BOX: Drawn = ("r", [(0.3, 0.25), (0.7, 0.75)])
LASSO: Drawn = ("l", ROUND)
BRUSH: Drawn = ("b", [(0.1, 0.1), (0.3, 0.15)])
ERASER: Drawn = ("e", [(0.15, 0.1), (0.2, 0.12)])
# How each image is drawn on: with a tool of the model's, then with others.
HANDS: Sequence[tuple[Drawn, Sequence[Drawn]]] = [
    (SCRIBBLE, [BRUSH]),
    (CLICK, [BRUSH, ERASER]),
    (BOX, [("f", [(0.95, 0.95)])]),
    (LASSO, [BRUSH, ("b", ROUND), ("g", []), ERASER]),
    (SCRIBBLE, [("b", [(0.9, 0.9)]), ("k", []), BRUSH]),
    (CLICK, [BRUSH]),
    (BOX, [("b", [(0.7, 0.9)])]),
]


@pytest.fixture
def newcomers(tmp_path: Path, new_database: Callable[[str, Path], str]) -> Iterator[ServiceUnderTest]:
    """An installation in which nobody has signed in yet."""
    folder = tmp_path / "installation"
    settings = Settings(data_dir=folder, database_url=new_database("postgresql", folder), port=0)
    with started(settings) as service:
        yield service


@pytest.fixture
def new_page(browser: Browser, newcomers: ServiceUnderTest) -> Iterator[Callable[[], Page]]:
    """Makes a page in a browser of its own; an exception in any of them fails the test."""
    trouble: list[str] = []
    with ExitStack() as stack:

        def open_page() -> Page:
            context = browser.new_context(base_url=newcomers.base_url, viewport=VIEWPORT)
            page = stack.enter_context(context).new_page()
            page.on("pageerror", lambda error: trouble.append(str(error)))
            return page

        yield open_page
    assert trouble == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as scanners leave it: PNG, 16-bit TIFF, DICOM, a volume of three slices, and notes."""
    folder = tmp_path / "hearts"
    (folder / "scans").mkdir(parents=True)
    (folder / "1.png").write_bytes(png())
    (folder / "2.tif").write_bytes(tiff(pixels(dtype="uint16")))
    (folder / "scans" / "3.dcm").write_bytes(dicom(pixels(dtype="uint16")))
    volume = np.stack([pixels().T for _ in range(3)], axis=-1)
    (folder / "scans" / "4.nii.gz").write_bytes(nifti(volume, np.diag([1.0, 1.0, 3.0, 1.0])))
    (folder / "notes.txt").write_text("not an image")
    return folder


def make_a_project(page: Page, folder: Path) -> str:
    """Name, label, folder, invitation: the link that asks annotators in."""
    expect(page.get_by_text("You are in no project yet")).to_be_visible()
    page.get_by_role("link", name="New project").click()
    page.get_by_label("Name", exact=True).fill("Zebrafish hearts")
    page.get_by_label("Labels").fill("ventricle, atrium")
    page.get_by_label("Images: Choose a folder").set_input_files(folder)
    page.get_by_label("Make an invitation link").check()
    page.get_by_role("button", name="Create the project").click()
    expect(page.get_by_text("5 of 5 files done")).to_be_visible()
    expect(page.locator(".uploads .chip", has_text="Stored")).to_have_count(4)
    expect(page.locator(".uploads li", has_text="notes.txt")).to_contain_text("Refused")
    link = page.locator("output").inner_text()
    page.get_by_role("link", name="Open the project").click()
    return link


def drop(page: Page, path: Path, onto: Locator) -> None:
    """Drag what lies in the file system onto the middle of something, as a hand does."""
    onto.hover()  # it is where it will stay
    place = onto.bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    hand = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        hand.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


def ask_a_reviewer_in(page: Page) -> str:
    """Every image is to be reviewed, by somebody who is asked in for it."""
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Review every n-th image").fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("link", name="People").click()
    invitations = page.get_by_role("region", name="Invitations")
    invitations.get_by_label("Role").select_option("reviewer")
    invitations.get_by_role("button", name="Make an invitation").click()
    return invitations.locator("output").inner_text()


def draw(desk: Desk, prompt: Drawn, edits: Sequence[Drawn]) -> None:
    """One interaction with a tool of the model's, then some with those that work without it."""
    desk.press(prompt[0])
    desk.stroke(*prompt[1])
    desk.interactions(1)
    desk.quiet()  # with the model's mask
    before = desk.hash
    for key, points in edits:
        desk.press(key)
        if points:
            desk.stroke(*points)
    desk.painted(than=before)
    desk.saved()


def submit(desk: Desk) -> tuple[str, str]:
    """Submit what is seen and wait for what comes after it; its name and its mask."""
    name, drawn = desk.page.locator(".where .name").inner_text(), desk.hash
    desk.press("Control+Enter")
    shown, done = desk.page.locator(".where .name"), desk.page.locator('[data-phase="empty"]')
    eventually(lambda: done.count() == 1 or shown.inner_text() != name)
    return name, drawn


def return_one(desk: Desk, why: str, remark: str) -> str:
    """Give the image at hand back to its author, with a reason and a remark; its name."""
    desk.ready()
    name = desk.page.locator(".where .name").inner_text()
    desk.press("Control+Backspace")
    desk.page.keyboard.type(why)
    desk.press("Tab")
    desk.page.keyboard.type(remark)
    desk.press("Enter")
    expect(desk.page.locator(".where .name")).not_to_have_text(name)
    return name


def hash_of(data: bytes) -> str:
    """What the page says of a mask, of a PNG: FNV-1a over its pixels."""
    found = 0x811C9DC5
    for pixel in (np.asarray(Picture.open(io.BytesIO(data))) > 0).ravel().tolist():
        found = (found ^ pixel) * 0x01000193 & 0xFFFFFFFF
    return f"{found:08x}"


def exported(page: Page) -> dict[str, str]:
    """The masks of an export that is made and downloaded: the hash of each, by its name in the archive."""
    page.get_by_role("link", name="Exports").click()
    page.get_by_label("Label").select_option("ventricle")
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        return {name: hash_of(archive.read(name)) for name in archive.namelist() if name.endswith(".png")}


def test_a_new_team_does_the_whole_job(
    new_page: Callable[[], Page], newcomers: ServiceUnderTest, folder: Path
) -> None:
    link = first_admin_link(newcomers.settings, newcomers.base_url)
    assert link is not None
    owner = come_in(new_page(), link, "ada")
    link = make_a_project(owner, folder)
    more = folder.parent / "more"
    more.mkdir()
    (more / "5.png").write_bytes(png())
    drop(owner, more, owner.get_by_role("heading", name="Add images"))  # missed: nothing is lost
    drop(owner, more, owner.get_by_role("group", name="Add images"))
    expect(owner.locator(".uploads li", has_text="5.png")).to_contain_text("Stored")
    expect(owner.get_by_text(f"0 of {len(HANDS)} images accepted")).to_have_count(2)

    annotator = Desk(come_in(new_page(), link, "grace"))
    reviewer = Desk(come_in(new_page(), ask_a_reviewer_in(owner), "rosalind"))
    owner.get_by_role("link", name="Dashboard").click()
    expect(owner.get_by_text("No accepted images yet")).to_be_visible()

    annotator.page.get_by_role("link", name="Zebrafish hearts").click()
    annotator.page.get_by_role("link", name="Annotate ventricle").click()
    drawn = {}
    for prompt, edits in HANDS:
        annotator.ready()
        draw(annotator, prompt, edits)
        name, mask = submit(annotator)
        drawn[name] = mask
    expect(annotator.page.get_by_text("Nothing is left to annotate")).to_be_visible()
    assert len(set(drawn.values())) == len(HANDS)

    reviewer.page.get_by_role("link", name="Zebrafish hearts").click()
    reviewer.page.get_by_role("link", name="Review ventricle").click()
    poor = return_one(reviewer, "the valve is missing", "it is at the lower right")
    curve = owner.get_by_role("img", name="Interactions per image")
    for accepted in range(1, len(HANDS)):
        reviewer.ready()
        name, mask = submit(reviewer)
        assert mask == drawn[name]
        expect(curve).to_have_attribute("data-points", str(accepted))

    annotator.page.get_by_role("button", name="Look again").click()
    annotator.ready()
    expect(annotator.page.locator(".where .name")).to_have_text(poor)
    annotator.press("c")
    expect(annotator.page.get_by_text("it is at the lower right").first).to_be_visible()
    annotator.press("Escape")
    before = annotator.hash
    annotator.press("b")
    annotator.stroke((0.6, 0.9), (0.8, 0.9))
    annotator.painted(than=before)
    annotator.saved()
    drawn.update([submit(annotator)])

    reviewer.page.get_by_role("button", name="Look again").click()
    reviewer.ready()
    assert submit(reviewer) == (poor, drawn[poor])
    expect(curve).to_have_attribute("data-points", str(len(HANDS)))
    masks = {f"masks/ventricle/{safe_path(name)}.png": mask for name, mask in drawn.items()}
    assert exported(owner) == masks
