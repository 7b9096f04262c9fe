"""Trainings that stop without any tidying up: in this process by an exception, in processes of their own by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from medrestore import checkpoint, interruption
from medrestore import run as engine
from medrestore.config import compose
from medrestore.run import train


class Kill(Exception):
    """Stands for a kill at a chosen batch."""


class KillAt(pl.Callback):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Kill


def kill(directory: Path, batches: int, monkeypatch: pytest.MonkeyPatch, overrides: list[str]) -> None:
    """Train until `batches` batches are done, then stop."""
    original = engine._trainer

    def killing(*arguments: Any) -> pl.Trainer:
        trainer = original(*arguments)
        trainer.callbacks.append(KillAt(batches))
        return trainer

    monkeypatch.setattr(engine, "_trainer", killing)
    with pytest.raises(Kill):
        train(compose("train", overrides), directory)
    monkeypatch.setattr(engine, "_trainer", original)


def break_and_resume(folder: Path, overrides: Sequence[str], moments: Sequence[str]) -> dict[str, Any]:
    """Break trainings by real signals in processes of their own, let them go on, and compare with an unbroken one.

    Args:
        folder: for the runs.
        overrides: of `train`.
        moments: `<signal>:<moment>:<count>`: the signal that the training sends itself at the count-th such moment,
            `step` (in the middle of it), `validation`, `epoch` (its start), `flush` or `rename` (of a checkpoint,
            between its two, in the thread that writes it), `end` (of the training) and `evaluation`.

    Returns:
        For each moment how the broken process ended (a negative signal or an exit code), the names of what is not
        equal, bit for bit, in the last checkpoint and in what is exported, and whether the second process has saved.
    """
    line = [sys.executable, str(Path(__file__)), str(folder), json.dumps(list(overrides)), *moments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def main(folder: Path, overrides: list[str], moments: list[str]) -> None:
    """Fork a process for each training, so that torch is imported once; this one trains nothing itself."""
    assert in_child(lambda: train(compose("train", overrides), folder / "unbroken")) == 0
    expected = outcome(folder / "unbroken")
    found = {}
    for number, moment in enumerate(moments):
        directory = folder / str(number)
        code = in_child(lambda moment=moment, directory=directory: broken(moment, overrides, directory))
        before = saved_at(directory)
        again = in_child(lambda directory=directory: train(compose("train", [*overrides, "ckpt=last"]), directory))
        assert again == 0, f"{moment}: the second process ended with {again}"
        actual = outcome(directory)
        names = expected.keys() | actual.keys()
        different = [name for name in sorted(names) if not same(expected.get(name), actual.get(name))]
        found[moment] = {"code": code, "different": different, "saved": saved_at(directory) != before}
    print(json.dumps(found))


def saved_at(directory: Path) -> int | None:
    last = directory / "checkpoints" / "last.ckpt"
    return last.stat().st_mtime_ns if last.exists() else None


def in_child(task: Callable[[], Any]) -> int:
    """Run in a fork; its exit code, or minus the signal that ended it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        os.dup2(2, 1)
        try:
            with interruption.listening():
                task()
            code = 0
        except interruption.StartAgain:
            code = interruption.AGAIN
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def broken(moment: str, overrides: list[str], directory: Path) -> None:
    """Train, and at the moment send this process a signal."""
    name, where, count = moment.split(":")
    left = int(count)

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.Signals[name])

    def before(owner: Any, attribute: str, when: str = "") -> None:
        original = getattr(owner, attribute)

        def watched(*arguments: Any, **named: Any) -> Any:
            if str(arguments[-1]).endswith(when):
                pass_by()
            return original(*arguments, **named)

        setattr(owner, attribute, watched)

    hooks = {
        "step": "on_before_optimizer_step",
        "validation": "on_validation_batch_end",
        "epoch": "on_train_epoch_start",
    }
    hooks |= {"end": "on_train_end"}
    if where in hooks:
        hook = type("Hook", (pl.Callback,), {hooks[where]: lambda self, *_, **__: pass_by()})
        original = engine._trainer

        def trainer(*arguments: Any) -> pl.Trainer:
            made = original(*arguments)
            made.callbacks.insert(0, hook())
            return made

        engine._trainer = trainer
    elif where == "evaluation":
        before(engine, "evaluate")
        before(engine, "finish_judge")
        overrides = [*overrides, "evaluation.run=true"]
    elif where == "flush":
        before(checkpoint.os, "fsync")
    else:
        before(checkpoint.os, "replace", "last.ckpt")
    train(compose("train", overrides), directory)


def outcome(directory: Path) -> dict[str, Any]:
    """What a training has come to, flat: weights, counters, optimisers, scaler, choice of epochs, exported files."""
    state = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    kept = ("state_dict", "optimizer_states", "callbacks", "epoch", "global_step", "loss_scales")
    values = dict(flat({key: state[key] for key in kept if key in state}, ""))
    for path in directory.glob("*.safetensors"):
        values[path.name] = path.read_bytes()
    return values


def flat(value: Any, name: str) -> Any:
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in pairs:
            yield from flat(entry, f"{name}/{key}")
    else:
        yield name, value


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    return type(a) is type(b) and (a == b or a != a)


def bits(tensor: torch.Tensor) -> bytes:
    """Not compared by torch, whose threads, once started, hang every process that is forked afterwards."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
