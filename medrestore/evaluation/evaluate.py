"""Judge methods on the cases of one split: files, tables and the report."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from medrestore.classical import Method, MethodKind
from medrestore.data.module import Part, RestorationData
from medrestore.errors import MedrestoreError
from medrestore.evaluation import figures, report, tables
from medrestore.evaluation.assessment import SHARP, Assessment, Context, Section, Table
from medrestore.evaluation.case_views import case_views, text
from medrestore.evaluation.interpolations import Interpolations
from medrestore.evaluation.learned import Learned
from medrestore.evaluation.overfitting import parting
from medrestore.evaluation.reach import read_history
from medrestore.evaluation.scoring import MetricSettings, Scored, Timing, Track, collect, score_case
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.processes import everyone, in_turns

_KERNELS = 12
_EXTRA_KINDS = {SHARP: "truth", "noise_control": "control"}  # rows that only assessments have


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        directory: where its files lie.
        scores: one row a method, image and metric.
        summaries: the rows of `summary.csv`, those of the assessments included.
        verdict: the table in words.
        sections: what the assessments found.
        views: the worst, the median and the best test image, as the report shows them.
        report: the HTML file.
    """

    directory: Path
    scores: list[Score]
    summaries: list[Summary]
    verdict: list[str]
    sections: list[Section]
    views: list[report.CaseView]
    report: Path

    @property
    def table(self) -> list[Summary]:
        """The full-reference rows, without those of the assessments."""
        return _full_reference(self.summaries)


@dataclass(frozen=True)
class Setting:
    """What an evaluation is told about the run it judges.

    Attributes:
        title: heading of the table and the report.
        command: the line that repeats it.
        part: part of the split.
        most: at most this many cases with truth, and as many without; None for all.
        metrics: which full-reference scores.
        assessments: what else is measured, by name.
        judge: finds or trains the frozen judge of an experiment; None = without judges.
        window: `sampling.window`.
        conditions: what the scores depend on besides the images.
        footnotes: lines below the table.
        interpolations: how they did on validation; None where the scale stays.
        history: the training's `metrics.csv`, or None.
        dataset: one line.
        recipe: the recipe the run is held against.
        departures: (key, ours, paper).
        weights: what the weights were.
        config: YAML.
        version: of the package.
        created: date and time.
    """

    title: str
    command: str
    part: Part
    most: int | None
    metrics: MetricSettings
    assessments: Mapping[str, Assessment]
    judge: Callable[[str], Any] | None
    window: str | Sequence[float]
    conditions: Mapping[str, Any]
    footnotes: Sequence[str]
    interpolations: Interpolations | None
    history: Path | None
    dataset: str
    recipe: str
    departures: Sequence[tuple[str, str, str]]
    weights: str
    config: str
    version: str
    created: str


def evaluate_methods(
    data: RestorationData, methods: Sequence[Method], setting: Setting, directory: Path, track: Track
) -> Evaluation:
    """Score all methods on the cases; write scores, summary (CSV, Markdown), conditions, cases, maps and the report.

    Args:
        data: the images; its test degradation is fixed by `data_seed`.
        methods: tuned rows, the reference row first.
        setting: what is judged, and how.
        directory: where the files go.
        track: shows progress.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, MethodKind] = {method.name: method.kind for method in methods}
    reference = next(method.name for method in methods if method.kind == "reference")
    learned = [method.name for method in methods if method.kind == "learned"]
    shown = "restored" if "restored" in learned else learned[-1] if learned else reference
    sharp = partial(data.references, "train")
    context = Context(kinds, reference, shown, setting.window, setting.judge, directory, sharp, data.degradation)
    assessments, refused = _begun(setting.assessments, context)

    cases = _Counted(data, methods, setting)
    timing: Timing = {}
    scores = collect(track(cases, f"judging {len(cases)} images"), list(assessments.values()), timing)
    summaries = summarise(scores, {**kinds, **_EXTRA_KINDS}, reference)
    findings = [assessment.finish(scores) for assessment in assessments.values()]
    if setting.interpolations is not None:
        findings.insert(0, setting.interpolations.finding)
    sections = [finding.section for finding in findings if finding is not None]
    summaries += [summary for finding in findings if finding is not None for summary in finding.summaries]
    sections += [*refused, *_tiles_sections(methods), _timing_section(timing)]

    table = _full_reference(summaries)
    verdict: list[str] = []
    if learned and table:
        rival = None if setting.interpolations is None else setting.interpolations.best
        verdict = tables.verdict(table, scores, reference=reference, learned=shown, rival=rival)
    tables.write_scores(directory / "scores.csv", scores)
    tables.write_summary(directory / "summary.csv", summaries)
    tables.save_text(directory / "summary.md", tables.markdown_table(table))
    tables.write_conditions(directory / "conditions.json", {**setting.conditions, "keys": sorted(cases.keys)})
    tables.save_text(directory / "cases.csv", _descriptions(cases.descriptions))
    views = case_views(data, methods, scores, setting.part, setting.metrics, directory, shown, reference)
    content = _report(data, scores, table, kinds, shown, reference, verdict, sections, views, cases, setting)
    path = report.write_report(directory / "report.html", content)
    return Evaluation(directory, scores, summaries, verdict, sections, views, path)


def score_for_the_first(data: RestorationData, methods: Sequence[Method], setting: Setting) -> None:
    """What the other processes of a command do while the first one evaluates: score the cases that they are dealt."""
    for _ in _scored(data, methods, setting):
        pass


def _scored(data: RestorationData, methods: Sequence[Method], setting: Setting) -> Iterator[Scored]:
    """All cases, in their order, scored by the processes in turn; nothing in processes other than the first."""
    known = len(data.left_out)
    own = data.cases(setting.part, setting.most, shared=True)
    yield from in_turns(score_case(case, methods, setting.metrics) for case in own)
    data.left_out += [entry for part in everyone(data.left_out[known:])[1:] for entry in part]


def show(evaluation: Evaluation, setting: Setting) -> None:
    """Print the table, what it says in words, and what each assessment says first."""
    if evaluation.table:
        tables.print_table(evaluation.table, setting.title, [*setting.footnotes, *evaluation.verdict])
    else:
        print("no image has a truth to compare with; the report shows the pictures", file=sys.stderr)
    for section in evaluation.sections:
        for line in section.lines[: section.spoken]:
            print(f"{section.title}: {line}")


def _begun(assessments: Mapping[str, Assessment], context: Context) -> tuple[dict[str, Assessment], list[Section]]:
    """The assessments that can be made, and a section for each that cannot, with the reason."""
    ready: dict[str, Assessment] = {}
    refused: list[Section] = []
    for name, assessment in assessments.items():
        try:
            assessment.begin(context)
            ready[name] = assessment
        except MedrestoreError as error:
            refused.append(Section(name.replace("_", " "), [f"not done: {error}"], spoken=1))
    return ready, refused


def _full_reference(summaries: Sequence[Summary]) -> list[Summary]:
    """Assessments name their metrics `<assessment>/<metric>` and print tables of their own."""
    return [summary for summary in summaries if "/" not in summary.metric]


class _Counted:
    """Streams the scored cases and remembers their keys, descriptions and first kernels."""

    def __init__(self, data: RestorationData, methods: Sequence[Method], setting: Setting) -> None:
        self.data, self.methods, self.setting = data, methods, setting
        self.count = sum(len(data.items(setting.part, role)[: setting.most]) for role in ("target", "source"))
        self.keys: list[str] = []
        self.descriptions: list[tuple[str, str, Mapping[str, Any]]] = []
        self.kernels: list[tuple[Tensor, str]] = []

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Scored]:
        for scored in _scored(self.data, self.methods, self.setting):
            case = scored.case
            self.keys.append(case.key)
            self.descriptions.append((case.key, case.group, case.description))
            if case.kernel is not None and len(self.kernels) < _KERNELS:
                self.kernels.append((case.kernel, ", ".join(text(value) for value in case.description.values())))
            yield scored


def _descriptions(descriptions: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """`cases.csv`: what the degradation of each test image was."""
    names = list(dict.fromkeys(name for _, _, description in descriptions for name in description))
    written = io.StringIO()
    writer = csv.DictWriter(written, ["key", "group", *names], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"key": key, "group": group, **description} for key, group, description in descriptions)
    return written.getvalue()


def _tiles_sections(methods: Sequence[Method]) -> list[Section]:
    """What restoring large images in tiles changed, by row; nothing where all of them fitted whole."""
    said = [(method.name, method.tiles_said()) for method in methods if isinstance(method, Learned)]
    lines = [f"'{name}': {text}." for name, text in said if text is not None]
    return [Section("Tiles", lines, spoken=len(lines))] if lines else []


def _timing_section(timing: Timing) -> Section:
    """Time an image of each row; not in `scores.csv`, whose numbers are the same every time."""
    rows = [
        (name, f"{sum(seconds) / len(seconds):.3f}", str(len(seconds))) for name, seconds in timing.items() if seconds
    ]
    table = Table("Mean seconds an image on this machine", ("method", "seconds", "images"), rows)
    return Section("Time per image", tables=[table])


def _report(
    data: RestorationData,
    scores: Sequence[Score],
    summaries: Sequence[Summary],
    kinds: Mapping[str, str],
    shown: str,
    reference: str,
    verdict: Sequence[str],
    sections: Sequence[Section],
    views: Sequence[report.CaseView],
    cases: _Counted,
    setting: Setting,
) -> report.Report:
    plots = []
    for metric in dict.fromkeys(summary.metric for summary in summaries):
        drawn = figures.box_plot(scores, kinds, metric)
        if drawn is not None:
            plots.append(report.Picture(drawn, f"{metric} of every image by method"))
    if shown != reference:
        drawn = figures.paired_scatter(scores, shown, reference, "psnr")
        if drawn is not None:
            plots.append(report.Picture(drawn, f"PSNR of {shown} against {reference}, a dot an image"))
    curves = figures.curves(setting.history) if setting.history is not None and setting.history.exists() else None
    kernels = [kernel for kernel, _ in cases.kernels]
    counts = [
        report.SplitCount(part, len(items), len({item.group for item in items}))
        for part in ("train", "val", "test")
        if (items := data.items(part, None))
    ]
    return report.Report(
        title=setting.title,
        created=setting.created,
        version=setting.version,
        command=setting.command,
        verdict=verdict,
        summaries=summaries,
        footnotes=setting.footnotes,
        scores=plots,
        sections=sections,
        cases=views,
        curves=[report.Picture(curves, "training curves")] if curves is not None else [],
        curve_notes=parting(read_history(setting.history)) if setting.history and curves is not None else [],
        kernels=[report.Picture(figures.kernel_sheet(kernels, [said for _, said in cases.kernels]), "blur kernels")]
        if kernels
        else [],
        dataset=setting.dataset,
        splits=counts,
        left_out=[(entry.path.name if entry.path else "", entry.reason) for entry in data.left_out],
        data_notes=data.notes,
        recipe=setting.recipe,
        departures=[report.Departure(*row) for row in setting.departures],
        weights=setting.weights,
        config=setting.config,
    )
