"""An Optuna study that several processes and machines share, and that outlives each of them."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medrestore.config import key_of
from medrestore.errors import MedrestoreError
from medrestore.sweeps.result import JobResult
from medrestore.sweeps.space import suggest

STORAGE = "MEDRESTORE_STUDY_STORAGE"  # where jobs find the study; its URL may hold a password and stands in no file
_MADE_BY = "medrestore"  # attribute of a study: what it searches
_OWNER = "medrestore_sweep"  # attribute of a trial: the sweep directory it belongs to
_FREE = ("ckpt", "hardware", "logger", "callbacks", "judge", "evaluation", "metrics", "trainer")
_HOPELESS = 3  # failed trials without a good one after which a search ends


@dataclass(frozen=True)
class Search:
    """What a study searches; two sweeps share a study only when this is equal.

    Attributes:
        space: Optuna's distribution of each key.
        fixed: what all trials have in common.
        objective: name of the metric.
        direction: `maximize` or `minimize`.
    """

    space: Mapping[str, Any]
    fixed: Sequence[str]
    objective: str
    direction: Literal["maximize", "minimize"]

    def described(self) -> dict[str, Any]:
        """As it is kept with the study."""
        space = {key: repr(distribution) for key, distribution in self.space.items()}
        return {"objective": self.objective, "direction": self.direction, "fixed": sorted(self.fixed), **space}


class SharedStudy:
    """A study, seen from one sweep directory.

    Args:
        storage: an Optuna storage URL.
        name: of the study in it.
        search: what it searches.
        owner: identity of the sweep directory; its unfinished trials are run again.
        seed: of the sampler.
        startup: trials drawn at random.

    Raises:
        MedrestoreError: the storage cannot be opened, or holds another study under this name.
    """

    def __init__(self, storage: str, name: str, search: Search, owner: str, seed: int, startup: int) -> None:
        self.search, self.owner, self.seed, self.startup = search, owner, seed, startup
        self._storage = open_storage(storage)
        self._study = _open(self._storage, name, search)
        os.environ[STORAGE] = storage
        self._left = [
            trial.number
            for trial in self._study.get_trials(deepcopy=False)
            if not trial.state.is_finished() and trial.user_attrs.get(_OWNER) == owner
        ]
        self._told: list[JobResult] = []

    @property
    def size(self) -> int:
        """Trials so far, of all machines."""
        return len(self._study.get_trials(deepcopy=False))

    def next_trials(self, batch: int, total: int) -> list[tuple[int, dict[str, str]]]:
        """Numbers and values of the trials to run next: those a kill interrupted first; empty at the end.

        Args:
            batch: at most this many.
            total: trials of the whole study.
        """
        import optuna

        trials = []
        while len(trials) < batch and (self._left or self.size < total):
            if self._left:
                trial = optuna.Trial(self._study, self._trial_id(self._left.pop(0)))
            else:
                trial = self._study.ask()
                trial.set_user_attr(_OWNER, self.owner)
            # one stream of random numbers a trial: neither a kill nor another machine makes two trials draw the same
            mixed = zlib.crc32(f"{self.seed} {trial.number}".encode())
            self._study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=self.startup, constant_liar=True, seed=mixed
            )
            trials.append((trial.number, {key: suggest(trial, key, space) for key, space in self.search.space.items()}))
        return trials

    def tell(self, number: int, result: JobResult | None) -> None:
        """Tell the study what became of a trial; one that was stopped stays open, to be run again.

        Raises:
            MedrestoreError: all trials so far failed.
        """
        from optuna.trial import TrialState

        if result is None or result.state in ("running", "stopped"):
            return
        self._told.append(result)
        if result.state == "done":
            self._study.tell(number, result.metric, skip_if_finished=True)
        else:
            state = TrialState.PRUNED if result.state == "pruned" else TrialState.FAIL
            self._study.tell(number, state=state, skip_if_finished=True)
        if len(self._told) >= _HOPELESS and all(told.state == "failed" for told in self._told):
            raise MedrestoreError(f"the first {len(self._told)} trials failed, the last one: {result.error}")

    def _trial_id(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)


def identity(sweep_dir: Path) -> str:
    """A name for a sweep directory that no other has, kept in it."""
    import uuid

    path = sweep_dir / ".sweep"
    if not path.is_file():
        path.write_text(uuid.uuid4().hex, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def shared_overrides(fixed: Sequence[str]) -> list[str]:
    """Those of the fixed overrides that make the trainings of a study comparable: not where and how they run."""
    return [line for line in fixed if not key_of(line).startswith(_FREE)]


def open_storage(url: str) -> Any:
    """An Optuna storage; SQLite waits for its turn when several processes write.

    Raises:
        MedrestoreError: there is no such storage, or it is not Optuna's.
    """
    import optuna
    from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

    if "://" not in url:
        raise MedrestoreError(f"hydra.sweeper.storage={url} is not a URL; type hydra.sweeper.storage=sqlite:///{url}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    tries = 5  # two machines that make the tables at the same moment get in each other's way once
    while True:
        tries -= 1
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
        except (SQLAlchemyError, RuntimeError, ValueError, ImportError, AssertionError) as error:
            if tries and isinstance(error, IntegrityError | OperationalError):
                time.sleep(0.5)
                continue
            told = " ".join(str(error).split())[:200]
            raise MedrestoreError(f"the study's storage cannot be opened: {told}; see hydra.sweeper.storage") from None


def _open(storage: Any, name: str, search: Search) -> Any:
    import optuna

    study = optuna.create_study(storage=storage, study_name=name, direction=search.direction, load_if_exists=True)
    ours = search.described()
    kept = study.user_attrs.get(_MADE_BY)
    theirs = None if kept is None else json.loads(kept)
    if theirs is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_MADE_BY, json.dumps(ours))
    elif theirs != ours:
        how = _difference(theirs, ours)
        raise MedrestoreError(
            f"study {name!r} in this storage is another one: {how}; type hydra.sweeper.study=<another name>, or "
            "another hydra.sweep.dir"
        )
    return study


def _difference(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> str:
    if theirs is None:
        return "medrestore did not make it"
    key = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
    if key == "fixed":
        more = [line for line in theirs["fixed"] if line not in ours["fixed"]]
        less = [line for line in ours["fixed"] if line not in theirs["fixed"]]
        return f"it has {' '.join(more) or 'no ' + ' '.join(less)}" + (
            f", not {' '.join(less)}" if more and less else ""
        )
    return f"its {key} is {theirs.get(key, 'fixed')}, not {ours.get(key, 'fixed')}"
