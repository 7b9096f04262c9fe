"""What leaves a run: safe to load, complete, refused with a line when it is not what it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from finished_runs import configured
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import save_file

from medrestore.checkpoint import load_generator, load_into, read_training_state, save_generator
from medrestore.errors import MedrestoreError
from medrestore.networks import PlainResidual
from medrestore.run_directory import Run

NETWORK = {"_target_": "medrestore.networks.PlainResidual", "channels": 3, "width": 8, "depth": 1}


def saved(path: Path, network: dict | None = None) -> tuple[PlainResidual, Path]:
    torch.manual_seed(0)
    generator = PlainResidual(channels=3, width=8, depth=1)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return generator, save_generator(path, generator, network or NETWORK, {"window": "auto"})


def test_a_round_trip_restores_the_same_picture(tmp_path: Path) -> None:
    generator, path = saved(tmp_path / "generator.safetensors")
    image = torch.rand(1, 3, 13, 11)
    for where in (path, tmp_path):
        loaded, about = load_generator(where)
        assert torch.equal(loaded(image), generator.eval()(image)) and not loaded.training
        assert about["window"] == "auto" and "Not for diagnosis" in about["notice"] and about["range"] == [0, 1]


def test_the_metadata_is_json(tmp_path: Path) -> None:
    _, path = saved(tmp_path / "generator.safetensors")
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["medrestore"])["network"] == NETWORK


@pytest.mark.parametrize(
    "target", ["os.system", "medrestore.networks.VGG", "medrestore.checkpoint.load_generator", "torch.nn.Linear", ""]
)
def test_only_our_networks_are_ever_built(target: str, tmp_path: Path) -> None:
    _, path = saved(tmp_path / "generator.safetensors", {"_target_": target, "command": "true"})
    with pytest.raises(MedrestoreError, match="does not have"):
        load_generator(path)


def test_what_cannot_be_loaded_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(MedrestoreError, match="there is no such directory"):
        load_generator(tmp_path / "nowhere")
    with pytest.raises(MedrestoreError, match="it holds nothing"):
        load_generator(tmp_path)
    _, path = saved(tmp_path / "generator.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MedrestoreError, match="cannot be read as weights"):
        load_generator(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(MedrestoreError, match="not written by medrestore"):
        load_generator(path)
    saved(path, {**NETWORK, "width": 16})
    with pytest.raises(MedrestoreError, match="do not fit"):
        load_generator(path)


def test_starting_from_another_run_is_strict(tmp_path: Path) -> None:
    generator, path = saved(tmp_path / "generator.safetensors")
    fresh = PlainResidual(channels=3, width=8, depth=1)
    load_into(fresh, path)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), generator.parameters(), strict=True))
    with pytest.raises(MedrestoreError, match="another network"):
        load_into(PlainResidual(channels=3, width=16, depth=1), path)


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("marker"),))


def test_a_hostile_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Hostile()}, "hostile.ckpt")
    with pytest.raises(MedrestoreError, match="cannot be read as a checkpoint"):
        read_training_state(Path("hostile.ckpt"))
    assert not Path("marker").exists()


def test_a_run_of_an_earlier_version_has_the_defaults_of_newer_keys(tmp_path: Path) -> None:
    config = configured("cervix_deblur", "sampling.shrink=0.5", "metrics.lpips_weights=random")
    del config.sampling.synthetic_sources, config.evaluation.detector
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    opened = Run.load(tmp_path).config
    assert opened.sampling.synthetic_sources == 0 and opened.evaluation.detector is None
    del opened.sampling.synthetic_sources, opened.evaluation.detector
    assert opened == config
