"""Models by name, and weights files that are not what they say."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.catalogue import MODELS, SCRIBBLEPROMPT_UNET, SHIPPED, installed
from models.devices import device_called
from models.memory import ContextMemory, MemoryConfig
from models.prompts import Click
from models.registry import BUILDERS, load
from models.weights_file import load_weights, save_weights

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", installed())
def test_every_model_loads_and_follows_a_click(name: str) -> None:
    predictor = load(name)
    y, x = np.mgrid[:96, :96]
    disc = np.hypot(y - 40, x - 50) < 18
    image = predictor.encode_image(np.where(disc, 200, 60).astype(np.uint8))
    result = predictor.predict(image, [Click(50.5, 40.5)], context=predictor.encode_context([]))
    assert (result.mask & disc).sum() / (result.mask | disc).sum() > 0.6


def test_a_device_is_chosen_or_refused_when_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_called("auto") == expected
    assert device_called("cpu") == "cpu"
    for name in ("cuda:99", "coprocessor"):
        with pytest.raises(ValueError, match=f"the device '{name}' cannot be used .*; choose auto, cpu"):
            load("memory-v1", device=name)


@pytest.mark.parametrize("name", installed())
def test_every_model_ships_with_a_card(name: str) -> None:
    assert (SHIPPED / f"{name}.md").is_file()


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = ContextMemory(MemoryConfig(widths=(8, 16, 16, 16, 32)))
    digest = save_weights(network, tmp_path / "w.safetensors")
    again = load_weights(tmp_path / "w.safetensors")
    assert again.config == network.config
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    assert load("memory-v1", weights=tmp_path / "w.safetensors").weights_sha256 == digest


def test_every_model_has_a_builder_and_what_ships_a_checksum() -> None:
    assert set(BUILDERS) == set(MODELS)
    assert [name for name, model in MODELS.items() if model.sha256] == installed() == ["memory-v1"]


def test_weights_that_do_not_ship_are_asked_for_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"put MultiverSeg_v1.* and ScribblePrompt_unet.* into a folder"):
        load("multiverseg")
    with pytest.raises(ValueError, match=r"there is no ScribblePrompt_unet_v1_nf192_res128\.pt in"):
        load("scribbleprompt-unet", weights=tmp_path)


@pytest.mark.parametrize("name", ["multiverseg", "scribbleprompt-unet"])
def test_official_files_are_found_by_their_names(name: str, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "multiverseg_nf8_res128.pt", tmp_path / "MultiverSeg_v0_nf256_res128.pt")
    shutil.copy(GOLDEN / "scribbleprompt_unet_nf8_res128.pt", tmp_path / SCRIBBLEPROMPT_UNET[0])
    assert name in installed(tmp_path)
    predictor = load(name, weights=tmp_path)
    image = predictor.encode_image(np.eye(40, 60))
    context = predictor.encode_context([(np.eye(40, 60), np.eye(40, 60) > 0)])
    for read in (predictor.encode_context([]), context):
        first = predictor.predict(image, [Click(30.5, 20.5)], context=read)
        assert first.mask.shape == (40, 60)
        predictor.predict(image, [Click(30.5, 20.5)], context=read, previous=first.state)


def test_an_unknown_name_lists_the_models() -> None:
    with pytest.raises(ValueError, match=r"choose one of: .*memory-v1"):
        load("unet-9000")


def test_a_damaged_shipped_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = MODELS["memory-v1"].files[0][0]
    damaged = bytearray((SHIPPED / shipped).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / shipped).write_bytes(damaged)
    monkeypatch.setattr("models.catalogue.SHIPPED", tmp_path)
    with pytest.raises(ValueError, match="is damaged"):
        load("memory-v1")


def test_a_folder_is_no_weights_for_a_model_that_ships(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder; give the file"):
        load("memory-v1", weights=tmp_path)


@pytest.mark.parametrize("config", ["{", "[]", '{"foo": 1}', '{"heads": 0}', '{"widths": [1]}'])
def test_a_network_that_cannot_be_is_refused(tmp_path: Path, config: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file(_good(path), path, metadata={"config": config})
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        load("memory-v1", weights=path)


def _good(path: Path) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in ContextMemory().state_dict().items()}


def test_files_that_are_not_this_models_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match="no weights file"):
        load("memory-v1", weights=path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load("memory-v1", weights=path)
    save_file(_good(path), path)
    with pytest.raises(ValueError, match="which network"):
        load("memory-v1", weights=path)
    save_weights(ContextMemory(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load("memory-v1", weights=path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"head.weight": torch.zeros(3)}, path, metadata={"config": "{}"})
    with pytest.raises(ValueError, match="another network"):
        load("memory-v1", weights=path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = ContextMemory()
    with torch.no_grad():
        network.head.bias.fill_(float("nan"))
    save_weights(network, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"not finite, in head\.bias"):
        load("memory-v1", weights=tmp_path / "w.safetensors")
