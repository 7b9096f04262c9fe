"""Signals that ask a process to end: when they break in, when they wait, who puts a job back into the queue."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import slurm_shim

from medrestore import interruption
from medrestore.interruption import StartAgain


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_ends_at_once_where_there_is_nothing_to_save(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StartAgain, match=number.name), interruption.listening():
        send(number)
    assert signal.getsignal(number) is before and not interruption.asked()


def test_a_signal_waits_while_it_is_postponed() -> None:
    done = []
    with pytest.raises(StartAgain), interruption.listening():
        with interruption.postponed():
            assert not interruption.asked()
            send(signal.SIGTERM)
            send(signal.SIGTERM)
            assert interruption.asked()
            done.append("the step")
        done.append("too late")
    assert done == ["the step"]


def test_a_second_signal_does_not_break_into_the_tidying_up() -> None:
    tidied = []
    with interruption.listening():
        try:
            send(signal.SIGTERM)
        except StartAgain:
            send(signal.SIGTERM)
            send(signal.SIGUSR1)
            tidied.append(True)
    assert tidied


def test_handlers_of_a_library_are_taken_back() -> None:
    with pytest.raises(StartAgain), interruption.listening():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interruption.listen_again()
        send(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_loader_worker_leaves_the_signal_to_its_parent() -> None:
    with interruption.listening():
        pid = os.fork()
        if pid == 0:
            send(signal.SIGTERM)
            os._exit(0 if not interruption.asked() else 1)
        assert os.waitpid(pid, 0)[1] == 0


def _task(rank: int) -> dict[str, str]:
    return {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


def _torchrun(rank: int) -> dict[str, str]:
    return {"TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2"}  # fmt: skip


@pytest.mark.parametrize(
    ("number", "environment", "requeued"),
    [
        (signal.SIGUSR1, {"SLURM_JOB_ID": "77"}, True),
        (signal.SIGUSR1, {"SLURM_JOB_ID": "77", "SLURM_STEP_NUM_TASKS": "2", **_task(0)}, True),
        (signal.SIGUSR1, {"SLURM_JOB_ID": "77", "SLURM_STEP_NUM_TASKS": "2", **_task(1)}, False),
        # torchrun typed in a batch script: every process it starts has the script's SLURM_PROCID
        (signal.SIGUSR1, {"SLURM_JOB_ID": "77", **_task(0), **_torchrun(0)}, True),
        (signal.SIGUSR1, {"SLURM_JOB_ID": "77", **_task(0), **_torchrun(1)}, False),
        (signal.SIGUSR1, {}, False),
        (signal.SIGTERM, {"SLURM_JOB_ID": "77"}, False),  # scancel, or a pre-emption after which SLURM requeues
    ],
)
def test_the_first_rank_requeues_its_job_when_its_time_is_over(
    number: int,
    environment: dict[str, str],
    requeued: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**slurm_shim.install(tmp_path / "slurm"), **environment}.items():
        monkeypatch.setenv(name, value)
    interruption.requeue(StartAgain(number))
    assert (tmp_path / "slurm" / "requeued_77").exists() == requeued


def test_a_queue_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("PATH", "/nowhere")
    interruption.requeue(StartAgain(signal.SIGUSR1))
    assert "SLURM does not requeue job 77 (" in capsys.readouterr().err
