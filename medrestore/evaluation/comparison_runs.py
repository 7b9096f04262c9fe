"""Judged runs on disk: finding them, reading them, and which of them may stand in one table."""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medrestore.config import plain
from medrestore.errors import MedrestoreError
from medrestore.evaluation.statistics import Score, Summary
from medrestore.evaluation.tables import read_conditions, read_scores, read_summary
from medrestore.run_directory import Run, flat

# What must agree, in the order in which it is told. A hash counts where both runs have it.
_CONDITIONS = ("dataset", "data_seed", "window", "degradation", "keys", "metrics", "split_hash", "degradation_hash")


@dataclass(frozen=True)
class JudgedRun:
    """A finished run with its evaluation.

    Attributes:
        directory: the run directory.
        config: its configuration as plain containers.
        conditions: what its scores depend on.
        summaries: its table.
    """

    directory: Path
    config: Mapping[str, Any]
    conditions: Mapping[str, Any]
    summaries: Sequence[Summary]

    @cached_property
    def scores(self) -> list[Score]:
        """The scores of single images."""
        return read_scores(self.directory / "evaluation" / "scores.csv")

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of images by part of the split, and of `groups`."""
        path = self.directory / "split.csv"
        if not path.is_file():
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        parts = [row["split"] for row in rows]
        return {part: parts.count(part) for part in dict.fromkeys(parts)} | {"groups": len({r["group"] for r in rows})}

    @classmethod
    def load(cls, directory: Path) -> JudgedRun:
        """Open a run directory and read its evaluation.

        Raises:
            MedrestoreError: no run there, it was not judged, or its files were changed.
        """
        run = Run.load(directory)
        if (directory / "judge.safetensors").exists():
            raise MedrestoreError(f"{directory} is a judge, which restores nothing; leave it out of runs=")
        evaluation = directory / "evaluation"
        if not (evaluation / "summary.csv").is_file():
            raise MedrestoreError(f"{directory} was not judged yet; type python -m medrestore.evaluate run={directory}")
        summaries = read_summary(evaluation / "summary.csv")
        return cls(directory, plain(run.config), read_conditions(evaluation / "conditions.json"), summaries)


def find_runs(where: str | Sequence[str]) -> tuple[list[Path], list[str]]:
    """The run directories that `runs=` names.

    Args:
        where: run directories, folders with runs below them (a sweep), or globs; one or a list.

    Returns:
        The run directories without repeats, and a line for each run below a folder that was not judged yet.

    Raises:
        MedrestoreError: a name that leads to no run.
    """
    found: list[Path] = []
    notes: list[str] = []
    for name in [where] if isinstance(where, str) else list(where):
        places = (
            [Path(place) for place in sorted(glob.glob(name), key=_natural)] if glob.has_magic(name) else [Path(name)]
        )
        runs = [place for place in places if (place / "config.yaml").is_file()]
        folders = [place for place in places if place not in runs]
        below = [path.parent for folder in folders for path in sorted(folder.rglob("config.yaml"), key=_natural)]
        below = [run for run in below if not (run / "judge.safetensors").exists()]
        judged = [run for run in below if (run / "evaluation" / "summary.csv").is_file()]
        if not runs and not judged:
            what = "no judged run there" if any(place.is_dir() for place in places) else "there is no such directory"
            raise MedrestoreError(f"runs={name}: {what}; type 'runs=[A,B]' with directories that train printed")
        found += runs + judged
        notes += [f"left out: {run} was not judged yet" for run in below if run not in judged]
    return list(dict.fromkeys(found)), notes


def _natural(path: str | Path) -> list[str | int]:
    """A key under which job 10 of a sweep comes after job 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def load_runs(directories: Sequence[Path]) -> tuple[list[JudgedRun], list[str]]:
    """Read runs; one that cannot be read is told and left out, as long as two others remain.

    Returns:
        The runs, and a line for each that was left out.

    Raises:
        MedrestoreError: of the first that cannot be read, where fewer than two can.
    """
    runs: list[JudgedRun] = []
    refused: list[MedrestoreError] = []
    for directory in directories:
        try:
            runs.append(JudgedRun.load(directory))
        except MedrestoreError as error:
            refused.append(error)
    if refused and len(runs) < 2:
        raise refused[0]
    return runs, [f"left out: {error}" for error in refused]


def agree(runs: Sequence[JudgedRun]) -> tuple[list[JudgedRun], list[str]]:
    """The most runs whose scores belong into one table; the others are told and left out.

    Of two such groups of one size, the one of the run that was given first.

    Returns:
        The runs, and a line for each that was left out: the first condition that differs, with both values.

    Raises:
        MedrestoreError: no two of several runs belong together.
    """
    groups: list[list[JudgedRun]] = []
    for run in runs:
        fitting = [group for group in groups if all(_parting(run, member) is None for member in group)]
        if fitting:
            fitting[0].append(run)
        else:
            groups.append([run])
    kept = max(groups, key=len)
    told = {
        run.directory: f"{run.directory} cannot stand beside {kept[0].directory}: {parted}"
        for run in runs
        if all(run is not member for member in kept)
        and (parted := next((p for member in kept if (p := _parting(run, member))), None))
    }
    if told and len(kept) < 2:
        raise MedrestoreError(f"{next(iter(told.values()))}; leave it out of runs=, or judge it on the same images")
    return kept, [f"left out: {line}" for line in told.values()]


def _parting(run: JudgedRun, other: JudgedRun) -> str | None:
    """The first condition in which a run is not as another, with both values."""
    for name in _CONDITIONS:
        ours, theirs = _condition(other, name), _condition(run, name)
        if ours is not None and theirs is not None and ours != theirs:
            return _difference(name, theirs, ours)
    return None


def _condition(run: JudgedRun, name: str) -> Any:
    value = run.conditions.get(name)
    if name == "degradation" and isinstance(value, Mapping):  # `fixed` is about the training images
        return {key: part for key, part in value.items() if key != "fixed"}
    return sorted(value) if name == "keys" and value is not None else value


def _difference(name: str, theirs: Any, ours: Any) -> str:
    if name == "keys":
        common = len(set(theirs) & set(ours))
        return f"other test images ({len(theirs)} and {len(ours)}, {common} in common)"
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        a, b = flat(theirs, list(theirs)), flat(ours, list(ours))
        key = next(key for key in {**b, **a} if a.get(key) != b.get(key))
        return f"{name}.{key} is {a.get(key, 'not set')}, not {b.get(key, 'not set')}"
    return f"{name} is {theirs}, not {ours}"
