"""The documents say nothing that is not so: files, functions, settings and links in them exist."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.core
import typer.main
from PIL import Image

from cli import app
from service.main import create_app
from service.settings import Settings
from tests.conftest import ServiceUnderTest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs/decisions").glob("*.md")], key=str
)
README = (ROOT / "README.md").read_text()

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@every_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._")
    named = re.findall(rf"`((?:{tops})/[\w./-]*?)(?::\w+)?`", document.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def defined(path: Path) -> set[str]:
    """The names of all functions, classes and methods of a module, and of its variables."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@every_document
def test_every_function_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`([\w/]+\.py):(\w+)`", document.read_text())
    assert [f"{path}:{name}" for path, name in named if name not in defined(ROOT / path)] == []


def test_the_readme_lists_every_setting_and_no_other() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `ACCRUE_")]
    told = {name.lower() for row in rows for name in re.findall(r"`ACCRUE_(\w+)`", row.split("|")[1])}
    assert told == set(Settings.model_fields)


def test_the_readme_tells_the_default_of_every_setting_that_has_one() -> None:
    for row in [line for line in README.splitlines() if line.startswith("| `ACCRUE_")]:
        _, variables, defaults, *_ = row.split("|")
        names = [name.lower() for name in re.findall(r"`ACCRUE_(\w+)`", variables)]
        told = re.findall(r"`([^`]+)`", defaults)
        known = [str(Settings.model_fields[name].default) for name in names]
        if len(told) == len(known) and "None" not in known:
            assert told == known, row


def test_the_readme_names_every_request_that_takes_no_key_and_no_other(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0")
    paths = create_app(settings).openapi()["paths"]
    without = {
        re.sub(r"{\w+}", "{id}", path.removeprefix("/api"))
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "get"
        and "Idempotency-Key" not in {each["name"] for each in operation.get("parameters", ())}
    }
    (told,) = re.findall(r"takes an `Idempotency-Key`; without are (.*?), which", README, re.S)
    assert set(re.findall(r"`(\S+)`", told)) == without


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        name
        for text in DOCUMENTS
        for name in re.findall(r"\bmake (\w+)`|^make (\w+)", text.read_text(), re.M)
    }
    assert {first or second for first, second in named} <= targets


def test_the_measured_numbers_have_their_place() -> None:
    begin, end = README.index("<!-- measured:begin -->"), README.index("<!-- measured:end -->")
    assert begin < end


COMMANDS = sorted({line for line in README.splitlines() if line.startswith("accrue ")})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_in_the_readme_is_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCRUE_TOKEN", "acc_…")
    command, *arguments = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    group.commands[command].make_context(command, arguments)  # parses, and does not run


@every_document
def test_every_command_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"`accrue ([a-z]+)", document.read_text()))
    assert named <= {command.callback.__name__ for command in app.registered_commands if command.callback}


def test_the_python_example_of_the_readme_works_as_it_stands(
    service: ServiceUnderTest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for name in ("first", "second"):
        write_image(Path(f"images/{name}.png"), seed=len(name))
    example = README.split("```python\n", 1)[1].split("```", 1)[0]
    example = example.replace("http://127.0.0.1:8000", service.base_url).replace("acc_…", service.token)
    exec(compile(example, "README.md", "exec"), {})
    rows = ast.literal_eval(capsys.readouterr().out)
    assert [row["interactions"] for row in rows] == [1, 1]


def write_image(path: Path, seed: int) -> None:
    """A bright disc on noise, where the example clicks."""
    y, x = np.mgrid[:160, :200]
    disc = (x - 120) ** 2 + (y - 88) ** 2 < 30**2
    noise = np.random.default_rng(seed).uniform(0, 60, disc.shape)
    Image.fromarray((noise + 150 * disc).astype(np.uint8)).save(path)
