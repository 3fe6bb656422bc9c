"""The house rules that a machine can check: sizes, names, imports, and lists that must be complete."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from sqlalchemy.orm import configure_mappers

from models.encoding import Frame, encode_prompts
from models.prompts import Prompt, anchor_points
from models.simulators import PromptKind, next_prompts
from service.errors import AccrueError
from service.jobs import QUEUE_OF, QUEUES, Job
from service.main import create_app
from service.settings import Settings
from service.tables import Table
from workers.app import TASKS, create_worker, set_up

ROOT = Path(__file__).parent.parent
MEASURED = ("service", "workers", "models", "commands", "benchmarks", "cli.py")
LARGEST_FILE, USUAL_FILE = 400, 250
LARGEST_FUNCTION, USUAL_FUNCTION = 60, 30
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
FEATURE_FILES = {"routes.py", "schemas.py", "actions.py", "queries.py"}
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives"]
NOWHERE = "redis://127.0.0.1:1/0"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def repository_files() -> list[Path]:
    """What belongs to the repository, relative to its root; by git where there is one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [Path(name) for name in listed.stdout.split("\0") if name] if listed.returncode == 0 else []
    if not found:
        ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
        everything = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        found = [p for p in everything if not any(fnmatch(part, i) for part in p.parts for i in ignored)]
    return sorted(path for path in found if (ROOT / path).is_file())


FILES = repository_files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def code(*, tests: bool = False) -> list[Path]:
    """The Python files that the budgets are about."""
    return [path for path in PYTHON if path.parts[0] in (*MEASURED, *(["tests"] if tests else []))]


def lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), str(path))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function as ``file:line name`` and its length in lines."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            yield f"{path}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


# ---- sizes and names


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    assert {str(p): lines(p) for p in code(tests=True) if lines(p) > LARGEST_FILE} == {}


def test_nine_files_in_ten_stay_within_two_hundred_and_fifty_lines() -> None:
    assert np.percentile([lines(path) for path in code()], 90) <= USUAL_FILE


def test_no_file_of_the_page_is_longer_than_four_hundred_lines() -> None:
    written = [path for path in FILES if path.suffix in (".ts", ".tsx") and not path.name.endswith(".d.ts")]
    assert written
    assert {str(p): lines(p) for p in written if lines(p) > LARGEST_FILE} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    sizes = {name: size for path in code(tests=True) for name, size in functions(path)}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FUNCTION} == {}


def test_nine_functions_in_ten_stay_within_thirty_lines() -> None:
    assert np.percentile([size for path in code() for _, size in functions(path)], 90) <= USUAL_FUNCTION


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(p) for p in FILES if FORBIDDEN_NAMES & {part.split(".")[0].lower() for part in p.parts}] == []


def test_every_module_opens_by_saying_what_it_owns() -> None:
    modules = [path for path in code(tests=True) if (ROOT / path).read_text().strip()]
    assert [str(path) for path in modules if not ast.get_docstring(parsed(path))] == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bNotImplementedError\b")
    others = [path for path in code(tests=True) if path.name != Path(__file__).name]
    assert [str(path) for path in others if later.search((ROOT / path).read_text())] == []


# ---- who may do what


def test_everybody_imports_only_what_they_may() -> None:
    # As a program of its own, because it reads the contracts and the modules from where it is started.
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", done.stdout)
    assert kept and int(kept[1]) >= 5, done.stdout


def test_the_api_starts_without_torch() -> None:
    look = "import service.main, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0


def calls(path: Path) -> set[str]:
    """The names of all methods that are called in a file."""
    found = (node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    return {func.attr for func in found if isinstance(func, ast.Attribute)}


def test_only_the_database_module_begins_and_ends_transactions() -> None:
    others = [p for p in code() if p.parts[0] in ("service", "workers") and p != Path("service/db.py")]
    assert [
        str(path) for path in others if calls(path) & {"commit", "rollback", "begin", "begin_nested"}
    ] == []


def test_service_and_models_read_no_environment() -> None:
    inside = [path for path in code() if path.parts[0] in ("service", "models")]
    assert [str(p) for p in inside if re.search(r"\benviron\b|\bgetenv\b", (ROOT / p).read_text())] == []


def test_no_relationship_loads_itself() -> None:
    configure_mappers()
    loaded = {
        f"{mapper.class_.__name__}.{name}": relation.lazy
        for mapper in Table.registry.mappers
        for name, relation in mapper.relationships.items()
    }
    assert loaded and set(loaded.values()) == {"raise"}, loaded


# ---- lists that must be complete


def every_error(parent: type[AccrueError] = AccrueError) -> Iterator[type[AccrueError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from every_error(child)


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_every_error_has_a_status_a_code_and_a_title(error: type[AccrueError]) -> None:
    assert 400 <= error.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert error.title


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in every_error()]
    assert sorted(codes) == sorted(set(codes))


def test_there_are_fewer_than_thirty_settings() -> None:
    assert len(Settings.model_fields) < 30


def test_every_job_has_a_queue_and_a_task_and_every_task_a_job(tmp_path: Path) -> None:
    worker = create_worker(NOWHERE, set_up(Settings(data_dir=tmp_path, redis_url=NOWHERE)))
    registered = {name for name in worker.tasks if not name.startswith("celery.")}
    assert registered == set(TASKS) == set(QUEUE_OF) == set(Job)
    assert set(QUEUE_OF.values()) <= set(QUEUES)


def kinds_of_prompt() -> dict[str, type[Prompt]]:
    """The members of the union, by the ``kind`` that tells them apart."""
    return {kind.__dataclass_fields__["kind"].default: kind for kind in get_args(Prompt)}


def test_every_kind_of_prompt_is_in_the_api(tmp_path: Path) -> None:
    schema: dict[str, Any] = create_app(Settings(data_dir=tmp_path, redis_url=NOWHERE)).openapi()
    shapes = schema["components"]["schemas"]
    prompts = shapes["NewInteraction"]["properties"]["prompts"]["items"]
    mapping = prompts["discriminator"]["mapping"]
    assert set(mapping) == set(kinds_of_prompt())
    for kind, reference in mapping.items():
        told = set(shapes[reference.rsplit("/", 1)[1]]["properties"])
        assert told == set(kinds_of_prompt()[kind].__dataclass_fields__)


@pytest.mark.parametrize("kind", get_args(PromptKind))
def test_every_kind_of_prompt_is_simulated_and_encoded(kind: PromptKind) -> None:
    truth = np.zeros((64, 96), dtype=np.bool_)
    truth[20:40, 30:60] = True
    drawn = next_prompts(np.random.default_rng(0), kind, truth, None)
    assert any(isinstance(prompt, kinds_of_prompt()[kind]) for prompt in drawn)
    assert all(anchor_points(prompt) for prompt in drawn)
    assert encode_prompts(drawn, Frame(64, 96)).any()


def test_the_simulated_annotator_knows_every_kind_of_prompt() -> None:
    assert set(get_args(PromptKind)) == set(kinds_of_prompt())


def test_every_dependency_says_why_it_is_here() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    extras = [name for extra in project.get("optional-dependencies", {}).values() for name in extra]
    for dependency in [*project["dependencies"], *extras]:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{dependency}"'))
        assert re.search(r'",\s+# \w.{4,}', line), line


def test_every_package_of_the_page_says_why_it_is_here_and_is_pinned() -> None:
    package = json.loads((ROOT / "web/package.json").read_text())
    wanted = package["dependencies"] | package["devDependencies"]
    told = (ROOT / "web/README.md").read_text().split("## What it depends on", 1)[1]
    reasons = dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", told, re.M))
    assert reasons.keys() == wanted.keys()
    assert [name for name, version in wanted.items() if not re.fullmatch(r"[\d.]+", version)] == []


# ---- the documents


def tree() -> dict[Path, bool]:
    """The paths in the README's file tree, and whether what is in them is listed one by one."""
    block = (ROOT / "README.md").read_text().split("## Where things are", 1)[1].split("```")[1]
    listed: dict[Path, bool] = {}
    above: list[str] = []
    for line in block.strip().splitlines():
        name, _, comment = line.strip().partition(" ")
        assert comment.strip(), f"{name} is listed without a word about it"
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], name.rstrip("/")]
        path = Path(*above)
        assert (ROOT / path).is_dir() == name.endswith("/"), f"{path} is not there, or not what it seems"
        listed[path] = False
        if depth:
            listed[path.parent] = True
    return listed


def test_the_readme_shows_the_repository_as_it_is() -> None:
    listed = tree()
    missing = []
    for file in FILES:
        if file.name == "__init__.py" or file.parts[0].startswith("."):
            continue
        feature = file.parent.parent == Path("service") and file.name in FEATURE_FILES
        closed = any(listed.get(folder) is False for folder in file.parents)
        if file not in listed and not closed and not (feature and file.parent in listed):
            missing.append(str(file))
    assert missing == []


def test_a_feature_folder_that_holds_more_than_the_usual_files_names_them() -> None:
    listed = tree()
    for folder in [path for path in listed if path.parent == Path("service") and not path.suffix]:
        others = {f.name for f in FILES if f.parent == folder} - FEATURE_FILES - {"__init__.py"}
        assert others == {path.name for path in listed if path.parent == folder}, folder


DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_every_decision_has_context_decision_consequences_and_alternatives(decision: Path) -> None:
    text = decision.read_text()
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    assert text.startswith(f"# {decision.stem[:4]}. ")
    assert len(text.splitlines()) <= 60, "a decision is one page"


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
