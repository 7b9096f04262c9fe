"""SIGTERM and SIGUSR1: a training ends in order and asks to be started again.

While a training runs its steps a signal is only noted: the step is finished, the state saved, then the training ends.
Before and after, in preparation and evaluation, there is nothing to save, and it ends at once. Either way the command's
exit code is 75 (EX_TEMPFAIL of sysexits.h): the same command with `ckpt=last` goes on.

Under SLURM the first process also puts its job back into the queue after SIGUSR1, which is what a job gets that asked
for it (`sbatch --signal=USR1@120`) before its time is over. SIGTERM comes from `scancel` as well, and from a
pre-emption after which SLURM itself puts the job back: then nothing is requeued here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from medrestore.processes import is_first

AGAIN = 75  # exit code: start me again
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StartAgain(BaseException):
    """The process was asked to end and to be started again; like KeyboardInterrupt no error.

    Attributes:
        number: the signal.
        again: what the same command takes to go on.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.again = "ckpt=last"


class _State:
    """Signals belong to the process, and so does this."""

    def __init__(self) -> None:
        self.process = 0  # that listens: loader workers inherit its handlers
        self.asked = 0  # the signal that came
        self.raised = False
        self.postponed = 0
        self.led = False


_state = _State()


@contextmanager
def listening() -> Iterator[None]:
    """Turn the signals into `StartAgain`; the handlers before are put back. Within another `listening` a no-op."""
    if _state.process == os.getpid() or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.process, _state.asked, _state.raised, _state.postponed = os.getpid(), 0, False, 0
    before = {number: signal.getsignal(number) for number in SIGNALS}
    listen_again()
    try:
        yield
    finally:
        _state.process = 0
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def listen_again() -> None:
    """Take the signals back from a library that has set handlers of its own meanwhile."""
    if _state.process == os.getpid() and threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _note)


@contextmanager
def postponed() -> Iterator[None]:
    """Only note a signal within; whoever runs asks `asked()` where it can end in order.

    Raises:
        StartAgain: at the end, when a signal came and nobody has ended for it.
    """
    _state.postponed += 1
    try:
        yield
    finally:
        _state.postponed -= 1
    if asked() and not _state.postponed:
        raise stop()


def asked() -> bool:
    """Whether a signal asks this process to end."""
    return bool(_state.asked) and _state.process == os.getpid()


def stop() -> StartAgain:
    """What to raise when `asked`, here or in another rank."""
    _state.raised = True
    return StartAgain(_state.asked or signal.SIGTERM)


def _note(number: int, frame: Any) -> None:
    if _state.process != os.getpid():
        return  # a loader worker: its parent, which got the signal too, still needs it
    _state.asked = _state.asked or number
    if not _state.postponed and not _state.raised:  # a second signal must not break into the tidying up
        raise stop()


def leave_to_leader() -> None:
    """Another process leads this one, and puts the job of both back into the queue."""
    _state.led = True


def requeues(why: StartAgain) -> bool:
    """Whether this process's job is to be put back into SLURM's queue, by whichever of its processes is the first."""
    return why.number == signal.SIGUSR1 and "SLURM_JOB_ID" in os.environ and not _state.led


def requeue(why: StartAgain) -> None:
    """Put this job back into SLURM's queue where that is due; only the first of its processes does."""
    if not requeues(why) or not is_first():
        return
    job = os.environ["SLURM_JOB_ID"]
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
        failed = " ".join(done.stderr.split()) if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        failed = str(error)
    if failed:
        print(f"medrestore: SLURM does not requeue job {job} ({failed}); submit it again", file=sys.stderr)
    else:
        print(f"job {job} is back in the queue", file=sys.stderr, flush=True)
