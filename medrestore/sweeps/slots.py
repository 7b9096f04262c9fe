"""The places of one machine where jobs can run: GPUs, or shares of its cores."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medrestore.errors import MedrestoreError

_MEMORY_GB = 4  # of a training on the CPU, as the number of CPU slots counts it


@dataclass(frozen=True)
class Slots:
    """Places for jobs.

    Attributes:
        gpus: one name a slot, as CUDA_VISIBLE_DEVICES has it; empty for CPU slots.
        count: number of slots.
        threads: of a job that takes one slot.
    """

    gpus: Sequence[str]
    count: int
    threads: int

    def environment(self, taken: Sequence[int], base: Mapping[str, str]) -> dict[str, str]:
        """The environment of a job on the slots `taken`."""
        visible = ",".join(self.gpus[slot] for slot in taken) if self.gpus else ""
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name not in base}
        return {**base, **threads, "CUDA_VISIBLE_DEVICES": visible}

    def say(self, taken: Sequence[int]) -> str:
        """Where a job on the slots `taken` runs."""
        if self.gpus:
            return "GPU " + ",".join(self.gpus[slot] for slot in taken)
        return f"CPU slot {','.join(map(str, taken))}, {self.threads} thread{'s' * (self.threads > 1)}"


def find_slots(setting: str | int | Sequence[str | int], jobs: int, cpu: bool) -> Slots:
    """The slots that `hydra.launcher.slots` names.

    Args:
        setting: `auto` for every GPU in CUDA_VISIBLE_DEVICES, else every GPU that nvidia-smi lists, else CPU slots;
            a number of slots, which are GPUs as far as there are any; or a list of GPUs.
        jobs: that want to run: CPU slots share the cores among no more than these.
        cpu: whether the jobs are bound to the CPU.

    Raises:
        MedrestoreError: more GPUs than there are, or what is not a number of slots.
    """
    gpus = [] if cpu else visible_gpus()
    cores = len(os.sched_getaffinity(0))
    if not isinstance(setting, str | int):
        listed = [str(name) for name in setting]
        missing = [name for name in listed if name not in gpus]
        if missing or not listed:
            raise MedrestoreError(
                f"hydra.launcher.slots names GPU {','.join(missing) or 'none'}, there are: {','.join(gpus) or 'none'}; "
                "type hydra.launcher.slots=auto"
            )
        gpus = listed
    elif setting != "auto":
        count = int(setting) if str(setting).isdigit() else 0
        if count < 1 or (gpus and count > len(gpus)):
            there = f"there are {len(gpus)} GPUs" if gpus else "a number from 1 on or a list of GPUs is wanted"
            raise MedrestoreError(f"hydra.launcher.slots={setting}, but {there}; type hydra.launcher.slots=auto")
        if not gpus:
            return Slots([], count, max(1, cores // min(count, max(1, jobs))))
        gpus = gpus[:count]
    if gpus:
        return Slots(gpus, len(gpus), max(1, cores // len(gpus)))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    count = max(1, min(cores, int(memory // _MEMORY_GB)))
    return Slots([], count, max(1, cores // min(count, max(1, jobs))))


def visible_gpus() -> list[str]:
    """The GPUs a process may use, without asking torch, which would take hold of them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.splitlines() if line.strip().isdigit()]
