"""Slots and the pool: who runs where, and what becomes of jobs that die."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from medrestore.errors import MedrestoreError
from medrestore.sweeps.child import ChildJob
from medrestore.sweeps.pool import run_pool
from medrestore.sweeps.result import JobResult, read_result, write_result
from medrestore.sweeps.slots import Slots, find_slots

_JOB = """
import json, os, sys, time
start = time.monotonic()
time.sleep(0.3)
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([start, time.monotonic(), os.environ["CUDA_VISIBLE_DEVICES"]]) + "\\n")
"""
_DONE = """
import json, pathlib
result = dict(state="done", overrides=[], objective="m", metric=1.5, seconds=2)
pathlib.Path("{0}/result.json").write_text(json.dumps(result))
"""


def child(directory: Path, script: str, *arguments: str, devices: int = 1) -> ChildJob:
    command = [sys.executable, "-c", script + _DONE.format(directory), *arguments]
    return ChildJob(f"job {directory.name}", directory, command, ["seed=1", "ckpt=last"], "m", devices)


def test_slots_come_from_the_variable_then_nvidia_smi_then_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7f")
    assert find_slots("auto", 9, cpu=False).gpus == ["4", "GPU-7f"]
    assert find_slots(1, 9, cpu=False).gpus == ["4"]
    assert find_slots(["GPU-7f"], 9, cpu=False).gpus == ["GPU-7f"]
    with pytest.raises(MedrestoreError, match="names GPU 5, there are: 4,GPU-7f"):
        find_slots([4, 5], 9, cpu=False)
    with pytest.raises(MedrestoreError, match="there are 2 GPUs"):
        find_slots(3, 9, cpu=False)
    with pytest.raises(MedrestoreError, match=r"type hydra\.launcher\.slots=auto"):
        find_slots("all", 9, cpu=False)
    assert find_slots("auto", 9, cpu=True).gpus == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    shim = tmp_path / "nvidia-smi"
    shim.write_text("#!/bin/sh\necho 0\necho 1\necho 2\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_slots("auto", 9, cpu=False).gpus == ["0", "1", "2"]
    shim.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert find_slots("auto", 9, cpu=False).gpus == []


def test_cpu_slots_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert find_slots(4, 9, cpu=True) == Slots([], 4, threads=3)
    assert find_slots(4, 2, cpu=True) == Slots([], 4, threads=6)  # two jobs leave no core idle
    assert find_slots(4, 9, cpu=True).environment([1], {})["OMP_NUM_THREADS"] == "3"
    assert find_slots(4, 9, cpu=True).environment([1], {"OMP_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "1"


def test_no_slot_is_taken_twice_and_a_wide_job_gets_its_turn(tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [child(tmp_path / str(n), _JOB, str(log), devices=2 if n == 1 else 1) for n in range(4)]
    results = run_pool(jobs, Slots(["4", "7"], 2, 1), grace=5)
    assert [result.metric for result in results] == [1.5] * 4
    runs = [json.loads(line) for line in log.read_text().splitlines()]
    wide = next(run for run in runs if run[2] == "4,7")
    assert sorted(run[2] for run in runs) in (["4", "4", "4,7", "7"], ["4", "4,7", "7", "7"])
    for start, end, gpus in runs:
        for other in runs:
            if set(gpus.split(",")) & set(other[2].split(",")) and other != [start, end, gpus]:
                assert end <= other[0] or other[1] <= start
    assert sum(run[1] <= wide[0] for run in runs) == 1  # the narrow jobs behind it did not overtake it


def test_a_dead_job_spares_the_rest_and_is_listed_with_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_done(name: str) -> Path:  # what an earlier try left must not be taken for this one's
        write_result(tmp_path / name, JobResult("failed", [], "m", error="old"))
        return tmp_path / name

    jobs = [
        child(write_done("0"), "import os; print('step 7', flush=True); os.kill(os.getpid(), 9)"),
        child(tmp_path / "1", "import sys; print('bad news'); print(); sys.exit(3)"),
        child(tmp_path / "2", "import os; os._exit(0)"),
        child(tmp_path / "3", "print('fine')"),
    ]
    results = run_pool(jobs, Slots([], 1, 1), grace=5)
    assert [result.state for result in results] == ["failed", "failed", "failed", "done"]
    assert [result.error for result in results] == [
        "killed by SIGKILL, out of memory?: step 7",
        "ended with code 3: bad news",
        "ended without a result",
        None,
    ]
    assert read_result(tmp_path / "1") == results[1] and results[1].overrides == ["seed=1"]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 8 and told[0] == "job 0 started on CPU slot 0, 1 thread"
    assert told[-1] == "job 3 done in 2 s: m 1.5"


def test_more_devices_than_slots_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    jobs = [child(tmp_path / "0", ""), child(tmp_path / "1", "", devices=3)]
    with pytest.raises(MedrestoreError, match=r"job 1 wants hardware\.devices=3, the pool has GPU 0,1; type"):
        run_pool(jobs, Slots(["0", "1"], 2, 1), grace=5)
    assert not (tmp_path / "0").exists()
