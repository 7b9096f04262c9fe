"""Several judged runs held against each other: which are one model, and what they score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from medrestore.evaluation.comparison_runs import JudgedRun
from medrestore.evaluation.lesion_focus import NAME as FOCUSED
from medrestore.evaluation.statistics import Comparison, Score
from medrestore.evaluation.statistics import compare as compare_images
from medrestore.evaluation.variants import identity_of, names

LEARNED = ("pretrained", "restored")  # rows that belong to a run; all others are the same images in every run
_SAME = 1e-6  # relative: the rows that learn nothing are deterministic, their sums are not to the last bit


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
