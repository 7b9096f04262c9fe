"""One job in its process: whatever happens, its result says so."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medrestore.errors import MedrestoreError
from medrestore.run_directory import in_turn, locked
from medrestore.sweeps.job import run_job
from medrestore.sweeps.result import FILE, Pruned, read_result

CONFIG = SimpleNamespace(ckpt="last", objective="val/psnr")


@pytest.mark.parametrize(
    ("raised", "state", "metric", "error"),
    [
        (Pruned(12.5), "pruned", 12.5, None),
        (MedrestoreError("dataset.root is missing"), "failed", None, "dataset.root is missing"),
        (ValueError("two\nlines"), "failed", None, "ValueError: two lines"),
    ],
)
def test_the_state_says_how_a_job_ended(
    raised: Exception, state: str, metric: float | None, error: str | None, tmp_path: Path
) -> None:
    def task(config: Any) -> float:
        assert read_result(tmp_path) is not None and read_result(tmp_path).state == "running"  # type: ignore[union-attr]
        raise raised

    result = run_job(task, CONFIG, tmp_path, ["seed=1", "ckpt=last"])
    assert (result.state, result.metric, result.error, result.overrides) == (state, metric, error, ["seed=1"])
    assert read_result(tmp_path) == result


def test_a_kill_leaves_running_and_a_complete_job_is_not_run_again(tmp_path: Path) -> None:
    calls = []

    def task(config: Any) -> float:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return 30.0

    with pytest.raises(KeyboardInterrupt):
        run_job(task, CONFIG, tmp_path, ["seed=1"])
    assert read_result(tmp_path).state == "running"  # type: ignore[union-attr]
    for _ in range(2):
        assert run_job(task, CONFIG, tmp_path, ["seed=1", "ckpt=last"]).metric == 30.0
    assert len(calls) == 2
    run_job(task, CONFIG, tmp_path, ["seed=2"])  # another job
    run_job(task, SimpleNamespace(ckpt=None, objective="m"), tmp_path, ["seed=2"])
    assert len(calls) == 4


def test_only_the_first_rank_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_job(lambda config: 1.0, CONFIG, tmp_path, []).metric == 1.0
    assert not (tmp_path / FILE).exists()


def test_a_damaged_result_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"state": "do')
    assert read_result(tmp_path) is None


def test_a_second_process_waits_for_what_another_prepares(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with in_turn(tmp_path / "judges" / "one"):
            order.append("second")

    with in_turn(tmp_path / "judges" / "one"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_run_waits_for_one_that_is_about_to_end(tmp_path: Path) -> None:
    def ending() -> None:
        with locked(tmp_path):
            time.sleep(0.5)

    thread = threading.Thread(target=ending)
    thread.start()
    time.sleep(0.1)
    with pytest.raises(MedrestoreError, match="another training runs"), locked(tmp_path):
        pass
    with locked(tmp_path, patience=10):
        thread.join()
