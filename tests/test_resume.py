"""A training that is killed and started again with ckpt=last ends with the same weights, bit for bit."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_WGAN
from killed_runs import kill
from safetensors.torch import load_file

from medrestore.config import compose
from medrestore.errors import MedrestoreError
from medrestore.run import train

OVERRIDES = [
    "experiment=cervix_deblur",
    *TINY,
    *TINY_WGAN,
    "network@model.generator=resnet_9",
    "model.generator.blocks=1",
    "model.generator.dropout=0.5",  # random numbers in every step
    "model.ema_decay=0.9",
    "epochs=3",
    "pretrain_epochs=1",
    "evaluation.run=false",
]
OVERRIDES = [override for override in OVERRIDES if "depth" not in override]


def finished(directory: Path, *more: str) -> dict[str, torch.Tensor]:
    train(compose("train", [*OVERRIDES, *more]), directory)
    state = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {**state, **{f"exported/{k}": v for k, v in load_file(directory / "generator.safetensors").items()}}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return finished(tmp_path_factory.mktemp("unbroken"))


# 4 batches an epoch: killed in the first stage, at its end, in the middle of the second, before the last batch
@pytest.mark.parametrize("batches", [2, 4, 6, 11])
@pytest.mark.parametrize("minutes", [0.0, 1000.0], ids=["saved each batch", "saved each epoch"])
def test_killed_and_resumed_equals_unbroken(
    batches: int, minutes: float, unbroken: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = f"callbacks.checkpoint_minutes={minutes}"
    kill(tmp_path, batches, monkeypatch, [*OVERRIDES, saving])
    torch.rand(17)  # another process would have other global random numbers
    resumed = finished(tmp_path, "ckpt=last", saving)
    assert resumed.keys() == unbroken.keys()
    different = [name for name, value in unbroken.items() if not torch.equal(value, resumed[name])]
    assert not different


def test_history_has_each_epoch_once_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path / "unbroken")
    kill(tmp_path / "broken", 10, monkeypatch, OVERRIDES)
    finished(tmp_path / "broken", "ckpt=last")
    histories = [history(tmp_path / name / "metrics.csv") for name in ("unbroken", "broken")]
    assert histories[0] == histories[1] and len(histories[0]) == 3


def history(path: Path) -> list[dict[str, str]]:
    """The rows of a history, without the time they took."""
    with path.open(encoding="utf-8", newline="") as text:
        return [
            {name: value for name, value in row.items() if name != "seconds" and "speed/" not in name}
            for row in csv.DictReader(text)
        ]


def test_a_real_kill_in_the_middle(unbroken: dict[str, torch.Tensor], tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "medrestore.train", *OVERRIDES, f"hydra.run.dir={tmp_path / 'run'}", "ckpt=last"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = finished(tmp_path / "run", "ckpt=last")
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())


def test_refusals_lose_nothing(tmp_path: Path) -> None:
    finished(tmp_path)
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(MedrestoreError, match="type ckpt=last"):
        train(compose("train", OVERRIDES), tmp_path)
    with pytest.raises(MedrestoreError, match=r"seed=5 \(was 0\)"):
        train(compose("train", [*OVERRIDES, "ckpt=last", "seed=5"]), tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(before[: len(before) // 2])
    with pytest.raises(MedrestoreError, match="cannot be read as a checkpoint"):
        train(compose("train", [*OVERRIDES, "ckpt=last"]), tmp_path)
