"""Checkpoints written while the training goes on."""

from __future__ import annotations

import copy
import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import CheckpointIO

from medrestore.checkpoint import read_training_state, save_training_state

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class BackgroundSaving(CheckpointIO):
    """Copies the state to memory and writes it in a thread, for which the next save and the end of the training wait.

    So a save stalls the training for the copy alone, and for what is left of the save before it. `last.ckpt` becomes
    `previous.ckpt` when a new one is whole.

    A disk that takes no more does not end the training: what it has learned since the last save exists in memory alone,
    and ending now would surely lose it. It is told in a line, what was saved before stays, the next save tries again.
    Only a training that is over and still cannot be saved fails (`Checkpoints`).

    Attributes:
        failures: of each file whose newest save failed, what was told.
    """

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._bug: BaseException | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Copy the state and start writing it."""
        self.wait()
        state = _copied(checkpoint)
        self._thread = threading.Thread(target=self._write, args=(state, Path(path)), name="checkpoint")
        self._thread.start()

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a state, to the CPU; whatever is asked for, only plain containers and tensors."""
        return read_training_state(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Delete a state."""
        Path(path).unlink(missing_ok=True)

    @property
    def failure(self) -> str | None:
        """Why the newest state of the training is not on the disk; None where it is."""
        return self.failures.get(LAST)

    def wait(self) -> None:
        """Until the state that is being written is on the disk, or has failed to get there."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._bug is not None:
            bug, self._bug = self._bug, None
            raise bug

    def teardown(self) -> None:
        """At the end of a training, whatever ended it."""
        self.wait()

    def _write(self, state: dict[str, Any], path: Path) -> None:
        try:
            save_training_state(path, state, path.with_name(PREVIOUS) if path.name == LAST else None)
            self.failures.pop(path.name, None)
        except OSError as error:
            self.failures[path.name] = f"{path} was not saved: {error.strerror or error}"
            kept = "what was saved before is whole, the training goes on and tries again"
            print(f"medrestore: {self.failures[path.name]}; {kept}", file=sys.stderr, flush=True)
        except BaseException as bug:  # raised where somebody sees it
            self._bug = bug


def _copied(value: Any) -> Any:
    """A state that the training no longer changes: its containers and tensors copied, the tensors to memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        copied = copy.copy(value)  # keeps what an OrderedDict of weights carries beside them
        copied.update((key, _copied(entry)) for key, entry in value.items())
        return copied
    if isinstance(value, list | tuple):
        return type(value)(_copied(entry) for entry in value)
    return value
