"""Child processes: started again when they end or hang, and gone when their keeper goes."""

import errno
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from commands import children
from commands.children import Kept, last_words

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(100)"]
END = [sys.executable, "-c", "print('goodbye'); raise SystemExit(3)"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "child.log"
    path.touch()
    return path


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_that_ends_is_started_again_and_its_words_are_kept(log: Path) -> None:
    kept = Kept("child", END, {}, log, hangs=lambda: False)
    _until(lambda: kept.ended >= 2)
    kept.stop()
    assert log.read_text().splitlines()[:2] == ["goodbye", "goodbye"]
    assert last_words(log).startswith("It says:\ngoodbye")


def test_a_child_that_hangs_is_killed_and_started_again(log: Path) -> None:
    hanging = threading.Event()
    kept = Kept("child", SLEEP, {}, log, hangs=hanging.is_set)
    _until(lambda: "up" in log.read_text())
    before = kept.pid
    hanging.set()
    _until(lambda: kept.ended)
    hanging.clear()
    _until(lambda: kept.pid not in (before, None))
    kept.stop()


def test_a_child_for_which_there_is_no_room_is_started_as_soon_as_there_is(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refused = children.start, threading.Event()

    def once_there_is_room(*given: Any) -> Any:
        if not refused.is_set():
            refused.set()
            raise OSError(errno.EMFILE, "Too many open files")
        return start(*given)

    monkeypatch.setattr(children, "start", once_there_is_room)
    kept = Kept("child", SLEEP, {}, log)
    _until(lambda: "up" in log.read_text())
    assert kept.ended == 1
    kept.stop()


def test_a_child_that_is_stopped_is_gone_and_stays_gone(log: Path) -> None:
    kept = Kept("child", SLEEP, {}, log, hangs=lambda: False)
    _until(lambda: "up" in log.read_text())
    child = psutil.Process(kept.pid)
    kept.stop()
    assert not child.is_running()
    assert kept.ended == 0
    assert kept.pid is None


def test_a_child_that_says_nothing_is_said_to(log: Path) -> None:
    assert last_words(log) == "It says nothing."
