"""What leaves a run: safe to load, complete, refused with a line when it is not what it should be."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from finished_runs import configured
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import save_file

from medrestore.checkpoint import (
    load_generator,
    load_into,
    read_training_state,
    save_generator,
    save_training_state,
)
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


STATE = {"state_dict": {"weight": torch.arange(5000.0)}, "epoch": 3, "callbacks": {"Checkpoints": [[0.0, 1.5]]}}


def test_a_training_state_comes_back_and_torch_reads_it_too(tmp_path: Path) -> None:
    path, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    save_training_state(path, {**STATE, "epoch": 2}, previous)
    save_training_state(path, STATE, previous)
    for state in (read_training_state(path), torch.load(path, weights_only=True)):
        assert torch.equal(state["state_dict"]["weight"], torch.arange(5000.0))
        assert (state["epoch"], state["callbacks"]) == (3, STATE["callbacks"])
    assert read_training_state(previous)["epoch"] == 2
    assert sorted(tmp_path.iterdir()) == [path, previous]
    end = path.read_bytes()[-72:]
    digest = subprocess.run(["sha256sum"], input=path.read_bytes()[:-72], capture_output=True).stdout[:64]
    assert end == b"sha256:" + digest + b"\n"


def test_no_flipped_bit_and_no_missing_byte_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_training_state(path, STATE)
    whole = path.read_bytes()
    draw = random.Random(0)
    places = [draw.randrange(len(whole) - 72) for _ in range(40)] + [len(whole) - 2, len(whole) - 60]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(MedrestoreError, match="it is damaged, its SHA-256"):
            read_training_state(path)
    for length in (0, 1, 71, 200, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(MedrestoreError, match="cannot be read as a checkpoint"):
            read_training_state(path)


def test_a_full_disk_leaves_the_states_before_whole(tmp_path: Path) -> None:
    path, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for epoch in (1, 2):
        save_training_state(path, {**STATE, "epoch": epoch}, previous)
    (tmp_path / "last.writing").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as raised:
        save_training_state(path, {**STATE, "epoch": 3}, previous)
    assert raised.value.errno == errno.ENOSPC
    assert [read_training_state(p)["epoch"] for p in (path, previous)] == [2, 1]
    assert sorted(tmp_path.iterdir()) == [path, previous]


_SAVER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from medrestore.checkpoint import save_training_state
from medrestore.resume import newest

folder, size, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
last, previous = folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "previous.ckpt"
last.parent.mkdir()
draw, reached, seconds = random.Random(0), 0, 0.0

def stamp():
    try:
        return last.stat().st_mtime_ns
    except FileNotFoundError:
        return 0  # the child is between two renames

save_training_state(last, {"values": torch.zeros(size)}, previous)
start = time.monotonic()
save_training_state(last, {"values": torch.zeros(size)}, previous)
seconds = time.monotonic() - start
for trial in range(kills):
    pid = os.fork()
    if pid == 0:
        for number in range(reached + 1, reached + 1000):
            save_training_state(last, {"values": torch.full((size,), float(number))}, previous)
        os._exit(1)
    before = stamp()
    while trial % 2 and stamp() in (before, 0):
        time.sleep(1e-4)  # every second kill comes after a save at least
    time.sleep(draw.uniform(0, 2 * seconds))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    values = newest(folder).state["values"]
    assert len(values) == size and (values == values[0]).all() and values[0] >= reached
    reached = int(values[0])
print(reached)
"""


@pytest.mark.parametrize(("size", "kills"), [(100_000, 20), pytest.param(5_000_000, 200, marks=pytest.mark.slow)])
def test_whenever_a_save_is_killed_a_whole_state_is_there(size: int, kills: int, tmp_path: Path) -> None:
    line = [sys.executable, "-c", _SAVER, str(tmp_path), str(size), str(kills)]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= kills // 2  # saves went well between the kills
    assert "damaged" not in done.stderr


def test_a_run_of_an_earlier_version_has_the_defaults_of_newer_keys(tmp_path: Path) -> None:
    config = configured("cervix_deblur", "sampling.shrink=0.5", "metrics.lpips_weights=random")
    del config.sampling.synthetic_sources, config.evaluation.detector
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    opened = Run.load(tmp_path).config
    assert opened.sampling.synthetic_sources == 0 and opened.evaluation.detector is None
    del opened.sampling.synthetic_sources, opened.evaluation.detector
    assert opened == config
