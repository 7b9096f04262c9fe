"""The processes of one command: which of them this is, where they meet, and what only the first one does.

Several processes come from torchrun, from srun (as SLURM tasks) or from Lightning, which starts the others of a
training itself. Where a command runs in one process, everything here returns at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Literal, TypeVar

from medrestore.errors import MedrestoreError

T = TypeVar("T")
_MEETING = timedelta(minutes=5)  # how long the others are waited for at the start
_PATIENCE = timedelta(days=30)  # while the first one trains a judge, the others have nothing to do
_TOLD = "medrestore_error_told"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_group: Any = None  # in which the processes meet, apart from the training's own exchange
_alone = False
_pinned: Placement | None = None  # Lightning takes its variables back when a training ends


@dataclass(frozen=True)
class Placement:
    """This process among those of the command.

    Attributes:
        launcher: what started them.
        rank: number of this process, 0 is the first.
        count: all processes.
        local_rank: number of this process on its machine.
        nodes: machines.
    """

    launcher: Literal["none", "torchrun", "slurm", "lightning"] = "none"
    rank: int = 0
    count: int = 1
    local_rank: int = 0
    nodes: int = 1

    @property
    def external(self) -> bool:
        """Whether all processes were there before the command began."""
        return self.launcher in ("torchrun", "slurm")


def placement() -> Placement:
    """What the launcher says in the environment; imports nothing."""
    if _alone:
        return Placement()
    if _pinned is not None:
        return _pinned
    known = os.environ
    if "TORCHELASTIC_RUN_ID" in known:
        return Placement("torchrun", int(known["RANK"]), int(known["WORLD_SIZE"]), int(known["LOCAL_RANK"]),
                         int(known["WORLD_SIZE"]) // int(known["LOCAL_WORLD_SIZE"]))  # fmt: skip
    if int(known.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and not in_slurm_shell():
        return Placement("slurm", int(known["SLURM_PROCID"]), int(known["SLURM_STEP_NUM_TASKS"]),
                         int(known["SLURM_LOCALID"]), int(known.get("SLURM_STEP_NUM_NODES", "1")))  # fmt: skip
    if "LOCAL_RANK" in known and "WORLD_SIZE" in known:
        local = int(known["LOCAL_RANK"])
        return Placement("lightning", local, int(known["WORLD_SIZE"]), local)
    return Placement()


def in_slurm_shell() -> bool:
    """Whether a person types in a shell that SLURM gave: its variables are of that job, not of this command."""
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")


def pin(count: int) -> None:
    """From now on this is one of `count` processes, the others of which Lightning starts on this machine."""
    global _pinned
    local = int(os.environ.get("LOCAL_RANK", "0"))
    _pinned = Placement("lightning", local, count, local)


def is_first() -> bool:
    """Whether this process writes files and talks."""
    return placement().rank == 0


@contextmanager
def alone() -> Iterator[None]:
    """What runs inside belongs to this process only, such as the training of a judge that the others wait for."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def hush() -> None:
    """Let only the first process talk; another one that Lightning started ends with it."""
    placed = placement()
    if placed.rank == 0:
        return
    sys.stdout = open(os.devnull, "w", encoding="utf-8")
    sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if placed.launcher == "lightning" and sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # it may hang in an exchange with one that is gone


def join() -> None:
    """Meet the other processes of the command, when they are there.

    Raises:
        MedrestoreError: some of them did not come.
    """
    global _group
    placed = placement()
    if placed.count == 1 or _group is not None:
        return
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if not placed.external:
            return  # Lightning starts the others when the training begins
        if placed.launcher == "slurm":
            _find_slurm_master()
        backend = "gloo"
        if torch.cuda.is_available() and placed.local_rank < torch.cuda.device_count():
            torch.cuda.set_device(placed.local_rank)
            backend = "cpu:gloo,cuda:nccl"
        try:
            dist.init_process_group(backend, rank=placed.rank, world_size=placed.count, timeout=_MEETING)
        except (dist.DistError, RuntimeError) as error:
            raise MedrestoreError(
                f"{placed.launcher} announced {placed.count} processes, and they did not all come to "
                f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')} in {_MEETING.seconds} s "
                f"({' '.join(str(error).split())[:120]}); start each of them with the same command"
            ) from None
    _group = dist.new_group(backend="gloo", timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes, in order."""
    global _group
    if _group is not None:
        import torch.distributed as dist

        _group = None
        if dist.is_initialized():
            dist.destroy_process_group()


def everyone(value: T) -> list[T]:
    """The value of each process, by rank; a meeting point."""
    placed = placement()
    if placed.count == 1 or not _meets():
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * placed.count
    dist.all_gather_object(values, value, group=_group)
    return values


def wait() -> None:
    """Go on when every process is here."""
    everyone(None)


def from_first(value: T) -> T:
    """The value of the first process."""
    placed = placement()
    if placed.count == 1 or not _meets():
        return value
    import torch.distributed as dist

    values: list[Any] = [value if placed.rank == 0 else None]
    dist.broadcast_object_list(values, src=0, group=_group)
    return values[0]


@contextmanager
def first_ahead() -> Iterator[None]:
    """The first process does what is inside, then the others do it, who find what it left."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """In the first process the items of all, one of each in turn; in the others nothing. A meeting point for each item.

    So items that were dealt out, one to each process in turn, come back in their order.
    """
    placed = placement()
    if placed.count == 1 or not _meets():
        yield from items
        return
    import torch.distributed as dist

    own = iter(items)
    more = True
    while more:
        found = list(islice(own, 1))
        gathered: list[Any] | None = [None] * placed.count if placed.rank == 0 else None
        dist.gather_object(found, gathered, dst=0, group=_group)
        yield from (item for part in gathered or [] for item in part)
        more = any(everyone(bool(found)))


def dealt(items: list[T]) -> list[T]:
    """This process's share of a list: every n-th of them."""
    placed = placement()
    return items[placed.rank :: placed.count] if _meets() else items


def tell_first(line: str | None) -> bool:
    """Whether this process is the first of all to have something to say about an error; the others stay silent.

    Args:
        line: what it says, for standard error; None to look only whether an error was told by another.
    """
    store = _store()
    if store is None:
        told = not is_first()
    else:
        try:
            told = store.check([_TOLD]) if line is None else store.add(_TOLD, 1) > 1
        except Exception:  # whoever holds the store is gone, and has said why
            told = not is_first()
    if line and not told:
        # the first process keeps its own standard error, which a notebook or a test may have replaced
        print(line, file=sys.stderr if is_first() else sys.__stderr__, flush=True)
    return not told


def _store() -> Any:
    dist = sys.modules.get("torch.distributed")  # who has not loaded torch has met nobody: a mistake is told at once
    if dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    return dist.distributed_c10d._get_default_store()


def _meets() -> bool:
    """Whether the processes can meet; before Lightning has started the others there is none to meet."""
    if not _alone:
        join()
    return _group is not None and not _alone


def _find_slurm_master() -> None:
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    try:
        environment = SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise MedrestoreError(f"{' '.join(str(error).split())}") from None
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
