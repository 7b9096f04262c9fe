"""A sweep on a real SLURM of one node with two pretended GPUs; `make test-slurm` sets it up."""

from __future__ import annotations

import csv
import os
import re
import time
from pathlib import Path

import pytest
from conftest import TINY, TINY_WGAN
from stand_in import command, environment

pytestmark = pytest.mark.skipif("MEDRESTORE_SLURM" not in os.environ, reason="needs SLURM: make test-slurm")

SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.poll_seconds=2"]


def table(directory: Path) -> list[dict[str, str]]:
    with (directory / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_an_array_on_two_gpus_lists_the_jobs_it_lost(tmp_path: Path) -> None:
    env = environment(tmp_path / "site", STAND_IN_SECONDS="3")
    arguments = ["-m", "experiment=cervix_deblur", "seed=1,2,3,13,15", "epochs=1", "pretrain_epochs=0"]
    start = time.time()
    done = command([*arguments, *SLURM, "hydra.launcher.mem_gb=1", "hydra.sweep.dir=sweep"], tmp_path, env)
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "sweep")
    assert [row["state"] for row in rows] == ["done"] * 3 + ["failed"] * 2
    assert rows[3]["error"] == "killed by SIGKILL, out of memory?: about to be killed"
    assert rows[4]["error"] == "ended without a result: about to be killed"  # told by the queue alone
    seen = [(tmp_path / "sweep" / str(job) / "started.txt").read_text() for job in range(3)]
    gpus = [re.findall(r"'CUDA_VISIBLE_DEVICES': '(\d)'", text)[0] for text in seen]
    assert set(gpus) == {"0", "1"}
    assert all(float(text.split()[0]) > start for text in seen)


def test_what_sbatch_refuses_is_one_line(tmp_path: Path) -> None:
    arguments = ["-m", "experiment=cervix_deblur", "seed=1,2", "hydra.launcher.mem_gb=900000", *SLURM]
    done = command(arguments, tmp_path, environment(tmp_path / "site"))
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "SLURM takes no jobs" in done.stderr and "emory" in done.stderr


def test_real_trainings_return_their_metric(tmp_path: Path) -> None:
    arguments = ["-m", "experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=1", "pretrain_epochs=0", "seed=1,2"]
    done = command([*arguments, *SLURM, "hydra.launcher.mem_gb=2", "evaluation.run=false"], tmp_path, dict(os.environ))
    assert done.returncode == 0, done.stderr
    (sweep,) = tmp_path.glob("outputs/cervix_deblur/sweep_*")
    assert [row["state"] for row in table(sweep)] == ["done", "done"]
    assert all(float(row["val/psnr"]) > 5 for row in table(sweep))
