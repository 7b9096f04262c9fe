"""What the machine offers, and what a run takes of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medrestore.errors import MedrestoreError
from medrestore.processes import Placement, placement

# Our names and Lightning's; full precision is told as 32.
_PRECISIONS = {
    "32": "32-true", "32-true": "32-true", "64": "64-true", "64-true": "64-true",
    "bf16": "bf16-mixed", "bf16-mixed": "bf16-mixed",
    "16": "16-mixed", "16-mixed": "16-mixed", "fp16": "16-mixed", "fp16-mixed": "16-mixed",
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """What a training runs on.

    Attributes:
        accelerator: `gpu` or `cpu`.
        devices: processes on each machine, or the GPUs they take.
        nodes: machines.
        precision: Lightning's name of it.
        workers: loader processes of each process.
        pin_memory: whether batches wait in pinned memory.
        channels_last: memory layout of images and networks.
        compile: whether generator and critics are compiled.
        recompute: whether the generator's blocks compute their activations again for the gradients.
        reasons: why, one clause each.
    """

    accelerator: str
    devices: int | Sequence[int]
    nodes: int
    precision: str
    workers: int
    pin_memory: bool
    channels_last: bool
    compile: bool
    recompute: bool
    reasons: tuple[str, ...]

    @property
    def processes(self) -> int:
        """Of all machines together; each takes an equal share of a batch."""
        return self.nodes * (self.devices if isinstance(self.devices, int) else len(self.devices))

    def __str__(self) -> str:
        """For the first lines of a run."""
        extras = [
            name
            for name, chosen in (
                ("channels_last", self.channels_last),
                ("compiled", self.compile),
                ("activations recomputed", self.recompute),
            )
            if chosen
        ]
        shared = f", {self.processes} processes" if self.processes > 1 else ""
        shared += f" on {self.nodes} machines" if self.nodes > 1 else ""
        workers = f"{self.workers} loader processes each" if self.workers else "no loader processes"
        return ", ".join([device_name(self.accelerator) + shared, self.precision, workers, *extras])


def choose(hardware: Any, judge: bool) -> Machine:
    """Decide what a training runs on, by `hardware.*`, by what is there and by what has been launched.

    Args:
        hardware: the configuration's `hardware`.
        judge: whether a judge is trained.

    Raises:
        MedrestoreError: something is asked for that is not there, or does not go together.
    """
    on = accelerator(hardware.accelerator)
    placed = placement()
    reasons: list[str] = []
    if hardware.accelerator == "auto":
        reasons.append("a GPU is here" if on == "gpu" else "no GPU is here")
    nodes = _nodes(hardware.num_nodes, placed)
    devices = _devices(hardware.devices, on, placed, nodes, reasons)
    chosen = precision(str(hardware.precision), on, judge)
    if str(hardware.precision) == "auto" and chosen != "32-true":
        reasons.append("it multiplies in bfloat16")
    layout = hardware.channels_last
    last = on == "gpu" and chosen in ("bf16-mixed", "16-mixed") if layout == "auto" else bool(layout)
    if layout == "auto" and last:
        reasons.append("tensor cores want channels last")
    pinned = hardware.pin_memory
    return Machine(
        accelerator=on,
        devices=devices,
        nodes=nodes,
        precision=chosen,
        workers=loader_workers(hardware.workers, on, devices if isinstance(devices, int) else len(devices)),
        pin_memory=on == "gpu" if pinned == "auto" else bool(pinned),
        channels_last=last and not judge,
        compile=bool(hardware.compile) and not judge,
        recompute=bool(hardware.activation_checkpointing) and not judge,
        reasons=tuple(reasons),
    )


def accelerator(setting: str) -> str:
    """`gpu` or `cpu` for `hardware.accelerator=auto|gpu|cpu`.

    Raises:
        MedrestoreError: a GPU was asked for and there is none.
    """
    if setting == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    if setting == "gpu" and not torch.cuda.is_available():
        raise MedrestoreError("hardware=gpu, but no CUDA device was found; type hardware=cpu")
    return setting


def precision(setting: str, on: str, judge: bool) -> str:
    """Lightning's precision for `hardware.precision`.

    `auto` is bfloat16 where the machine multiplies in it, which about halves the time of a step; weights, optimiser,
    gradient penalty, validation and everything that is judged stay in float32.

    Args:
        setting: `auto`, `32`, `bf16-mixed`, `fp16-mixed` or `64`.
        on: `gpu` or `cpu`.
        judge: whether a judge is trained: boxes and thresholds do not survive half precision.

    Raises:
        MedrestoreError: an unknown one, or float16 on a CPU.
    """
    if setting != "auto":
        if setting not in _PRECISIONS:
            raise MedrestoreError(
                f"hardware.precision={setting} is not known; type hardware.precision=32, bf16-mixed or fp16-mixed"
            )
        chosen = _PRECISIONS[setting]
        if chosen == "16-mixed" and on == "cpu":
            raise MedrestoreError(
                f"hardware.precision={setting} needs a GPU, and this training runs on a CPU; "
                "type hardware.precision=bf16-mixed or hardware.precision=32"
            )
        return "32-true" if judge and chosen == "16-mixed" else chosen
    if judge:
        return "32-true"
    if on == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    able = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch we allow
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"


def loader_workers(setting: str | int, on: str, processes: int = 1) -> int:
    """Loader processes: on a CPU none, because the training needs the cores; on a GPU up to eight, of its share."""
    if setting == "auto":
        return min(8, max(1, ((os.cpu_count() or 2) - 1) // processes)) if on == "gpu" else 0
    return int(setting)


def device_name(on: str) -> str:
    """For the first lines of a run."""
    return torch.cuda.get_device_name() if on == "gpu" else f"CPU, {torch.get_num_threads()} threads"


def own_device(setting: str) -> torch.device:
    """The device on which this process judges or restores.

    Args:
        setting: `auto`, `gpu` or `cpu`.
    """
    if accelerator(setting) == "cpu":
        return torch.device("cpu")
    placed = placement()
    local = placed.local_rank if placed.external else torch.cuda.current_device()
    return torch.device("cuda", local % torch.cuda.device_count())


def lay_out(module: nn.Module, machine: Machine) -> None:
    """Give the networks of a module the memory layout `channels_last`.

    Raises:
        MedrestoreError: torch's instance normalisation on a CPU, whose gradients are wrong in that layout.
    """
    if machine.accelerator == "cpu":
        wrong = [name for name, part in module.named_modules() if isinstance(part, nn.InstanceNorm2d)]
        if wrong:
            raise MedrestoreError(
                f"hardware.channels_last=true: on a CPU torch returns wrong gradients without an error for "
                f"nn.InstanceNorm2d ({wrong[0]}) in this layout; type hardware.channels_last=false"
            )
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_share(batch_size: int, processes: int) -> None:
    """Refuse a batch that cannot be cut into equal shares.

    Raises:
        MedrestoreError: with the nearest batch that can.
    """
    if batch_size % processes:
        raise MedrestoreError(
            f"sampling.batch_size={batch_size} cannot be shared by {processes} processes; "
            f"type sampling.batch_size={max(1, batch_size // processes) * processes}"
        )


def _nodes(setting: Any, placed: Placement) -> int:
    if setting == "auto":
        return placed.nodes
    if placed.external and int(setting) != placed.nodes:
        raise MedrestoreError(
            f"hardware.num_nodes={setting}, but {placed.launcher} started processes on {placed.nodes} machines; "
            "type hardware.num_nodes=auto"
        )
    if int(setting) != 1 and not placed.external:
        raise MedrestoreError(
            f"hardware.num_nodes={setting}: processes on several machines are started by torchrun or srun, see "
            "docs/cluster.md; type hardware.num_nodes=1"
        )
    return int(setting)


def _devices(setting: Any, on: str, placed: Placement, nodes: int, reasons: list[str]) -> int | list[int]:
    """How many processes a machine runs, or which GPUs they take."""
    listed = None if isinstance(setting, int | str) else [int(number) for number in setting]
    there = torch.cuda.device_count() if on == "gpu" else os.cpu_count() or 1
    if placed.external:
        each = placed.count // placed.nodes
        asked = len(listed) if listed is not None else each if setting in ("auto", "all") else int(setting)
        if asked != each:
            raise MedrestoreError(
                f"{placed.launcher} started {each} processes a machine, but hardware.devices={setting}; "
                "type hardware=ddp hardware.devices=auto"
            )
        if on == "gpu" and each > there:
            raise MedrestoreError(
                f"{placed.launcher} started {each} processes, and this machine has {there} GPUs; start {there}"
            )
        reasons.append(f"{placed.launcher} started {placed.count} processes")
        return listed if listed is not None else each
    if listed is None and setting == "auto":
        if on == "gpu" and there > 1:
            reasons.append(f"one of {there} GPUs: hardware=ddp takes all of them")
        return 1
    if setting == "all":
        if on == "cpu":
            raise MedrestoreError(
                "hardware=ddp on a CPU needs a number of processes; type hardware.devices=2, or start it by torchrun"
            )
        reasons.append(f"{there} GPUs are here")
        return there
    what = f"{there} GPU{'s' * (there != 1)}" if on == "gpu" else f"{there} CPU core{'s' * (there != 1)}"
    if listed is not None:
        if on == "cpu" or not listed or max(listed) >= there or min(listed) < 0:
            raise MedrestoreError(
                f"hardware.devices={listed} names GPUs, and this machine has {what}; type hardware.devices=1"
            )
        return listed
    if not 1 <= int(setting) <= there:
        raise MedrestoreError(f"hardware.devices={setting}, but this machine has {what}; type hardware.devices={there}")
    return int(setting)
