"""A run directory: opening it, locking it, and the configuration in it."""

from __future__ import annotations

import fcntl
import functools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from medrestore.config import compose, plain
from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class Run:
    """A training on disk.

    Attributes:
        directory: the run directory.
        config: its resolved configuration.
    """

    directory: Path
    config: DictConfig

    @classmethod
    def load(cls, where: str | Path) -> Run:
        """Open a run directory; keys that came after its version have their defaults.

        Raises:
            MedrestoreError: no run there.
        """
        directory = Path(where)
        path = directory / "config.yaml"
        if not path.is_file():
            what = "it is not a run" if directory.is_dir() else "there is no such directory"
            raise MedrestoreError(f"run={where}: no config.yaml, {what}; type run=<directory printed by train>")
        saved = OmegaConf.load(path)
        assert isinstance(saved, DictConfig)
        config = OmegaConf.merge({key: value for key, value in _defaults().items() if key in saved}, saved)
        assert isinstance(config, DictConfig)
        return cls(directory, config)


@functools.cache
def _defaults() -> dict[str, Any]:
    """What every configuration has, whatever it trains on what."""
    config = compose("train", [])
    return {key: plain(config[key]) for key in ("metrics", "evaluation", "sampling", "hardware", "callbacks")}


@contextmanager
def locked(directory: Path, patience: float = 0.0) -> Iterator[None]:
    """One training a directory at a time.

    Args:
        directory: the run directory.
        patience: seconds to wait for a training there that is about to end.

    Raises:
        MedrestoreError: another training runs there.
    """
    (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
    with open(directory / "checkpoints" / ".lock", "w") as file:
        deadline = time.monotonic() + patience
        while not _lock(file):
            if time.monotonic() > deadline:
                raise MedrestoreError(f"another training runs in {directory}; type another hydra.run.dir")
            time.sleep(0.2)
        yield


@contextmanager
def in_turn(directory: Path) -> Iterator[None]:
    """Wait until no other process prepares what lies in `directory`: jobs of a sweep share their judges."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f".{directory.name}.lock"), "w") as file:
        if not _lock(file):
            print(f"another process prepares {directory}: waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def resolved(config: Any) -> DictConfig:
    """A copy without interpolations, as it is saved.

    Assessments keep theirs: what they take from other keys is what these are when the run is judged again, so that
    `evaluate ... metrics.niqe_params=FILE` reaches them.

    Raises:
        MedrestoreError: A value has no default and was not given.
    """
    try:
        container: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise MedrestoreError(f"{error.full_key} is not given; type {error.full_key}=...") from None
    assessments = OmegaConf.select(config, "evaluation.assessments")
    if assessments is not None:
        container["evaluation"]["assessments"] = OmegaConf.to_container(assessments, resolve=False)
    return cast(DictConfig, OmegaConf.create(container))


def flat(config: Any, keys: Sequence[str]) -> dict[str, str]:
    """Some top-level keys of a configuration as `{"model.critic.width": "64"}`."""
    flat: dict[str, str] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}")
        else:
            flat[path] = str(node)

    for key in keys:
        walk(plain(config.get(key)), key)
    return flat
