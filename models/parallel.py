"""Several processes that train one network: each has batches of its own, the gradients are averaged.

On a CPU this is what further cores are for: convolutions as small as ours gain little from more threads.
Every process starts from the same weights and takes the same steps, so the weights stay the same.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn


def run_in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> None:
    """Calls ``work(*arguments)`` in ``count`` processes that know each other, and waits for all of them.

    Everything given must be picklable. The cores are shared out evenly. When one process fails the others
    are ended, and its error, or that of another which missed it, is raised here.
    """
    if count == 1:
        work(*arguments)
        return
    with TemporaryDirectory() as folder:
        spawn(_take_part, (os.getpid(), count, Path(folder) / "meeting", work, arguments), nprocs=count)  # type: ignore[no-untyped-call]


def _take_part(
    number: int,
    starter: int,
    count: int,
    meeting: Path,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    threading.Thread(target=_end_with, args=(starter,), daemon=True).start()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    store = distributed.FileStore(str(meeting), count)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=number, world_size=count)
    try:
        work(*arguments)
    finally:
        distributed.destroy_process_group()


def _end_with(starter: int) -> None:
    """Ends this process once the one that started it is gone: killed, it could not end its own."""
    while os.getppid() == starter:
        time.sleep(1)
    os._exit(1)


def rank() -> int:
    """Which of the processes this is; the first one, 0, writes what there is to write."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over all processes; one that a process lacks counts as 0 there."""
    if not distributed.is_initialized():
        return
    learned = list(parameters)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
    everything = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(everything)
    everything /= distributed.get_world_size()
    parts = torch.split(everything, [p.numel() for p in learned])
    for parameter, mean in zip(learned, parts, strict=True):
        parameter.grad = mean.view_as(parameter)


def as_the_first_says(value: float) -> float:
    """The first process's ``value``, in all of them: clocks differ, and all must stop at the same step."""
    if not distributed.is_initialized():
        return value
    said = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(said, 0)
    return float(said)
