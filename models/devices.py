"""Where networks run."""

import torch


def device_called(name: str) -> str:
    """What torch calls the device: cpu, cuda, cuda:1 …; for auto the first GPU, or else the CPU.

    ValueError when this machine does not have it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts that it has it
        raise ValueError(
            f"the device {name!r} cannot be used ({error}); choose auto, cpu, cuda or cuda:1 …"
        ) from error
    return name
