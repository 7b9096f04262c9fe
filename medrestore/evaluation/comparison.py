"""Several judged runs held against each other: which may be compared, which are one model, what they score."""

from __future__ import annotations

import csv
import glob
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from medrestore.config import plain
from medrestore.errors import MedrestoreError
from medrestore.evaluation.lesion_focus import NAME as FOCUSED
from medrestore.evaluation.statistics import Comparison, Score, Summary
from medrestore.evaluation.statistics import compare as compare_images
from medrestore.evaluation.tables import read_conditions, read_scores, read_summary
from medrestore.evaluation.variants import identity_of, names
from medrestore.run_directory import Run, flat

LEARNED = ("pretrained", "restored")  # rows that belong to a run; all others are the same images in every run
# What must agree, in the order in which it is told. A hash counts where both runs have it.
_CONDITIONS = ("dataset", "data_seed", "window", "degradation", "keys", "metrics", "split_hash", "degradation_hash")
_SAME = 1e-6  # relative: the rows that learn nothing are deterministic, their sums are not to the last bit


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


@dataclass(frozen=True)
class Variant:
    """One model: trainings that differ in nothing but their seed.

    Attributes:
        name: of its row.
        runs: by seed.
    """

    name: str
    runs: Mapping[int, JudgedRun]

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of its first training."""
        return next(iter(self.runs.values())).config


class Line(NamedTuple):
    """A row of the joint table: its name, kind, and by metric the value of each seed.

    Where the row learns nothing there is a single value, under the seed None.
    """

    name: str
    kind: str
    values: Mapping[str, Mapping[int | None, float]]


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


def group(runs: Sequence[JudgedRun]) -> tuple[list[Variant], list[str]]:
    """Put runs that differ in their seed alone into one variant and name them.

    Returns:
        The variants in the order of their first runs, and a line for each run that repeats another.
    """
    notes: list[str] = []
    groups: dict[str, dict[int, JudgedRun]] = {}
    for run in runs:
        members = groups.setdefault(identity_of(run.config), {})
        seed = int(run.config["seed"])
        if seed in members:
            notes.append(f"left out: {run.directory} is the same training as {members[seed].directory}, seed {seed}")
        else:
            members[seed] = run
    labels = names([next(iter(members.values())).config for members in groups.values()])
    return [Variant(label, members) for label, members in zip(labels, groups.values(), strict=True)], notes


def lines(variants: Sequence[Variant]) -> tuple[list[Line], list[str]]:
    """The joint table: rows that learn nothing once, then the models.

    Returns:
        The rows, and a line for each shared row whose values are not the same in all runs.
    """
    runs = [run for variant in variants for run in variant.runs.values()]
    # rows of `evaluate baselines=`: such a model stands in its own row where its run is here as well
    present = {variant.name for variant in variants} | {
        variant.config["about"].get("experiment") for variant in variants
    }
    focused = [variant for variant in variants if _is_focused(variant)]
    if focused:
        present.add(FOCUSED)
    shared: dict[str, Line] = {}
    notes: list[str] = []
    for run in runs:
        for summary in run.summaries:
            if summary.method in LEARNED or summary.method in present or summary.mean is None:
                continue
            line = shared.setdefault(summary.method, Line(summary.method, summary.kind, {}))
            values: dict[int | None, float] = dict(line.values.get(summary.metric, {}))
            first = values.setdefault(None, summary.mean)
            if abs(first - summary.mean) > _SAME * max(1.0, abs(first)):
                notes.append(
                    f"{summary.metric} of '{summary.method}' is {summary.mean:.6g} in {run.directory} and {first:.6g} "
                    f"in {runs[0].directory}: the runs were judged differently; the table shows the latter"
                )
            shared[summary.method] = line._replace(values={**line.values, summary.metric: values})
    order = ("reference", "control", "classical", "oracle", "truth", "learned")
    rest = sorted(shared.values(), key=lambda line: order.index(line.kind) if line.kind in order else len(order))
    own = [_own(variant, method) for variant in variants for method in LEARNED]
    own += [_own(variant, FOCUSED) for variant in focused]
    return [*rest, *(line for line in own if line.values)], notes


def _is_focused(variant: Variant) -> bool:
    return (variant.config.get("sampling") or {}).get("focus") is not None


def _own(variant: Variant, method: str) -> Line:
    values: dict[str, dict[int | None, float]] = {}
    for seed, run in variant.runs.items():
        for summary in run.summaries:
            if summary.method == method and summary.mean is not None:
                values.setdefault(summary.metric, {})[seed] = summary.mean
    name = variant.name if method == "restored" else f"{variant.name}, {method}"
    return Line(name, "learned", values)


def image_comparison(variant: Variant, base: Variant, metric: str) -> Comparison | None:
    """Paired comparison of two models over the test images, each image's score averaged over the seeds.

    None for a metric of whole sets, which has no score of single images.
    """
    scores = [
        Score(name, key, group_name, metric, sum(values) / len(values))
        for name, model in (("ours", variant), ("theirs", base))
        for (key, group_name), values in _by_image(model, metric).items()
        if all(map(math.isfinite, values))
    ]
    return compare_images(scores, "ours", "theirs", metric) if scores else None


def _by_image(variant: Variant, metric: str) -> dict[tuple[str, str], list[float]]:
    values: dict[tuple[str, str], list[float]] = {}
    for run in variant.runs.values():
        for score in run.scores:
            if score.method == "restored" and score.metric == metric:
                values.setdefault((score.key, score.group), []).append(score.value)
    return values
