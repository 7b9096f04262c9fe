"""What a run takes of the machine, and what it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_WGAN

from medrestore.config import compose
from medrestore.errors import MedrestoreError
from medrestore.hardware import choose, precision
from medrestore.processes import Placement, placement
from medrestore.run import train
from medrestore.strategy import trainer_arguments

CORES = os.cpu_count() or 1
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
SRUN = {
    **{"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"},
    **{"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_JOB_NAME": "train"},
}


def hardware(*overrides: str):
    return compose("train", list(overrides)).hardware


@pytest.mark.parametrize(
    ("able", "expected"), [({"avx512_bf16": True}, "bf16-mixed"), ({"amx_bf16": True}, "bf16-mixed"), ({}, "32-true")]
)
def test_auto_takes_bfloat16_where_the_cpu_multiplies_in_it(
    able: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert precision("auto", "cpu", judge=False) == expected
    assert precision("auto", "cpu", judge=True) == "32-true"
    assert precision("32", "cpu", judge=False) == "32-true"


def test_float16_is_for_gpus_and_never_for_judges() -> None:
    assert precision("fp16-mixed", "gpu", judge=False) == "16-mixed" and precision("16", "gpu", judge=True) == "32-true"
    with pytest.raises(MedrestoreError, match=r"fp16-mixed needs a GPU.*type hardware.precision=bf16-mixed") as error:
        choose(hardware("hardware=cpu", "hardware.precision=fp16-mixed"), judge=False)
    assert "\n" not in str(error.value)
    with pytest.raises(MedrestoreError, match=r"precision=half is not known"):
        precision("half", "gpu", judge=False)


def test_auto_says_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine = choose(hardware("hardware=auto", "hardware.precision=32"), judge=False)
    assert machine.accelerator == "cpu" and machine.processes == 1 and "no GPU is here" in machine.reasons
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    machine = choose(hardware("hardware=auto"), judge=False)
    assert (machine.accelerator, machine.processes, machine.precision) == ("gpu", 1, "bf16-mixed")
    assert machine.channels_last and machine.pin_memory
    assert "one of 4 GPUs: hardware=ddp takes all of them" in machine.reasons
    assert choose(hardware("hardware=ddp"), judge=False).processes == 4
    assert choose(hardware("hardware=ddp", "hardware.devices=[1,3]"), judge=False).devices == [1, 3]
    fp16 = choose(hardware("hardware=gpu_fp16"), judge=False)
    assert fp16.precision == "16-mixed" and fp16.channels_last
    (plugin,) = trainer_arguments(fp16, "auto", judge=False)["plugins"]
    assert plugin.scaler is None  # the schemes scale
    with pytest.raises(MedrestoreError, match=r"devices=8, but this machine has 4 GPUs; type hardware.devices=4"):
        choose(hardware("hardware=ddp", "hardware.devices=8"), judge=False)
    with pytest.raises(MedrestoreError, match=r"\[0, 4\] names GPUs, and this machine has 4 GPUs"):
        choose(hardware("hardware=ddp", "hardware.devices=[0,4]"), judge=False)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["hardware=ddp", "hardware.accelerator=cpu"], r"needs a number of processes; type hardware.devices=2"),
        (["hardware=cpu", f"hardware.devices={CORES + 1}"], rf"this machine has {CORES} CPU core.*devices={CORES}"),
        (["hardware=cpu", "hardware.devices=0"], r"hardware.devices=0, but this machine has"),
        (["hardware=cpu", "hardware.devices=[0,1]"], r"names GPUs"),
        (["hardware=cpu", "hardware.num_nodes=2"], r"started by torchrun or srun"),
    ],
)
def test_devices_that_are_not_there_are_refused(overrides: list[str], told: str) -> None:
    with pytest.raises(MedrestoreError, match=told) as error:
        choose(hardware(*overrides), judge=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Placement()),
        (TORCHRUN, Placement("torchrun", 3, 4, 1, 2)),
        (SRUN, Placement("slurm", 3, 4, 1, 2)),
        ({**SRUN, "SLURM_JOB_NAME": "bash"}, Placement()),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}, Placement()),  # a batch script without srun
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1", "NODE_RANK": "0"}, Placement("lightning", 1, 2, 1)),
    ],
)
def test_what_launched_this_process(
    environment: dict[str, str], expected: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*TORCHRUN, *SRUN, "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert placement() == expected
    if expected.external:
        machine = choose(hardware("hardware=ddp", "hardware.accelerator=cpu"), judge=False)
        assert (machine.devices, machine.nodes, machine.processes) == (2, 2, 4)
        with pytest.raises(MedrestoreError, match=r"started 2 processes a machine, but hardware.devices=1"):
            choose(hardware("hardware=cpu", "hardware.devices=1"), judge=False)
        with pytest.raises(MedrestoreError, match=r"num_nodes=1, but \w+ started processes on 2 machines"):
            choose(hardware("hardware=cpu", "hardware.num_nodes=1"), judge=False)


@pytest.mark.skipif(CORES < 2, reason="one core")
def test_a_batch_that_cannot_be_shared_is_refused_before_anything_starts(tmp_path: Path) -> None:
    given = ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "hardware.devices=2"]
    with pytest.raises(MedrestoreError, match=r"batch_size=3 cannot be shared by 2 processes; .*batch_size=2"):
        train(compose("train", [*given, "sampling.batch_size=3"]), tmp_path / "run")
    with pytest.raises(MedrestoreError, match=r"2 processes are started by `python -m medrestore.train` or torchrun"):
        train(compose("train", given), tmp_path / "run")
