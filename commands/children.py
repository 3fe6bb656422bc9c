"""Child processes that die with their parent, however it dies, and are asked to stop before being killed."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
# A child that has lived for so long did not end because of how it was started.
LONG_LIFE = 60.0
LAST_LINES = 8

# Asks the kernel to be killed with its parent (PR_SET_PDEATHSIG, SIGKILL), which outlives the exec;
# a parent that is gone by then cannot take it along any more. A program of its own, because code
# between fork and exec in a process with threads can hang.
TETHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A child in its own session: Ctrl-C reaches the parent alone, which stops it in order.

    The kernel kills it when the thread that started it ends, so that thread must outlive it.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-ISc", TETHER, str(os.getpid()), *command]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and waits for it: asked first, killed when it does not listen."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def last_words(log: Path) -> str:
    """The end of what a child wrote."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(["It says:", *lines]) if lines else "It says nothing."


class Kept:
    """A child that is started again whenever it ends, ``hangs`` or cannot be started, with growing pauses,
    until ``stop``.

    ``ended`` counts how often it did.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        hangs: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.ended = 0
        self._start = partial(start, command, environment, log)
        self._log, self._hangs = log, hangs
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeps {name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process as it is now; None between two."""
        child = self._child
        return child.pid if child else None

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._child = child = self._start()
            except OSError as error:  # no file, process or memory is left for it now
                how = f"before its start ({error})"
            else:
                code = self._wait(child)
                self._child = None
                if code is None:
                    stop(child)
                    return
                how = f"code={code}"
            self.ended += 1
            if time.monotonic() - began > LONG_LIFE:
                pause = FIRST_PAUSE
            logger.warning("%s.ended %s log=%s; it starts again in %.1f s", self.name, how, self._log, pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _wait(self, child: subprocess.Popen[bytes]) -> int | None:
        """The code the child ended with; None when it is to be stopped."""
        while not self._stopping.wait(0.1):
            if (code := child.poll()) is not None:
                return code
            if self._hangs():
                child.kill()
        return None
