"""The same command in one process and in several, which torchrun starts as on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

OWN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "NODE_RANK")


def environment(**more: str) -> dict[str, str]:
    """That of a user, whatever started the tests: one thread a process, no GPU."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return {**kept, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **more}


def launch(processes: int) -> list[str]:
    """The beginning of a command line: Python in so many processes, which meet at a free port of their own."""
    if processes == 1:
        return [sys.executable]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]


def run_shared(
    processes: int, command: str, overrides: Sequence[str], directory: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `python -m medrestore.<command>` in so many processes; the exit code is asserted."""
    where = [f"hydra.run.dir={directory}"] if directory is not None else []
    arguments = [*launch(processes), "-m", f"medrestore.{command}", *overrides, *where]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=600)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done


def weights(directory: Path) -> dict[str, torch.Tensor]:
    """Everything a training's last checkpoint holds of its networks and optimisers, by name."""
    state = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    found = {name: value for name, value in state["state_dict"].items() if isinstance(value, torch.Tensor)}
    for index, optimizer in enumerate(state["optimizer_states"]):
        for number, values in optimizer["state"].items():
            moments = {name: value for name, value in values.items() if name.startswith("exp_avg")}
            found |= {f"optimizer{index}.{number}.{name}": value for name, value in moments.items()}
    return found


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference of any tensor, relative to its largest value.

    Biases in front of a normalisation have no gradient but rounding: a tensor below a tenth of the largest of its
    network, weights or moments, is held against that.
    """
    assert ours.keys() == theirs.keys()
    largest: dict[tuple[str, bool], float] = {}
    for name, value in ours.items():
        if value.is_floating_point() and value.numel():
            kind = (name.split(".")[0], name.endswith("_sq"))
            largest[kind] = max(largest.get(kind, 0.0), float(value.nan_to_num().abs().max()))
    worst = 0.0
    for name, value in ours.items():
        if value.is_floating_point() and value.numel():
            scale = max(
                float(value.nan_to_num().abs().max()), 0.1 * largest[name.split(".")[0], name.endswith("_sq")], 1e-12
            )
            other = theirs[name]
            assert torch.equal(value.isnan(), other.isnan()), name
            worst = max(worst, float((value.nan_to_num().double() - other.nan_to_num().double()).abs().max()) / scale)
        else:
            assert torch.equal(value, theirs[name]), name
    return worst
