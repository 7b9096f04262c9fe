"""What the machine offers, and what a run takes of it."""

from __future__ import annotations

import os

import torch

from medrestore.errors import MedrestoreError


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
        setting: `auto`, or what Lightning takes.
        on: `gpu` or `cpu`.
        judge: whether a judge is trained: boxes and thresholds do not survive half precision.
    """
    if setting != "auto":
        return setting
    if judge:
        return "32-true"
    if on == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    able = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch we allow
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"


def loader_workers(setting: str | int, on: str) -> int:
    """Loader processes: on a CPU none, because the training needs the cores; on a GPU up to eight."""
    if setting == "auto":
        return min(8, max(1, (os.cpu_count() or 2) - 1)) if on == "gpu" else 0
    return int(setting)


def device_name(on: str) -> str:
    """For the first lines of a run."""
    return torch.cuda.get_device_name() if on == "gpu" else f"CPU, {torch.get_num_threads()} threads"
