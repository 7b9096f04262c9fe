"""The test images a report shows: worst, median and best, with every row, zooms and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from medrestore.classical import Method
from medrestore.data.module import Part, RestorationData
from medrestore.data.samples import Case
from medrestore.evaluation import figures, report
from medrestore.evaluation.scoring import MetricSettings, full_reference, outputs
from medrestore.evaluation.statistics import Score
from medrestore.metrics import ssim_map

_ZOOM = 64  # side of a zoom crop in pixels


def case_views(
    data: RestorationData,
    methods: Sequence[Method],
    scores: Sequence[Score],
    part: Part,
    metrics: MetricSettings,
    directory: Path,
    shown: str,
    reference: str,
) -> list[report.CaseView]:
    """Worst, median and best test image by the shown method's PSNR; without truth the first three images."""
    ranked = sorted((s.value, s.key) for s in scores if s.method == shown and s.metric == "psnr")
    chosen: dict[str, str] = {}
    if ranked:
        places = {"worst": 0, "median": len(ranked) // 2, "best": len(ranked) - 1}
        for rank, place in places.items():
            if ranked[place][1] not in chosen.values():  # with one or two images one is shown once
                chosen[rank] = ranked[place][1]
    else:
        items = data.items(part, None)[:3]
        chosen = dict(zip(("worst", "median", "best"), [item.key for item in items], strict=False))
    values = {(s.method, s.key): s.value for s in scores if s.metric == "psnr"}
    by_key = {item.key: item for item in data.items(part, None)}
    return [
        _view(data.case(by_key[key]), rank, methods, values, metrics, directory, shown, reference)
        for rank, key in chosen.items()
    ]


def _view(
    case: Case,
    rank: str,
    methods: Sequence[Method],
    values: Mapping[tuple[str, str], float],
    metrics: MetricSettings,
    directory: Path,
    shown: str,
    reference: str,
) -> report.CaseView:
    images = {output.method.name: output.image for output in outputs(case, methods)}
    before, after = images[reference], images[shown]
    value, base = values.get((shown, case.key)), values.get((reference, case.key))
    reason = "no truth is known"
    if value is not None and base is not None:
        reason = f"PSNR {value:.2f} dB, change to {reference} {value - base:+.2f} dB"
    captions = {name: f"{values[name, case.key]:.2f} dB" for name in images if (name, case.key) in values}
    scores = full_reference(after, case, metrics)
    description = [(k, text(v)) for k, v in case.description.items()] + [(k, f"{v:.4f}") for k, v in scores.items()]
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
    made = _made(case, images, {method.name: method.kind for method in methods})
    return report.CaseView(rank, case.key, reason, description, pictures, band, maps, made)  # type: ignore[arg-type]


def _made(case: Case, images: Mapping[str, Tensor], kinds: Mapping[str, str]) -> list[report.Made]:
    made = []
    for name, image in images.items():
        error = None if case.target is None else figures.picture(figures.error_panel(image, case.target))
        made.append(report.Made(name, kinds[name], figures.picture(image), error))
    if case.target is not None:
        made.append(report.Made("target", "truth", figures.picture(case.target), None))
    return made


def _maps(target: Tensor, images: Mapping[str, Tensor], directory: Path, key: str) -> report.Picture | None:
    if min(target.shape[1:]) < 11:
        return None
    errors = {name: (image - target).abs().mean(0) for name, image in images.items()}
    ssims = {name: ssim_map(image[None], target[None])[0].mean(0) for name, image in images.items()}
    drawn = figures.maps(errors, ssims)
    directory.mkdir(exist_ok=True)
    (directory / f"{key}.png").write_bytes(drawn)
    return report.Picture(drawn, "error and SSIM maps", "absolute error and SSIM, before and after")


def text(value: float | int | str) -> str:
    """A value of a description as it is printed."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
