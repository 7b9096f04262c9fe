"""The comparison of runs as sections of text and tables: scores, seeds' noise, settings, time, the papers' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Line, Variant, group, lines
from medrestore.evaluation.comparison_curves import curve_section
from medrestore.evaluation.comparison_noise import Difference, differences, noise_section
from medrestore.evaluation.comparison_papers import beside_paper
from medrestore.evaluation.comparison_parts import COLOURS, colour_section, is_of_a_part, part_sections
from medrestore.evaluation.comparison_runs import JudgedRun, agree, find_runs, load_runs
from medrestore.evaluation.comparison_seeds import best_section, direction, interval_section
from medrestore.evaluation.comparison_text import digits, plain_name, spread
from medrestore.evaluation.papers import paper
from medrestore.evaluation.reach import times
from medrestore.evaluation.tables import heading
from medrestore.evaluation.variants import differing

_METRICS_PER_TABLE = 5  # what fits beside the names on a screen of 120 columns
MANY = 12  # models from which on a comparison is told by rank, and in short on the screen
_BASES = ("base", "baseline")  # the variant that others are held against, where no other was named


@dataclass(frozen=True)
class RunComparison:
    """What comparing some runs gives.

    Attributes:
        sections: text and tables, in reading order.
        variants: the models.
        lines: the joint table.
        base: the variant that others are held against.
        differences: every variant against it.
        papers: short names of the papers that the runs follow.
        notes: what was left out or is odd.
        refused: how many runs were left out because they cannot be read or stand under other conditions.
    """

    sections: Sequence[Section]
    variants: Sequence[Variant]
    lines: Sequence[Line]
    base: str
    differences: Sequence[Difference]
    papers: Sequence[str]
    notes: Sequence[str]
    refused: int = 0

    @property
    def spoken(self) -> Sequence[Section]:
        """What goes to the screen: all of a few models; of many the scores and the best."""
        return self.sections if len(self.variants) < MANY else self.sections[:2]


def compare_runs(
    where: str | Sequence[str], base: str | None = None, metrics: Sequence[str] | None = None
) -> RunComparison:
    """Compare judged runs: one table, what stands out from the seeds' noise, what differs, the papers' figures.

    Args:
        where: run directories, folders of runs or globs.
        base: name of the variant that the others are held against; None takes "base", or else the first.
        metrics: columns of the tables; None takes all. What is told of some images alone has sections of its own.

    Raises:
        MedrestoreError: no run, runs under different conditions, an unknown base or metric.
    """
    directories, left_out = find_runs(where)
    runs, unread = load_runs(directories)
    runs, parted = agree(runs)
    variants, repeated = group(runs)
    table, odd = lines(variants)
    known = list(dict.fromkeys(metric for line in table for metric in line.values))
    columns = _chosen("metrics", metrics, known) if metrics else [name for name in known if not is_of_a_part(name)]
    named = [variant.name for variant in variants]
    default = next((name for name in named if name in _BASES), named[0])
    reference = variants[named.index(_chosen("base", [base or default], named)[0])]
    found = differences(variants, reference, columns)
    told = [
        _scores(runs, variants, table, [name for name in columns if metrics or name not in COLOURS]),
        best_section(variants, columns),
        curve_section(variants),
        interval_section(variants, columns),
        None if metrics else colour_section(table, named),
    ]
    sections = [section for section in told if section is not None]
    sections += part_sections(table, named, metrics)
    if len(variants) > 1:
        sections += [noise_section(reference.name, found, len(variants) >= MANY), _settings(variants)]
    sections += times(variants, reference if len(variants) >= MANY else None)
    about = dict.fromkeys(str(v.config["about"]["paper"]) for v in variants if v.config["about"].get("paper"))
    sections += [beside_paper(paper(name), variants, table, known) for name in about]
    notes = [*left_out, *unread, *parted, *repeated, *odd]
    refused = len(unread) + len(parted)
    return RunComparison(sections, variants, table, reference.name, found, list(about), notes, refused)


def _chosen(key: str, given: Sequence[str], known: Sequence[str]) -> list[str]:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise MedrestoreError(f"{key}={unknown[0]} is not there; there are: {', '.join(known)}")
    return list(given)


# --- sections ----------------------------------------------------------------


def _scores(
    runs: Sequence[JudgedRun], variants: Sequence[Variant], table: Sequence[Line], metrics: Sequence[str]
) -> Section:
    images = len(runs[0].conditions.get("keys", []))
    seeds = {variant.name: list(variant.runs) for variant in variants}
    if len(variants) >= MANY and metrics:
        table = _ranked(table, metrics[0])
    parts = [metrics[start : start + _METRICS_PER_TABLE] for start in range(0, len(metrics), _METRICS_PER_TABLE)]
    tables = [
        Table(
            "",
            ["row", "kind", "seeds", *(heading(metric) for metric in part)],
            [
                [line.name, line.kind, str(max(map(len, line.values.values()))) if line.kind == "learned" else ""]
                + [spread(line.values.get(metric, {}), digits(metric, table)) for metric in part]
                for line in table
            ],
        )
        for part in parts
    ]
    text = [
        f"{images} test images, the same for every row. Each number is a mean over images; of a model trained with "
        "several seeds the mean over its trainings ± their standard deviation."
    ]
    if len(variants) >= MANY:
        text.append(f"Models stand in the order of {plain_name(metrics[0])}, the best first.")
    left_out = sorted(
        {f"{s.method} ({s.metric})" for run in runs for s in run.summaries if s.n_left_out and s.metric in metrics}
    )
    if left_out:
        text.append(f"Infinite or missing scores are left out of the means of {', '.join(left_out)}.")
    patients = runs[0].conditions.get("patients", "known")
    if patients != "known":
        text.append(f"Patients {patients}: every such image is its own group, intervals may be too narrow.")
    numbers = list(seeds.values())
    if all(number == numbers[0] for number in numbers):
        said = f"{', '.join(map(str, numbers[0]))}, of every model"
    else:
        said = "; ".join(f"{name}: {', '.join(map(str, number))}" for name, number in seeds.items())
    return Section(f"{len(variants)} models, {len(runs)} trainings", [*text, f"Seeds: {said}."], tables)


def _ranked(table: Sequence[Line], metric: str) -> list[Line]:
    """Rows that learn nothing first, then models by their mean, the best first."""
    sign = direction(metric) or 1

    def key(line: Line) -> tuple[bool, float]:
        values = list(line.values.get(metric, {}).values())
        return line.kind == "learned", -sign * sum(values) / len(values) if values and line.kind == "learned" else 0.0

    return sorted(table, key=key)


def _settings(variants: Sequence[Variant]) -> Section:
    table = differing([variant.config for variant in variants])
    if not table:
        return Section("Settings that differ", ["None but those of seed, machine and files."])
    if len(variants) < MANY:
        rows = [[key, *values] for key, values in table.items()]
        return Section("Settings that differ", [], [Table("", ["key", *(v.name for v in variants)], rows)])
    rows = [[variant.name, *values] for variant, *values in zip(variants, *table.values(), strict=True)]
    return Section("Settings that differ", [], [Table("", ["row", *table], rows)])
