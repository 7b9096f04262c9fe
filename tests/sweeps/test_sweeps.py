"""Sweeps as a user types them: processes of their own, real launchers and sweepers, the training itself a stand-in."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm_shim
from stand_in import command, environment

TPE = ["-m", "experiment=cervix_deblur", "hydra/sweeper=tpe", "+sweep=cervix_tpe", "debug=smoke"]


def table(directory: Path) -> list[dict[str, str]]:
    with (directory / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def wait_for(path: Path, count: int, pattern: str) -> None:
    deadline = time.monotonic() + 120
    while len(list(path.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.02)


def starts(directory: Path) -> list[list[str]]:
    """Time, process id and checkpoint of every start of a job."""
    return [line.split()[:3] for line in (directory / "started.txt").read_text().splitlines()]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_gpu_pool_gives_each_job_a_gpu_and_lists_what_failed(tmp_path: Path) -> None:
    env = environment(tmp_path / "site", CUDA_VISIBLE_DEVICES="4,7")
    arguments = ["-m", "experiment=cervix_deblur", "epochs=1", "pretrain_epochs=0", "hydra/launcher=gpu_pool"]
    done = command([*arguments, "seed=2,13,14,17", "hydra.sweep.dir=sweep"], tmp_path, env)
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "sweep")
    assert [row["seed"] for row in rows] == ["2", "13", "14", "17"]
    assert [row["state"] for row in rows] == ["done", "failed", "failed", "stopped"]
    assert float(rows[0]["val/psnr"]) == pytest.approx(30 + 1 - 0.2 - 10 * 1e-3)
    assert rows[1]["error"] == "killed by SIGKILL, out of memory?: about to be killed"
    assert rows[2]["error"] == "RuntimeError: CUDA out of memory, says the stand-in"
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 5000
    assert "the last line of the log" in (tmp_path / "sweep" / "0" / "train.log").read_text()
    seen = {(tmp_path / "sweep" / name / "started.txt").read_text().partition("{")[2][:27] for name in "01"}
    assert seen == {"'CUDA_VISIBLE_DEVICES': '4'", "'CUDA_VISIBLE_DEVICES': '7'"}
    assert done.stdout.count("job 1 (seed=13) failed after") == 1
    assert done.stdout.splitlines()[-1] == f"sweep directory: {tmp_path / 'sweep'}"

    assert done.stdout.count("job 3 (seed=17) was stopped after") == 1

    again = command([*arguments, "seed=2,14,14,17", "hydra.sweep.dir=sweep", "ckpt=last"], tmp_path, env)
    assert again.returncode == 1, again.stderr
    assert len(starts(tmp_path / "sweep" / "0")) == 1  # complete: not trained again
    assert len(starts(tmp_path / "sweep" / "1")) == 2
    assert [start[2] for start in starts(tmp_path / "sweep" / "3")] == ["None", "last"]
    assert [row["state"] for row in table(tmp_path / "sweep")][3] == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_no_job_outlives_its_pool(number: signal.Signals, tmp_path: Path) -> None:
    env = environment(tmp_path / "site", STAND_IN_SECONDS="60")
    arguments = ["-m", "experiment=cervix_deblur", "seed=1,2,3", "hydra/launcher=gpu_pool", "hydra.launcher.slots=2"]
    leader = subprocess.Popen(
        [sys.executable, "-m", "medrestore.train", *arguments, "hydra.sweep.dir=sweep"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(tmp_path / "sweep", 2, "*/started.txt")
    leader.send_signal(number)
    out, err = leader.communicate(timeout=60)
    children = [int(starts(tmp_path / "sweep" / name)[0][1]) for name in "01"]
    deadline = time.monotonic() + 20
    while not all(gone(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "sweep" / "2").exists()
    if number == signal.SIGTERM:
        assert leader.returncode == 75 and f"hydra.sweep.dir={tmp_path / 'sweep'} ckpt=last" in err
        assert [row["state"] for row in table(tmp_path / "sweep")] == ["stopped", "stopped"], out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model.critc_steps=1,5"], "did you mean 'model.critic_steps'?"),
        (["experiment=cervix_deblur,cervix_deblurr", "hydra/launcher=gpu_pool"], "unknown option experiment="),
        (["hardware.devices=1,2"], "type hydra/launcher=gpu_pool"),
        (["model.adversarial_weight=interval(0,1)"], "type hydra/sweeper=tpe"),
        (["hydra/sweeper=tpe", "model.critc_steps=interval(1,5)"], "did you mean 'model.critic_steps'?"),
        (["hydra/sweeper=tpe", "hydra.sweeper.storage=nowhere.db", "seed=1,2"], "sqlite:///nowhere.db"),
        (["hydra/launcher=submitit_slurm", "seed=1,2"], "SLURM takes no jobs"),
    ],
)
def test_a_mistake_is_one_line_before_any_job_starts(arguments: list[str], told: str, tmp_path: Path) -> None:
    base = [] if arguments[0].startswith("experiment") else ["experiment=cervix_deblur"]
    env = environment(tmp_path / "site", PATH="/nowhere")
    done = command(["-m", *base, *arguments, "hydra.sweep.dir=sweep"], tmp_path, env)
    assert told in one_line(done)
    assert not list(tmp_path.rglob("started.txt"))


def test_a_search_killed_and_started_again_goes_on(tmp_path: Path) -> None:
    """Trials, their numbers and what the sampler draws are those of a search that was not killed."""
    env = environment(tmp_path / "site", STAND_IN_SECONDS="0.3")
    search = [*TPE, "hydra.sweeper.trials=4", "hydra.sweeper.startup=2"]
    unbroken = tmp_path / "unbroken"
    unbroken.mkdir()
    assert command(search, unbroken, env).returncode == 0

    search += ["hydra/launcher=gpu_pool", "hydra.launcher.slots=1"]
    directory = tmp_path / "outputs" / "cervix_deblur" / "cervix_tpe"
    leader = subprocess.Popen([sys.executable, "-m", "medrestore.train", *search], cwd=tmp_path, env=env)
    wait_for(directory, 1, "1/metrics.csv")  # one epoch of the second trial is there
    leader.kill()
    leader.wait()
    done = command(search, tmp_path, env)
    assert done.returncode == 0, done.stderr
    first, second = table(unbroken / "outputs" / "cervix_deblur" / "cervix_tpe"), table(directory)
    for row in [*first, *second]:
        row.pop("seconds")
    assert second == first and len(first) == 4
    assert [len(starts(directory / str(number))) for number in range(4)] == [1, 2, 1, 1]
    assert starts(directory / "1")[1][2] == "last"
    assert "best: job" in done.stdout

    again = command(search, tmp_path, env)
    assert again.returncode == 0 and "the study has its 4 trials" in again.stdout
    other = command([*search, "model.critic_steps=choice(1,2)"], tmp_path, env)
    assert "its model.critic_steps is CategoricalDistribution(choices=('1', '3', '5'))" in one_line(other)


@pytest.mark.slow
def test_two_machines_share_a_study(tmp_path: Path) -> None:
    env = environment(tmp_path / "site", STAND_IN_SECONDS="0.1")
    shared = [*TPE, f"hydra.sweeper.storage=sqlite:///{tmp_path}/shared.db", "hydra.sweeper.trials=4"]
    machines = [
        subprocess.Popen(
            [sys.executable, "-m", "medrestore.train", *shared, f"hydra.sweep.dir={name}"],
            cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in "ab"
    ]  # fmt: skip
    for machine in machines:
        _, err = machine.communicate(timeout=200)
        assert machine.returncode == 0, err
    numbers = [sorted(int(row["job"]) for row in table(tmp_path / name)) for name in "ab"]
    assert not set(numbers[0]) & set(numbers[1]) and all(numbers)
    assert sorted(numbers[0] + numbers[1])[:4] == list(range(4)) and len(numbers[0] + numbers[1]) <= 5


def test_slurm_runs_an_array_and_lists_what_it_lost(tmp_path: Path) -> None:
    env = environment(tmp_path / "site", **slurm_shim.install(tmp_path / "slurm"))
    arguments = ["-m", "experiment=cervix_deblur", "seed=2,13,15,16", "epochs=1", "pretrain_epochs=0"]
    slurm = ["hydra/launcher=submitit_slurm", "hydra.launcher.poll_seconds=0.5", "hydra.launcher.partition=gpu"]
    more = ["hydra.launcher.array_parallelism=2", "hydra.launcher.additional_parameters={constraint:a100}"]
    done = command([*arguments, *slurm, *more, "hydra.sweep.dir=sweep"], tmp_path, env)
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "sweep")
    states = [(row["seed"], row["state"]) for row in rows]
    assert states == [("2", "done"), ("13", "failed"), ("15", "failed"), ("16", "done")]
    assert [start[2] for start in starts(tmp_path / "sweep" / "3")] == ["None", "last"]  # it requeued itself
    assert float(rows[0]["val/psnr"]) == pytest.approx(30 + 1 - 0.2 - 10 * 1e-3)
    assert rows[1]["error"] == "killed by SIGKILL, out of memory?: about to be killed"
    assert rows[2]["error"] == "ended without a result: about to be killed"
    script = (tmp_path / "slurm" / "script.sh").read_text()
    wanted = (
        "array=0-3%2",
        "gpus-per-node=1",
        "ntasks-per-node=1",
        "partition=gpu",
        "signal=USR1@120",
        "constraint=a100",
    )
    assert [flag for flag in wanted if f"#SBATCH --{flag}\n" not in script] == []
