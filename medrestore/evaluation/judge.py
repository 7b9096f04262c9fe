"""Judge methods on the cases of one split: files, table and report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from medrestore.classical import Method
from medrestore.data.module import Part, RestorationData
from medrestore.data.samples import Case
from medrestore.evaluation import figures, report, tables
from medrestore.evaluation.scoring import MetricSettings, Track, full_reference, outputs, score_cases
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.metrics import ssim_map

_ZOOM = 64  # side of a zoom crop in pixels
_KERNELS = 12


@dataclass(frozen=True)
class Judgement:
    """What an evaluation found.

    Attributes:
        directory: where its files lie.
        scores: one row a method, image and metric.
        summaries: the table.
        verdict: the table in words.
        report: the HTML file.
    """

    directory: Path
    scores: list[Score]
    summaries: list[Summary]
    verdict: list[str]
    report: Path


@dataclass(frozen=True)
class Setting:
    """What an evaluation is told about the run it judges.

    Attributes:
        title: heading of the table and the report.
        command: the line that repeats it.
        part: part of the split.
        most: at most this many cases; None for all.
        metrics: which scores.
        conditions: what the scores depend on besides the images.
        footnotes: lines below the table.
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
    conditions: Mapping[str, Any]
    footnotes: Sequence[str]
    history: Path | None
    dataset: str
    recipe: str
    departures: Sequence[tuple[str, str, str]]
    weights: str
    config: str
    version: str
    created: str


def judge(
    data: RestorationData, methods: Sequence[Method], setting: Setting, directory: Path, track: Track
) -> Judgement:
    """Score all methods on the cases; write scores, summary (CSV, Markdown), conditions, maps and the report.

    Args:
        data: the images; its test degradation is fixed by `data_seed`.
        methods: tuned rows, the reference row first.
        setting: what is judged, and how.
        directory: where the files go.
        track: shows progress.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kinds = {method.name: method.kind for method in methods}
    reference = next(method.name for method in methods if method.kind == "reference")
    learned = [method.name for method in methods if method.kind == "learned"]
    items = data.items(setting.part, "target") + data.items(setting.part, "source")
    count = len(items[: setting.most])
    cases = _Counted(data, setting, count)
    scores = score_cases(track(cases, f"judging {count} images"), methods, setting.metrics)
    summaries = summarise(scores, kinds, reference)
    verdict: list[str] = []
    for name in learned[-1:]:
        verdict = tables.verdict(summaries, scores, reference=reference, learned=name) if summaries else []
    tables.write_scores(directory / "scores.csv", scores)
    tables.write_summary(directory / "summary.csv", summaries)
    tables.save_text(directory / "summary.md", tables.markdown_table(summaries))
    tables.write_conditions(directory / "conditions.json", {**setting.conditions, "keys": sorted(cases.keys)})
    views = _views(data, methods, scores, setting, directory, learned[-1] if learned else reference, reference)
    content = _report(data, scores, summaries, kinds, verdict, views, cases, setting)
    path = report.write_report(directory / "report.html", content)
    return Judgement(directory, scores, summaries, verdict, path)


def show(judgement: Judgement, setting: Setting) -> None:
    """Print the table and what it says in words."""
    if judgement.summaries:
        tables.print_table(judgement.summaries, setting.title, [*setting.footnotes, *judgement.verdict])
    else:
        print("no image has a truth to compare with; the report shows the pictures", file=sys.stderr)


class _Counted:
    """Streams the cases and remembers their keys and kernels."""

    def __init__(self, data: RestorationData, setting: Setting, count: int) -> None:
        self.data, self.setting, self.count = data, setting, count
        self.keys: list[str] = []
        self.kernels: list[tuple[Tensor, str]] = []

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        for case in self.data.cases(self.setting.part, self.setting.most):
            self.keys.append(case.key)
            if case.kernel is not None and len(self.kernels) < _KERNELS:
                self.kernels.append((case.kernel, _short(case.description)))
            yield case


def _views(
    data: RestorationData,
    methods: Sequence[Method],
    scores: Sequence[Score],
    setting: Setting,
    directory: Path,
    shown: str,
    reference: str,
) -> list[report.CaseView]:
    """Worst, median and best test image by the shown method's PSNR; without truth the first three images."""
    ranked = sorted((s.value, s.key) for s in scores if s.method == shown and s.metric == "psnr")
    chosen: dict[str, str] = {}
    if ranked:
        chosen = {"worst": ranked[0][1], "median": ranked[len(ranked) // 2][1], "best": ranked[-1][1]}
    else:
        items = data.items(setting.part, None)[:3]
        chosen = dict(zip(("worst", "median", "best"), [item.key for item in items], strict=False))
    values = {(s.method, s.key): s.value for s in scores if s.metric == "psnr"}
    by_key = {item.key: item for item in data.items(setting.part, None)}
    return [
        _view(data.case(by_key[key]), rank, methods, values, setting, directory, shown, reference)
        for rank, key in chosen.items()
    ]


def _view(
    case: Case,
    rank: str,
    methods: Sequence[Method],
    values: Mapping[tuple[str, str], float],
    setting: Setting,
    directory: Path,
    shown: str,
    reference: str,
) -> report.CaseView:
    images = {method.name: image for method, image in outputs(case, methods)}
    before, after = images[reference], images[shown]
    value, base = values.get((shown, case.key)), values.get((reference, case.key))
    reason = "no truth is known"
    if value is not None and base is not None:
        reason = f"PSNR {value:.2f} dB, change to {reference} {value - base:+.2f} dB"
    captions = {name: f"{values[name, case.key]:.2f} dB" for name in images if (name, case.key) in values}
    scores = full_reference(after, case, setting.metrics)
    description = [(k, _text(v)) for k, v in case.description.items()] + [(k, f"{v:.4f}") for k, v in scores.items()]
    pictures = [report.Picture(figures.picture(case.degraded), "degraded", "degraded")]
    pictures.append(report.Picture(figures.picture(after), shown, shown))
    strip = {**images} if case.target is None else {**images, "target": case.target}
    maps = None
    if case.target is not None:
        pictures.append(report.Picture(figures.picture(case.target), "target", "target"))
        maps = _maps(case.target, {reference: before, shown: after}, directory / "maps", case.key)
    size = min(_ZOOM, *after.shape[1:])
    boxes = [figures.central_box(after, size), figures.most_changed_box(before, after, size)]
    band = report.Picture(figures.strip(strip, boxes, captions), "all rows with two zoomed regions")
    return report.CaseView(rank, case.key, reason, description, pictures, band, maps)  # type: ignore[arg-type]


def _maps(target: Tensor, images: Mapping[str, Tensor], directory: Path, key: str) -> report.Picture | None:
    if min(target.shape[1:]) < 11:
        return None
    errors = {name: (image - target).abs().mean(0) for name, image in images.items()}
    ssims = {name: ssim_map(image[None], target[None])[0].mean(0) for name, image in images.items()}
    drawn = figures.maps(errors, ssims)
    directory.mkdir(exist_ok=True)
    (directory / f"{key}.png").write_bytes(drawn)
    return report.Picture(drawn, "error and SSIM maps", "absolute error and SSIM, before and after")


def _report(
    data: RestorationData,
    scores: Sequence[Score],
    summaries: Sequence[Summary],
    kinds: Mapping[str, str],
    verdict: Sequence[str],
    views: Sequence[report.CaseView],
    cases: _Counted,
    setting: Setting,
) -> report.Report:
    plots = []
    for metric in dict.fromkeys(s.metric for s in scores):
        drawn = figures.box_plot(scores, kinds, metric)
        if drawn is not None:
            plots.append(report.Picture(drawn, f"{metric} of every image by method"))
    reference = next(method for method, kind in kinds.items() if kind == "reference")
    for method in [method for method, kind in kinds.items() if kind == "learned"][-1:]:
        drawn = figures.paired_scatter(scores, method, reference, "psnr")
        if drawn is not None:
            plots.append(report.Picture(drawn, f"PSNR of {method} against {reference}, a dot an image"))
    curves = figures.curves(setting.history) if setting.history is not None and setting.history.exists() else None
    kernels = [k for k, _ in cases.kernels]
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
        cases=views,
        curves=[report.Picture(curves, "training curves")] if curves is not None else [],
        kernels=[report.Picture(figures.kernel_sheet(kernels, [c for _, c in cases.kernels]), "blur kernels")]
        if kernels
        else [],
        dataset=setting.dataset,
        splits=counts,
        left_out=[(entry.path.name if entry.path else "", entry.reason) for entry in data.left_out],
        data_notes=data.catalogue.notes,
        recipe=setting.recipe,
        departures=[report.Departure(*row) for row in setting.departures],
        weights=setting.weights,
        config=setting.config,
    )


def _short(description: Mapping[str, float | int | str]) -> str:
    return ", ".join(_text(value) for value in description.values())


def _text(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
