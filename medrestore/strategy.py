"""How Lightning is told about a machine: devices, processes, precision."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from medrestore.errors import MedrestoreError
from medrestore.hardware import Machine
from medrestore.processes import pin, placement

_EXCHANGE = timedelta(minutes=30)  # a process that waits so long for a gradient has lost the others


class ScaledElsewhere(MixedPrecision):
    """Autocast in float16 without a scaler of its own: each optimiser of a scheme has one, see `LossScales`."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cuda")
        self.scaler = None


def trainer_arguments(machine: Machine, setting: str, judge: bool) -> dict[str, Any]:
    """Arguments of `pl.Trainer` for a machine.

    Args:
        machine: what was chosen.
        setting: `hardware.strategy`: `auto`, or one of Lightning's by name.
        judge: whether a judge is trained, which Lightning optimises by itself.

    Raises:
        MedrestoreError: several processes that nobody can start.
    """
    plugins: list[Any] = []
    strategy: Any = setting
    if machine.processes > 1:
        placed = placement()
        if not placed.external:
            _refuse_outside_of_commands(machine)
            pin(machine.processes)
            plugins.append(LightningEnvironment())  # also on a cluster, without srun
        if setting == "auto":
            # every step leaves a network out; no buffers are sent: all processes compute the same, see `shared_batch`
            known = inspect.signature(DistributedDataParallel).parameters
            sends = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
            silent: dict[str, Any] = {sends: False}
            strategy = DDPStrategy(find_unused_parameters=True, timeout=_EXCHANGE, **silent)
    scaled = machine.precision == "16-mixed" and not judge
    if scaled:
        plugins.append(ScaledElsewhere())
    return {
        "accelerator": machine.accelerator,
        "devices": machine.devices,
        "num_nodes": machine.nodes,
        "strategy": strategy,
        "precision": None if scaled else machine.precision,
        "plugins": plugins,
    }


def _refuse_outside_of_commands(machine: Machine) -> None:
    """Lightning starts the other processes by the command line of this one, which must therefore be our command."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        raise MedrestoreError(
            f"{machine.processes} processes are started by `python -m medrestore.train` or torchrun; "
            "type hardware.devices=1 here"
        )
