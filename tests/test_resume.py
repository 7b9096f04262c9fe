"""A training that is killed and started again with ckpt=last ends with the same weights, bit for bit."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, TINY_WGAN
from killed_runs import break_and_resume, kill
from safetensors.torch import load_file

from medrestore.callbacks.selection import Selection
from medrestore.checkpoint import load_generator, read_training_state
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
@pytest.mark.parametrize("batches", [pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 11)] + [6])
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


# Signals at moments of a training, and how the process then ends. SIGUSR1 in the thread that writes a checkpoint comes
# to the training at its next step; in the evaluation there is nothing to save.
SHORT = {"SIGKILL:step:10": -9, "SIGKILL:rename:6": -9, "SIGTERM:validation:3": 75, "SIGUSR1:evaluation:1": 75}
LONG = SHORT | {
    **{"SIGKILL:step:1": -9, "SIGKILL:step:3": -9, "SIGKILL:validation:2": -9, "SIGKILL:epoch:2": -9},
    **{"SIGKILL:flush:2": -9, "SIGKILL:flush:5": -9, "SIGKILL:rename:3": -9, "SIGKILL:evaluation:1": -9},
    **{"SIGTERM:step:4": 75, "SIGUSR1:epoch:2": 75, "SIGUSR1:flush:4": 75, "SIGTERM:end:1": 75},
}


def test_signals_change_nothing(tmp_path: Path) -> None:
    overrides = [*OVERRIDES, "callbacks.checkpoint_minutes=0"]
    compare(break_and_resume(tmp_path, overrides, list(SHORT)), SHORT)


# Three epochs of four batches; the first is the first stage where there is one, so that signals come in both.
_SCHEME = [
    "epochs=3",
    "degradation=motion",
    "sampling.crop=16",
    "sampling.batch_size=1",
    "sampling.crops_per_image=2",
    "sampling.val_images=2",
    "callbacks.sample_images=0",
    "callbacks.checkpoint_minutes=0",
    "hardware=cpu",
    "evaluation.run=false",
    "+trainer.limit_train_batches=4",
]
_PLAIN = ["+network@model.generator=plain", "model.generator.width=4", "model.generator.depth=1"]
_CERVIX = ["dataset=cervix_phantom", "dataset.patients=6", "dataset.images_per_patient=1", "dataset.size=64"]
_JUDGE = ["hardware=cpu", "callbacks.checkpoint_minutes=0", "epochs=3", "+trainer.limit_train_batches=4"]
SCHEMES = {
    "paired_wgan": [
        *_SCHEME, *_CERVIX, "model=paired_wgan", "+network@model.generator=resnet_9", "model.generator.width=4",
        "model.generator.blocks=1", "model.generator.dropout=0.5", "model.critic.width=4", "model.critic_steps=2",
        "+loss=l1", "loss.l1.weight=auto", "+loss.l1.auto_steps=3", "pretrain_epochs=1",
    ],
    "pix2pix": [
        *_SCHEME, *_CERVIX, "model=pix2pix", "+network@model.generator=unet_small", "model.generator.width=4",
        "model.critic.width=4", "+loss=l1", "pretrain_epochs=1", "pretrain_select=val/psnr", "sampling.crop=32",
    ],
    "paired_regression": [
        *_SCHEME, *_CERVIX, "model=paired_regression", *_PLAIN, "+loss=l1", "select=val/psnr", "model.ema_decay=0.9",
    ],
    "two_stage_sr": [
        *_SCHEME, *_CERVIX, "model=two_stage_sr", "+network@model.generator=srresnet", "model.generator.width=4",
        "model.generator.blocks=1", "model.generator.scale=2", "degradation=downsample", "degradation.operator.scale=2",
        "model.critic.width=4", "model.relativistic=true", "+loss=l1", "pretrain_epochs=1", "select=psnr_ssim",
    ],
    "cycle_feature": [
        *_SCHEME, "dataset=fundus_phantom", "dataset.clear_patients=6", "dataset.cataract_patients=6",
        "dataset.size=64", "dataset.pairs=0", "model=cycle_feature", *_PLAIN, "model.critic.width=4", "model.history=2",
        "model.ema_decay=0.9", "pretrain_epochs=1",
    ],
    "cervix_lesion_detector": [
        "experiment=cervix_lesion_detector", *_JUDGE, "dataset.patients=8", "dataset.images_per_patient=1",
        "dataset.size=64", "dataset.natural_patients=0", "sampling.batch_size=1", "model.side=64",
    ],
    "vessel_segmenter": [
        "experiment=vessel_segmenter", *_JUDGE, "dataset.clear_patients=6", "dataset.cataract_patients=3",
        "dataset.size=64", "dataset.pairs=0", "sampling.batch_size=1", "sampling.crop=32", "model.width=4",
    ],
    "street_segmenter": [
        "experiment=street_segmenter", *_JUDGE, "dataset.scenes=6", "dataset.images_per_scene=1", "dataset.height=64",
        "dataset.width=64", "sampling.batch_size=1", "sampling.crop=32",
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_signals_change_nothing_in_any_scheme(scheme: str, tmp_path: Path) -> None:
    compare(break_and_resume(tmp_path, SCHEMES[scheme], list(LONG)), LONG)


def compare(found: dict[str, Any], expected: dict[str, int]) -> None:
    """The processes ended as they should, what came of it is equal, and a training that was over was not repeated."""
    assert {moment: result["code"] for moment, result in found.items()} == expected
    assert {moment: result["different"] for moment, result in found.items() if result["different"]} == {}
    over = [moment for moment in found if moment.split(":")[1] in ("end", "evaluation")]
    assert not any(found[moment]["saved"] for moment in over)


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


def test_a_command_that_is_told_to_end_says_how_to_go_on(unbroken: dict[str, torch.Tensor], tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "medrestore.train", *OVERRIDES, f"hydra.run.dir={tmp_path / 'run'}", "ckpt=last"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)  # a cluster may repeat itself
    _, told = process.communicate(timeout=120)
    assert process.returncode == 75
    assert told.splitlines()[-1] == (
        f"medrestore: ended for SIGTERM; to go on: the same command with hydra.run.dir={tmp_path / 'run'} ckpt=last"
    )
    resumed = finished(tmp_path / "run", "ckpt=last")
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())


def test_refusals_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = finished(tmp_path)
    last, previous = (tmp_path / "checkpoints" / name for name in ("last.ckpt", "previous.ckpt"))
    before = last.read_bytes()
    with pytest.raises(MedrestoreError, match="type ckpt=last"):
        train(compose("train", OVERRIDES), tmp_path)
    with pytest.raises(MedrestoreError, match=r"seed=5 \(was 0\)"):
        train(compose("train", [*OVERRIDES, "ckpt=last", "seed=5"]), tmp_path)
    assert last.read_bytes() == before
    flipped = bytearray(before)
    flipped[len(before) // 2] ^= 1
    last.write_bytes(flipped)
    capsys.readouterr()
    again = finished(tmp_path, "ckpt=last")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    told = capsys.readouterr().err.splitlines()
    assert "last.ckpt cannot be read as a checkpoint: it is damaged, its SHA-256" in told[0]
    assert told[0].endswith("it is kept as last.damaged, previous.ckpt is taken")
    assert (tmp_path / "checkpoints" / "last.damaged").read_bytes() == bytes(flipped)

    files = {path: path.read_bytes()[:-200] for path in (last, previous)}
    for path, content in files.items():
        path.write_bytes(content)
    with pytest.raises(MedrestoreError, match=r"last\.ckpt cannot .*; .*previous\.ckpt cannot .*nothing was changed"):
        train(compose("train", [*OVERRIDES, "ckpt=last"]), tmp_path)
    assert {path: path.read_bytes() for path in files} == files


def test_a_checkpoint_of_something_else_is_refused_with_both_names(tmp_path: Path) -> None:
    finished(tmp_path / "run", "epochs=1", "pretrain_epochs=0")
    other = f"ckpt={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}"
    with pytest.raises(
        MedrestoreError, match="is a training of PairedWGAN, this is one of PairedRegression; type the model="
    ):
        train(compose("train", ["experiment=cervix_regression", *TINY, other]), tmp_path / "scheme")
    wider = [*OVERRIDES, "model.critic.width=8", other]
    told = r"another critic: its critic\S+ is 4\S*, that of this training \(PatchCritic\) is 8"
    with pytest.raises(MedrestoreError, match=told):
        train(compose("train", wider), tmp_path / "network")
    assert not list(tmp_path.glob("scheme/**/*.ckpt")) and not list(tmp_path.glob("network/**/*.ckpt"))


def test_a_full_disk_is_told_and_the_training_goes_on(
    unbroken: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "samples").mkdir()
    for name in ("checkpoints/last.writing", "metrics.writing", "samples/epoch_0001.png"):
        (tmp_path / name).symlink_to("/dev/full")
    found = finished(tmp_path)
    assert all(torch.equal(value, found[name]) for name, value in unbroken.items())
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("medrestore:")]
    assert len(told) == 3 and all(" was not saved: No space left on device" in line for line in told)
    assert any("last.ckpt was not saved: No space left on device; what was saved before is whole" in x for x in told)
    assert len(history(tmp_path / "metrics.csv")) == 3


@pytest.mark.slow
def test_an_epoch_that_could_not_be_saved_is_not_chosen(tmp_path: Path) -> None:
    best = ["select=val/psnr", "pretrain_epochs=0"]
    finished(tmp_path / "whole", *best)
    rows = [float(row["val/psnr"]) for row in history(tmp_path / "whole" / "metrics.csv")]
    assert max(rows) == rows[-1]
    original = Selection.add

    def add(self: Selection, epoch: int, scores: Any) -> list[str]:
        if epoch == 2:
            (tmp_path / "full" / "checkpoints" / "best.writing").symlink_to("/dev/full")
        return original(self, epoch, scores)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Selection, "add", add)
        finished(tmp_path / "full", *best)
    _, about = load_generator(tmp_path / "full")
    state = read_training_state(tmp_path / "full" / "checkpoints" / "best.ckpt")
    assert about["selected"] == f"epoch {state['epoch'] + 1} by val/psnr" and state["epoch"] == rows.index(
        max(rows[:2])
    )


def test_a_training_that_is_over_and_cannot_be_saved_fails_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "last.writing").mkdir(parents=True)  # as a folder that may not be written to
    with pytest.raises(
        MedrestoreError, match=r"last\.ckpt was not saved: Is a directory; make room and type ckpt=last"
    ):
        finished(tmp_path, "epochs=1", "pretrain_epochs=0")
    assert not (tmp_path / "generator.safetensors").exists()
