"""A training asks its study after each epoch whether to go on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from medrestore.callbacks import Pruning
from medrestore.errors import MedrestoreError
from medrestore.sweeps.overrides import parsed
from medrestore.sweeps.result import JobResult, Pruned
from medrestore.sweeps.space import distribution
from medrestore.sweeps.study import STORAGE, Search, SharedStudy


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedStudy:
    monkeypatch.setenv(STORAGE, "")  # set by the study, removed by pytest
    space = {"seed": distribution(parsed(["seed=1,2,3"])[0])}
    search = Search(space, [], "val/psnr", "maximize")
    return SharedStudy(f"sqlite:///{tmp_path}/study.db", "s", search, "me", seed=0, startup=9)


def epoch(callback: Pruning, number: int, value: float) -> None:
    trainer: Any = SimpleNamespace(
        callback_metrics={"val/psnr": torch.tensor(value)},
        current_epoch=number,
        is_global_zero=True,
        sanity_checking=False,
        strategy=SimpleNamespace(broadcast=lambda value: value),
    )
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]


def test_a_trial_below_the_median_ends_after_the_warmup(study: SharedStudy) -> None:
    trials = study.next_trials(4, 4)
    callbacks = [Pruning("val/psnr", "s", number, startup=2, warmup=1) for number, _ in trials]
    for callback, number, curve in zip(callbacks, range(3), [(20, 21, 22), (24, 25, 26), (30, 31, 32)], strict=False):
        for index, value in enumerate(curve):
            epoch(callback, index, value)
        study.tell(number, JobResult("done", [], "val/psnr", float(curve[-1])))
    last = callbacks[3]
    epoch(last, 0, 1.0)  # within the warm-up
    epoch(last, 1, 25.5)  # above 25, the median of the others
    again = Pruning("val/psnr", "s", 3, startup=2, warmup=1)  # killed and started again: epoch 1 is measured once more
    epoch(again, 1, 25.5)
    with pytest.raises(Pruned) as pruned:
        epoch(Pruning("val/psnr", "s", 3, startup=2, warmup=1), 2, 25.75)  # below 26
    assert pruned.value.args == (25.75,)
    study.tell(3, JobResult("pruned", [], "val/psnr", 25.75))
    states = [trial.state.name for trial in study._study.trials]
    assert states == ["COMPLETE"] * 3 + ["PRUNED"]


def test_a_nan_is_not_reported(study: SharedStudy) -> None:
    (number, _), *_ = study.next_trials(1, 1)
    epoch(Pruning("val/psnr", "s", number, startup=0, warmup=0), 0, float("nan"))
    assert study._study.trials[0].intermediate_values == {}


def test_pruning_without_a_search_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORAGE, raising=False)
    with pytest.raises(MedrestoreError, match="hydra/sweeper=tpe"):
        Pruning("val/psnr", "s", 0, startup=0, warmup=0)


def test_a_search_in_which_everything_fails_ends(study: SharedStudy) -> None:
    failed = JobResult("failed", [], "val/psnr", error="no such folder")
    for number, _ in study.next_trials(2, 9):
        study.tell(number, failed)
    ((third, _),) = study.next_trials(1, 9)
    with pytest.raises(MedrestoreError, match="the first 3 trials failed, the last one: no such folder"):
        study.tell(third, failed)


def test_a_study_that_medrestore_did_not_make_is_refused(tmp_path: Path, study: SharedStudy) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    foreign = optuna.create_study(storage=url, study_name="theirs")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(MedrestoreError, match="medrestore did not make it"):
        SharedStudy(url, "theirs", study.search, "me", seed=0, startup=9)
    (tmp_path / "other.db").write_bytes(b"not a database" * 100)
    with pytest.raises(MedrestoreError, match="the study's storage cannot be opened"):
        SharedStudy(f"sqlite:///{tmp_path}/other.db", "s", study.search, "me", seed=0, startup=9)
    with pytest.raises(MedrestoreError, match="its direction is maximize, not minimize"):
        SharedStudy(url, "s", Search(study.search.space, [], "val/psnr", "minimize"), "me", seed=0, startup=9)
