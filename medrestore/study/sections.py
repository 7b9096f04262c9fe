"""The parts of the study's report: the result, its pictures, the raters, the paper beside it, the plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.papers import Figure, papers
from medrestore.evaluation.statistics import MIN_GROUPS, p_text
from medrestore.study.figures import bars, violins
from medrestore.study.manifest import REFERENCE, SIMULATION
from medrestore.study.opinions import Agreement, Opinion, Pair
from medrestore.study.screening import critical_correlation, faults_told

if TYPE_CHECKING:
    from medrestore.study.analyse import Analysis

_WANTED = 24  # raters (ITU-T P.910)
_ALPHA = 0.05


def verdict(found: Analysis) -> list[str]:
    """The result in sentences."""
    ranked = sorted(found.mos, key=lambda name: -found.mos[name].mean)
    order = ", ".join(f"'{name}' {found.mos[name].mean:.2f}" for name in ranked)
    lines = [f"Mean opinions from 1 (Bad) to 5 (Excellent): {order}."]
    for pair in found.pairs:
        if "learned" in (found.kinds[pair.method], found.kinds[pair.other]) and REFERENCE not in (
            pair.method,
            pair.other,
        ):
            lines.append(_sentence(pair))
    groups, pairs = len(set(found.groups)), len(found.pairs)
    if groups >= MIN_GROUPS and pairs * 2.0 ** (1 - groups) >= _ALPHA:
        least = min(1.0, pairs * 2.0 ** (1 - groups))
        lines.append(f"With {groups} patients or scenes no p of {pairs} pairs can fall below {least:.2f}: show more.")
    finished = len(found.ratings.raters)
    line = f"{found.counted} of {finished} raters who finished are counted, on {len(found.groups)} "
    line += f"images of {groups} patients (or scenes)."
    if found.counted < _WANTED:
        line += f" ITU-T P.910 wants {_WANTED} raters: with fewer the result is a pilot."
    return [*lines, line]


def _sentence(pair: Pair) -> str:
    first, second, by = pair.method, pair.other, pair.difference
    if by < 0:
        first, second, by = second, first, -by
    if pair.p_holm is None:
        return f"'{first}' is rated {by:.2f} above '{second}'; too few patients or scenes for a test."
    if pair.p_holm < _ALPHA:
        return f"'{first}' is rated better than '{second}' by {by:.2f} ({p_text(pair.p_holm)}, corrected)."
    evidence = f"{by:.2f}, {p_text(pair.p_holm)}, corrected"
    return f"The data do not support a difference of '{first}' and '{second}' ({evidence})."


def sections(found: Analysis, mark: str, directory: Path) -> list[Section]:
    """All parts of the report.

    Args:
        found: the analysis.
        mark: a line on every picture; may be empty.
        directory: of the study, for the truth of simulated raters.
    """
    parts = [_result(found, mark), _pairs(found), _beside_paper(found), _raters(found), _plan(found)]
    if found.ratings.simulated:
        parts.insert(0, _simulated(found, directory))
    return [part for part in parts if part is not None]


def _result(found: Analysis, mark: str) -> Section:
    rows = []
    notes = {row.name: row.note for row in found.study.rows}
    for name, mos in found.mos.items():
        dmos = found.dmos.get(name)
        cells = [
            notes[name] or found.kinds[name],
            _number(mos),
            _bounds(mos),
            "-" if mos.sd is None else f"{mos.sd:.2f}",
        ]
        rows.append([name, *cells, *(("-", "-") if dmos is None else (_number(dmos), _bounds(dmos))), str(mos.n)])
    header = ["row", "", "MOS", "95 % interval", "SD over scenes", "DMOS", "95 % interval", "ratings"]
    lines = [
        "MOS is the mean of all scores of a row. DMOS is the mean of score minus the same rater's score of the hidden "
        "reference of the same scene, plus 5: five is as good as the truth (ACR-HR).",
        "Intervals come from drawing patients or scenes and raters at once, for neither are independent within; "
        f"none below {MIN_GROUPS} of either.",
    ]
    paper = {name: figure.mean for name, figure in paper_figures(found).items()}
    pictures = [
        (bars(found.mos, found.kinds, paper, mark), "mean opinion of each row with its interval", ""),
        (violins(found.scores, found.kinds, mark), "spread of the scenes' mean opinions in each row", ""),
    ]
    return Section("Opinions", lines, [Table("", header, rows)], pictures)


def _pairs(found: Analysis) -> Section:
    rows = [
        [
            f"{pair.method} against {pair.other}",
            f"{pair.difference:+.2f}",
            "-" if pair.p_value is None else p_text(pair.p_value),
            "-" if pair.p_holm is None else p_text(pair.p_holm),
        ]
        for pair in found.pairs
    ]
    line = (
        "Two-sided Wilcoxon signed-rank tests on the mean opinions of patients or scenes; the last column is corrected "
        "for the number of pairs after Holm."
    )
    return Section("Pairs of rows", [line], [Table("", ["pair", "difference", "p", "p, Holm"], rows)])


def paper_figures(found: Analysis) -> dict[str, Figure]:
    """The paper's opinion score that stands beside each row of ours; empty where the paper has none."""
    source = papers().get(found.study.run.get("paper", ""))
    if source is None:
        return {}
    figures: dict[str, Figure] = {}
    for figure in (figure for table in source.tables for figure in table.figures if figure.metric == "mos"):
        names = [row.name for row in found.study.rows if row.name in figure.beside]
        if not names and "bicubic" in figure.beside:  # the paper, too, showed its best interpolation
            names = [row.name for row in found.study.rows if row.note.startswith("best interpolation")]
        figures.update({name: figure for name in names[:1]})
    return figures


def _beside_paper(found: Analysis) -> Section | None:
    figures = paper_figures(found)
    if not figures:
        return None
    source = papers()[found.study.run["paper"]]
    rows = [
        [figure.row, f"{figure.mean:.2f}", name, _number(found.mos[name]), _bounds(found.mos[name])]
        for name, figure in figures.items()
    ]
    lines = [
        f"{source.title} ({source.authors}). The figures stand side by side for orientation and cannot be subtracted: "
        "other images, other networks, other raters and another question.",
        "The paper asked how good a reconstruction is beside a labelled reference, had 68 responses, no practice, no "
        "intervals and no exclusions; here the reference is hidden among the others.",
        *source.remarks,
    ]
    header = ["paper's row", "MOS, paper", "our row", "MOS, ours", "95 % interval"]
    return Section(f"Beside the figures of paper {source.name}", lines, [Table("", header, rows)])


def _raters(found: Analysis) -> Section:
    ratings = found.ratings
    judged = dict(zip(ratings.raters, found.verdicts, strict=True))
    lines = faults_told(judged)
    limit = critical_correlation(len(ratings.pictures))
    lines.append(
        f"A rater is called random below a correlation of {limit:.2f} with the median of the others, reversed below "
        f"{-limit:.2f} (one-sided, 1 %). Then ITU-R BT.500 is applied once. These rules were fixed before any rating."
    )
    if ratings.locked:
        lines.append(f"{len(ratings.locked)} did not pass the practice: {', '.join(ratings.locked)}.")
    if ratings.unfinished:
        lines.append(f"{len(ratings.unfinished)} did not finish and are not counted: {', '.join(ratings.unfinished)}.")
    if found.single is not None and found.mean is not None:
        lines.append(
            f"Agreement of the counted raters: ICC(2,1) {_icc(found.single)} for one rater, ICC(2,k) "
            f"{_icc(found.mean)} for their mean."
        )
    rows = []
    for (code, entry), time in zip(judged.items(), ratings.viewing_ms, strict=True):
        told = "counted" if entry.counted else entry.fault or "outlier"
        told += ", hasty" if entry.hasty else ""
        r = "-" if entry.correlation is None else f"{entry.correlation:.2f}"
        retest = "-" if entry.retest is None else f"{entry.retest:.2f}"
        rows.append([code, told, r, f"{entry.bias:+.2f}", retest, f"{time / 1000:.1f}"])
    header = ["rater", "", "correlation", "bias", "change at second look", "seconds a picture"]
    return Section("Raters", lines, [Table("", header, rows)])


def _plan(found: Analysis) -> Section:
    study, run = found.study, found.study.run
    lines = [
        f"Absolute category rating with hidden reference (ITU-T P.910): one picture at a time at one pixel a device "
        f"pixel, eight bits, losslessly; the question was: {study.question}",
        f"{len(study.of('rated'))} pictures, {study.plan.repeats} of them twice, {len(study.of('anchor'))} strongly "
        f"degraded ones among them; before that a practice of {study.plan.practice} pictures and "
        f"{len([s for s in study.of('practice') if s.method == REFERENCE]) * 2} gates, and "
        f"{study.plan.stabilising} pictures whose scores are dropped. Every rater has an order of his own in which no "
        "two pictures of one scene follow each other.",
        f"Study {study.id}, seed {study.seed}, built {study.created} with medrestore {study.version} from "
        f"{run.get('experiment') or 'a run'} ({run.get('budget') or 'no'} budget), conditions "
        f"{run.get('conditions', '')[:12]}.",
    ]
    if run.get("patients", "known") != "known":
        lines.append(f"Patients {run['patients']}: every such image is its own group.")
    if run.get("crop", "none") != "none":
        lines.append(f"Pictures larger than {run['crop']} pixels were cut to their middle, never resized.")
    return Section("How it was done", lines)


def _simulated(found: Analysis, directory: Path) -> Section:
    lines = ["The answers were made by a program over the same interface that people use; taste and faults were given."]
    path = directory / SIMULATION
    if not path.is_file():
        return Section("Simulated raters", lines)
    truth = json.loads(path.read_text(encoding="utf-8"))
    rows = [[name, f"{truth['quality'][name]:.2f}", f"{mos.mean:.2f}"] for name, mos in found.mos.items()]
    judged = dict(zip(found.ratings.raters, found.verdicts, strict=True))
    faults: list[Sequence[str]] = []
    for code, entry in truth["raters"].items():
        if entry["kind"] != "sound":
            told = (
                judged[code].fault or ("outlier" if judged[code].outlier else "counted")
                if code in judged
                else "locked out"
            )
            faults.append([code, entry["kind"], told])
    tables = [Table("Quality given before rounding and cutting, and found", ["row", "given", "found"], rows)]
    if faults:
        tables.append(Table("Faults given and found", ["rater", "given", "found"], faults))
    return Section("Simulated raters", lines, tables)


def _number(value: Opinion) -> str:
    return f"{value.mean:.2f}"


def _bounds(value: Opinion) -> str:
    return "-" if value.low is None or value.high is None else f"{value.low:.2f} to {value.high:.2f}"


def _icc(value: Agreement) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
