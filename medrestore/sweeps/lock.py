"""One sweep a directory at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medrestore.errors import MedrestoreError


@contextmanager
def sole_sweep(directory: Path) -> Iterator[None]:
    """Hold the directory of a sweep.

    Raises:
        MedrestoreError: another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MedrestoreError(
                f"another sweep runs in {directory}; type another hydra.sweep.dir, and to share its study "
                f"hydra.sweeper.storage=sqlite:///{(directory / 'study.db').resolve()}"
            ) from None
        yield
