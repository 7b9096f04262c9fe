"""Several processes train, judge and restore as one does: the same numbers, every image once, one directory."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_WGAN
from finished_runs import CERVIX, finished_run
from PIL import Image
from shared_matrix import CASES
from shared_runs import distance, environment, launch, run_shared, weights

from medrestore.config import compose
from medrestore.run import train

TINIEST = ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "sampling.batch_size=4", "pretrain_epochs=1",
           "model.ema_decay=0.9", "callbacks.sample_images=0"]  # fmt: skip


def rows(path: Path, *without: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return [{k: v for k, v in row.items() if not k.startswith(without)} for row in csv.DictReader(text)]


def close(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> bool:
    """Equal words, and numbers within 1e-6."""
    if len(ours) != len(theirs):
        return False
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            try:
                a, b = float(one[name]), float(other[name])
            except ValueError:
                if one[name] != other[name]:
                    return False
            else:
                if abs(a - b) > 1e-6 * max(1.0, abs(a)):
                    return False
    return True


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """In double precision, by Lightning's launch: weights, averages, moments of the optimisers, what is logged."""
    given = [*TINIEST, "hardware.precision=64", "epochs=3", "evaluation.run=false"]
    train(compose("train", given), tmp_path / "one")
    done = run_shared(1, "train", [*given, "hardware.devices=2"], tmp_path / "two")
    assert done.stdout.count("run directory") == 1 and "2 processes" in done.stdout
    assert distance(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-6
    histories = [rows(tmp_path / name / "metrics.csv", "seconds", "speed/") for name in ("one", "two")]
    assert close(*histories) and len(histories[0]) == 3
    assert (tmp_path / "one/split.csv").read_bytes() == (tmp_path / "two/split.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_two_processes_that_are_ended_go_on_as_if_nothing_had_been(number: signal.Signals, tmp_path: Path) -> None:
    """A signal to one of them, right after a save: both end, and the same command goes on, bit for bit."""
    given = [*TINIEST, "epochs=3", "evaluation.run=false", "hardware.devices=2", "callbacks.checkpoint_minutes=0"]
    run_shared(1, "train", given, tmp_path / "unbroken")
    command = [sys.executable, "-m", "medrestore.train", *given, f"hydra.run.dir={tmp_path / 'run'}"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    last = tmp_path / "run/checkpoints/last.ckpt"
    deadline = time.monotonic() + 240
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=240)
    assert process.returncode == (-9 if number == signal.SIGKILL else 75), told
    assert told.count("to go on: the same command with") == (number != signal.SIGKILL)
    saved = torch.load(last, weights_only=True)["epoch"]
    run_shared(1, "train", [*given, "ckpt=last"], tmp_path / "run")
    assert saved < 2, "it was over before the signal came: this tests nothing"
    assert distance(weights(tmp_path / "unbroken"), weights(tmp_path / "run")) == 0


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every scheme, trained by one, two and four processes."""
    root = tmp_path_factory.mktemp("matrix")
    for ranks in (1, 2, 4):
        train_cases(ranks, root / str(ranks))
    return root


def train_cases(ranks: int, output: Path, *which: str) -> None:
    """Run `shared_matrix.py` in so many processes."""
    script = str(Path(__file__).with_name("shared_matrix.py"))
    command = [*launch(ranks), script, str(output), *which]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["one", "ten"])
@pytest.mark.parametrize("ranks", ["2", "4"])
@pytest.mark.parametrize("case", CASES)
def test_every_scheme_is_the_same_on_any_number_of_processes(case: str, ranks: str, steps: str, matrix: Path) -> None:
    alone, shared = matrix / "1" / case / steps, matrix / ranks / case / steps
    assert distance(weights(alone), weights(shared)) < 1e-6  # after one step the moments are the gradients
    assert close(*(rows(path / "metrics.csv", "seconds", "speed/") for path in (alone, shared)))


@pytest.mark.slow
def test_the_comparison_notices_processes_that_do_not_share(tmp_path: Path) -> None:
    """Its control: gradients are averaged, but each process draws and averages for its own share alone.

    `cycle_feature` stops with an error there: its pool of past images holds whole batches.
    """
    cases = ["paired_wgan", "paired_wgan_batch_norm", "paired_regression", "pix2pix", "two_stage_sr"]
    train_cases(1, tmp_path / "1", *cases)
    train_cases(2, tmp_path / "2", *cases, "unshared")
    for case in cases:
        alone, unshared = (weights(tmp_path / ranks / case / "one") for ranks in "12")
        assert distance(alone, unshared) > 1e-3, case


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_an_evaluation_is_shared_and_comes_out_the_same(ranks: int, tmp_path: Path) -> None:
    """Every image restored and scored once, whoever did it; assessments and tables see all of them in order."""
    given = ["dataset.patients=9", "dataset.images_per_patient=2", "dataset.size=64", "dataset.natural_patients=2"]
    run = finished_run(tmp_path / "run", "cervix_deblur", *given, "judge=none")
    for count in (1, ranks):
        done = run_shared(count, "evaluate", [f"run={run.directory}", "split=all", f"output={tmp_path / str(count)}"])
        assert done.stdout.count("report:") == 1
    tables = [rows(tmp_path / str(count) / "scores.csv") for count in (1, ranks)]
    assert tables[0] == tables[1]  # to the last digit
    counted = Counter((row["method"], row["key"], row["metric"]) for row in tables[1])
    assert set(counted.values()) == {1} and len({row["key"] for row in tables[1]}) == 18 + 4
    for name in ("summary.csv", "cases.csv", "conditions.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / str(ranks) / name).read_bytes()


@pytest.mark.slow
def test_files_are_restored_once_by_several_processes(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "cervix_deblur", *CERVIX)
    (tmp_path / "in").mkdir()
    for number in range(7):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    for count in (1, 3):
        given = [f"run={run.directory}", f"input={tmp_path / 'in'}", f"output={tmp_path / str(count)}"]
        done = run_shared(count, "restore", given, code=1)
        assert done.stdout.count("restored 7 images into") == 1
        assert done.stderr.count("not restored:") == 1 and "broken.png" in done.stderr
    for number in range(7):
        one, three = (tmp_path / name / f"{number}.png" for name in ("1", "3"))
        assert one.read_bytes() == three.read_bytes()


@pytest.mark.slow
def test_lightnings_own_launch_with_a_judge_trained_in_the_evaluation(tmp_path: Path) -> None:
    given = [*TINIEST, "hardware.devices=2", "debug=smoke", "judge=auto", f"evaluation.judges={tmp_path / 'judges'}"]
    given = [override for override in given if override != "judge=none"]
    done = run_shared(1, "train", ["hardware=ddp", "hardware.accelerator=cpu", *given], tmp_path / "run")
    assert done.stdout.count("run directory") == 1 and done.stderr.count("training the judge") == 1
    assert (tmp_path / "run/evaluation/report.html").exists()
    assert len(list((tmp_path / "judges").glob("cervix_lesion_detector-*/judge.safetensors"))) == 1


@pytest.mark.slow
def test_ranks_that_start_seconds_apart_share_one_directory(tmp_path: Path) -> None:
    """As tasks of SLURM, by what srun sets; no hydra.run.dir is typed."""
    given = [*TINIEST, "epochs=1", "pretrain_epochs=0", "evaluation.run=false"]
    shared = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2",
              "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "train", "SLURM_NNODES": "1",
              "SLURM_NODELIST": "localhost", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29613"}  # fmt: skip
    started = []
    for rank in (0, 1):
        own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        command = [sys.executable, "-m", "medrestore.train", *given]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                command, env=environment(**shared, **own), cwd=tmp_path, stdout=pipe, stderr=pipe, text=True
            )
        )
        time.sleep(2.5)
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert outputs[0][0].count("run directory") == 1 and outputs[1][0] == ""
    (directory,) = (tmp_path / "outputs/cervix_deblur").iterdir()
    assert directory.name == "slurm-77" and (directory / "generator.safetensors").exists()


_FAILS = """
import os, sys
from medrestore.schemes import PairedWGAN
from medrestore.errors import MedrestoreError
original = PairedWGAN.training_step
def step(self, batch, index):
    if self.trainer.global_rank == int(os.environ["FAILS"]) and self.trainer.current_epoch == 1:
        raise MedrestoreError("the disk is full")
    original(self, batch, index)
PairedWGAN.training_step = step
from medrestore.train import train
train()
"""


@pytest.mark.slow
@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_of_one_process_ends_all_with_one_line(fails: int, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(_FAILS)
    given = [*TINIEST, "epochs=3", "evaluation.run=false", "hardware=cpu", "hardware.devices=2"]
    command = [sys.executable, str(tmp_path / "train.py"), *given, f"hydra.run.dir={tmp_path / 'run'}"]
    done = subprocess.run(
        command, env=environment(FAILS=str(fails)), capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode != 0
    assert done.stderr.count("medrestore: the disk is full") == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("medrestore:") == 1
