"""The comparison of runs as sections of text and tables: scores, seeds' noise, settings, time, the papers' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import JudgedRun, Line, Variant, agree, find_runs, group, image_comparison, lines
from medrestore.evaluation.comparison_papers import beside_paper
from medrestore.evaluation.comparison_parts import COLOURS, colour_section, is_of_a_part, part_sections
from medrestore.evaluation.comparison_text import digits, interval, plain_name, spread
from medrestore.evaluation.papers import paper
from medrestore.evaluation.reach import times
from medrestore.evaluation.seeds import SeedTest, holm, seed_test
from medrestore.evaluation.statistics import Comparison
from medrestore.evaluation.tables import UNITS, heading, p_text
from medrestore.evaluation.variants import differing

_ALPHA = 0.05
_METRICS_PER_TABLE = 5  # what fits beside the names on a screen of 120 columns
_BASES = ("base", "baseline")  # the variant that others are held against, where no other was named


class Difference(NamedTuple):
    """A variant against the base variant under one metric.

    `seeds` is over trainings, `p_holm` its p corrected for the number of variants; `images` is over test images, None
    for a metric of whole sets.
    """

    variant: str
    metric: str
    seeds: SeedTest
    p_holm: float | None
    images: Comparison | None


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
    """

    sections: Sequence[Section]
    variants: Sequence[Variant]
    lines: Sequence[Line]
    base: str
    differences: Sequence[Difference]
    papers: Sequence[str]
    notes: Sequence[str]


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
    runs = [JudgedRun.load(directory) for directory in directories]
    agree(runs)
    variants, repeated = group(runs)
    table, odd = lines(variants)
    known = list(dict.fromkeys(metric for line in table for metric in line.values))
    columns = _chosen("metrics", metrics, known) if metrics else [name for name in known if not is_of_a_part(name)]
    named = [variant.name for variant in variants]
    default = next((name for name in named if name in _BASES), named[0])
    reference = variants[named.index(_chosen("base", [base or default], named)[0])]
    found = _differences(variants, reference, columns)
    sections = [_scores(runs, variants, table, [name for name in columns if metrics or name not in COLOURS])]
    colours = None if metrics else colour_section(table, named)
    sections += [] if colours is None else [colours]
    sections += part_sections(table, named, metrics)
    if len(variants) > 1:
        sections += [_noise(reference.name, found), _settings(variants)]
    sections += times(variants)
    about = dict.fromkeys(str(v.config["about"]["paper"]) for v in variants if v.config["about"].get("paper"))
    sections += [beside_paper(paper(name), variants, table, known) for name in about]
    notes = [*left_out, *repeated, *odd]
    return RunComparison(sections, variants, table, reference.name, found, list(about), notes)


def _chosen(key: str, given: Sequence[str], known: Sequence[str]) -> list[str]:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise MedrestoreError(f"{key}={unknown[0]} is not there; there are: {', '.join(known)}")
    return list(given)


def _differences(variants: Sequence[Variant], base: Variant, metrics: Sequence[str]) -> list[Difference]:
    values = {variant.name: _restored(variant) for variant in variants}
    found = []
    for metric in metrics:
        others = [v for v in variants if v is not base and metric in values[v.name] and metric in values[base.name]]
        tests = [seed_test(values[v.name][metric], values[base.name][metric]) for v in others]
        corrected = holm([test.p_value for test in tests])
        for variant, test, p_holm in zip(others, tests, corrected, strict=True):
            found.append(Difference(variant.name, metric, test, p_holm, image_comparison(variant, base, metric)))
    return found


def _restored(variant: Variant) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    for seed, run in variant.runs.items():
        for summary in run.summaries:
            if summary.method == "restored" and summary.mean is not None:
                values.setdefault(summary.metric, {})[seed] = summary.mean
    return values


# --- sections ----------------------------------------------------------------


def _scores(
    runs: Sequence[JudgedRun], variants: Sequence[Variant], table: Sequence[Line], metrics: Sequence[str]
) -> Section:
    images = len(runs[0].conditions.get("keys", []))
    seeds = {variant.name: list(variant.runs) for variant in variants}
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
    left_out = sorted(
        {f"{s.method} ({s.metric})" for run in runs for s in run.summaries if s.n_left_out and s.metric in metrics}
    )
    if left_out:
        text.append(f"Infinite or missing scores are left out of the means of {', '.join(left_out)}.")
    patients = runs[0].conditions.get("patients", "known")
    if patients != "known":
        text.append(f"Patients {patients}: every such image is its own group, intervals may be too narrow.")
    said = "; ".join(f"{name}: {', '.join(map(str, numbers))}" for name, numbers in seeds.items())
    return Section(f"{len(variants)} models, {len(runs)} trainings", [*text, f"Seeds: {said}."], tables)


def _noise(base: str, found: Sequence[Difference]) -> Section:
    rows = []
    for variant, metric, test, p_holm, images in found:
        places = 2 if metric in UNITS else 4
        rows.append(
            [
                variant,
                heading(metric),
                f"{test.difference:+.{places}f}",
                interval(test.low, test.high, places),
                f"{test.test}, {test.df:.3g} df" if test.df is not None else "one seed: no noise known",
                "" if p_holm is None else p_text(p_holm),
                "" if images is None else interval(images.low, images.high, places),
            ]
        )
    header = ["row", "metric", f"minus {base}", "95 % over seeds", "test", "p (Holm)", "95 % over images"]
    text = [
        f"Each model against '{base}'. Over seeds: would the difference be there again if both were trained again, on "
        "these images? p is corrected for the number of models (Holm). Over images: would it be there on other "
        "patients or scenes (bootstrap over groups; not available below five)? What does not stand out may be there "
        "all the same: the intervals say how large it may be."
    ]
    for variant in dict.fromkeys(difference.variant for difference in found):
        text.append(_stands_out(variant, base, [d for d in found if d.variant == variant]))
    return Section("What stands out from the seeds' noise", text, [Table("", header, rows)])


def _stands_out(variant: str, base: str, found: Sequence[Difference]) -> str:
    tested = [d for d in found if d.p_holm is not None]
    if not tested:
        return f"'{variant}': one seed here or in '{base}': no noise known; train more with seed=0,1,2."
    clear = [f"{plain_name(d.metric)} {_signed(d)}" for d in tested if d.p_holm is not None and d.p_holm < _ALPHA]
    rest = [plain_name(d.metric) for d in tested if d.p_holm is not None and d.p_holm >= _ALPHA]
    if not clear:
        return f"'{variant}': no difference stands out from the seeds' noise."
    said = f"{', '.join(clear)} {'stands' if len(clear) == 1 else 'stand'} out from the seeds' noise"
    more = f"; {', '.join(rest)} {'does' if len(rest) == 1 else 'do'} not" if rest else ""
    return f"'{variant}': {said}{more}."


def _settings(variants: Sequence[Variant]) -> Section:
    table = differing([variant.config for variant in variants])
    if not table:
        return Section("Settings that differ", ["None but those of seed, machine and files."])
    rows = [[key, *values] for key, values in table.items()]
    return Section("Settings that differ", [], [Table("", ["key", *(v.name for v in variants)], rows)])


def _signed(difference: Difference) -> str:
    places = 2 if difference.metric in UNITS else 4
    return f"{difference.seeds.difference:+.{places}f}{UNITS.get(difference.metric, '')}"
