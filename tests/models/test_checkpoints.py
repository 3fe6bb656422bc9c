"""Weight files of published networks: what is read, and the sentence for everything that is not."""

import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints import FIRST_PARAMETERS, load_published, read_checkpoint
from models.multiverseg import MultiverSegNet
from models.scribbleprompt import ScribblePromptUNet

GOLDEN = Path(__file__).parent / "golden"
MULTIVERSEG = GOLDEN / "multiverseg_nf8_res128.pt"
SCRIBBLEPROMPT = GOLDEN / "scribbleprompt_unet_nf8_res128.pt"


def multiverseg(path: Path) -> MultiverSegNet:
    return load_published("MultiverSeg", MultiverSegNet, path)


class Code:
    """Leaves a folder behind when it is unpickled as its author wants."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_the_width_is_that_of_the_file(tmp_path: Path) -> None:
    torch.save({"model": MultiverSegNet(12).state_dict()}, tmp_path / "w.pt")
    assert multiverseg(tmp_path / "w.pt").features == 12
    assert multiverseg(MULTIVERSEG).features == 8


@pytest.mark.parametrize(
    "written",
    [
        lambda state: state,
        lambda state: {"model": state},
        lambda state: {"model": state, "optim": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "_epoch": 7},
        lambda state: {"model": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}},
    ],
    ids=["plain", "official", "training", "compiled"],
)
def test_weights_are_read_from_every_layout_they_are_published_in(
    tmp_path: Path, written: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    state = MultiverSegNet(8).state_dict()
    torch.save(written(state), tmp_path / "w.pt")
    network = multiverseg(tmp_path / "w.pt")
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_half_precision_weights_become_single(tmp_path: Path) -> None:
    torch.save(MultiverSegNet(8).half().state_dict(), tmp_path / "w.pt")
    assert {t.dtype for t in read_checkpoint(tmp_path / "w.pt").values()} == {torch.float32}


def refused(path: Path, *patterns: str) -> None:
    """The file is refused with a sentence that names it and says what the patterns want."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        multiverseg(path)
    for pattern in patterns:
        assert re.search(pattern, str(caught.value)), str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", "there is no weights file", "download it")
    refused(tmp_path, "cannot be read: Is a directory")


@pytest.mark.parametrize("kept", [0, 3, 1000, 50_000, -100])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    (tmp_path / "w.pt").write_bytes(MULTIVERSEG.read_bytes()[:kept])
    refused(tmp_path / "w.pt", "damaged, incomplete", "download it again")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_text("<html>Too many people have downloaded this file</html>")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("readme", "no weights")
    for name in ("page.pt", "zip.pt"):
        refused(tmp_path / name, "not a PyTorch file", "download it again")


def test_bytes_that_were_changed_never_end_in_anything_but_a_refusal(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "good.pt")
    good = (tmp_path / "good.pt").read_bytes()
    refusals = 0
    for place in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[place] ^= 0xFF
        (tmp_path / "w.pt").write_bytes(damaged)
        try:
            read_checkpoint(tmp_path / "w.pt")
        except ValueError:
            refusals += 1
    assert refusals > 50


def test_code_in_a_file_is_named_and_not_run(tmp_path: Path) -> None:
    torch.save({"model": Code(tmp_path / "trace")}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"run code \(\w+\.mkdir\)", "nothing was run")
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"model": Code(tmp_path / "trace")}))
    refused(tmp_path / "w.pt")
    assert not (tmp_path / "trace").exists()


def test_a_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(MultiverSegNet(4), tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"run code \(models\.multiverseg\.MultiverSegNet\)")


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": [torch.zeros(2)]}, {"epoch": 3}])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "holds no tensors by name", "state dict")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = MultiverSegNet(4).state_dict()
    state["out_conv.conv.bias"].fill_(value)
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"not finite, in out_conv\.conv\.bias")


def test_the_file_of_another_network_is_named() -> None:
    refused(SCRIBBLEPROMPT, "holds the weights of ScribblePrompt-UNet", "give those of MultiverSeg")
    with pytest.raises(ValueError, match="the weights of MultiverSeg; give those of ScribblePrompt-UNet"):
        load_published("ScribblePrompt-UNet", ScribblePromptUNet, MULTIVERSEG)


def test_the_file_of_an_unknown_network_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"another network \(with conv1\.weight\)", "give those of MultiverSeg")
    torch.save({FIRST_PARAMETERS["MultiverSeg"]: torch.zeros(0)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "another network", "give those of MultiverSeg")


def test_parameters_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = MultiverSegNet(8).state_dict()
    state["dec_blocks.3.extra"] = torch.zeros(1)
    del state["dec_blocks.2.support.vmapped.conv.bias"]
    state["out_conv.conv.weight"] = torch.zeros(2, 8, 1, 1)
    torch.save(state, tmp_path / "w.pt")
    refused(
        tmp_path / "w.pt",
        "does not fit MultiverSegNet: ",
        r"dec_blocks\.2\.support\.vmapped\.conv\.bias is missing",
        r"dec_blocks\.3\.extra is too many",
        r"out_conv\.conv\.weight has shape \(2, 8, 1, 1\), not \(1, 8, 1, 1\)",
    )


def test_a_width_that_a_file_only_claims_is_refused_before_it_costs_memory(tmp_path: Path) -> None:
    state = MultiverSegNet(8).state_dict()
    state[FIRST_PARAMETERS["MultiverSeg"]] = torch.zeros(100_000)  # 13 TB of parameters
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "does not fit MultiverSegNet: ", " and 67 more$")
