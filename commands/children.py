"""Child processes that die with their parent, however it dies, and are told to stop before they are killed."""

import contextlib
import ctypes
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A child in its own process group: Ctrl-C reaches the parent alone, which stops it in order.

    The kernel kills it when the thread that started it ends, so that thread must outlive it.
    """
    return subprocess.Popen(
        command, env=dict(environment), start_new_session=True, preexec_fn=_die_with_parent
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


class Kept:
    """A child that is started again whenever it ends, with growing pauses, until ``stop``."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command, self._environment = command, environment
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeps {name}")
        self._child: subprocess.Popen[bytes] | None = None
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process as it is now; None between two."""
        return self._child.pid if self._child else None

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            self._child = start(self._command, self._environment)
            code = self._wait(self._child)
            if code is None:
                stop(self._child)
                return
            logger.warning("%s.ended code=%d; starting it again in %.1f s", self.name, code, pause)
            self._child = None
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _wait(self, child: subprocess.Popen[bytes]) -> int | None:
        """The code the child ended with; None when it is to be stopped."""
        while not self._stopping.wait(0.1):
            if (code := child.poll()) is not None:
                return code
        return None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
