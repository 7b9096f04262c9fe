"""Run every method over every case and score what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from medrestore.classical import Method, tune
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Assessment
from medrestore.evaluation.lesion_focus import LesionFocused
from medrestore.evaluation.statistics import Score
from medrestore.metrics import NYQUIST, fourier_error, lpips, psnr, spectral_distance, ssim

Track = Callable[[Iterable[Any], str], Iterable[Any]]
Timing = dict[str, list[float]]  # seconds of each image by row
_SSIM_SIDE = 11  # the window of SSIM; smaller images have none
_LPIPS_SIDE = 64  # AlexNet's last map would vanish below


@dataclass(frozen=True)
class MetricSettings:
    """Which full-reference scores are taken.

    Attributes:
        lpips: whether LPIPS is computed.
        lpips_weights: `imagenet`, a path, or `random`.
        fourier: `none`, `colour` (the mean over channels) or `grey` (channels averaged before the transform, paper S4).
        spectral: whether the distance of the radial power spectra is taken, above the input's Nyquist frequency.
    """

    lpips: bool
    lpips_weights: str
    fourier: Literal["none", "colour", "grey"] = "none"
    spectral: bool = False

    @property
    def lpips_name(self) -> str:
        """The column's name; a random backbone is said in it."""
        return "lpips_random" if self.lpips_weights == "random" else "lpips"


class Output(NamedTuple):
    """One row's image `(C, H, W)` in [0, 1] of a case, and the seconds it took."""

    method: Method
    image: Tensor
    seconds: float


def outputs(case: Case, methods: Sequence[Method]) -> Iterator[Output]:
    """Each method's image; methods that need a kernel are skipped where none is known.

    Outside the case's mask every row is the input, as `restore` writes it: nothing is painted where nothing was seen.
    """
    for method in methods:
        if method.needs_kernel and case.kernel is None:
            continue
        start = time.perf_counter()
        if isinstance(method, LesionFocused):
            restored = method.restore_case(case)
        else:
            restored = method.restore(case.degraded[None], case.kernel if method.needs_kernel else None)[0]
        image = restored.float().clamp(0, 1)
        if case.mask is not None and image.shape == case.degraded.shape:
            image = torch.where(case.mask, image, case.degraded)
        yield Output(method, image, time.perf_counter() - start)


def full_reference(restored: Tensor, case: Case, settings: MetricSettings) -> dict[str, float]:
    """PSNR, SSIM, LPIPS and distances of spectra of one restored image to the truth; empty without truth.

    Args:
        restored: `(C, H, W)` in [0, 1].
        case: with target and mask.
        settings: which scores.
    """
    if case.target is None:
        return {}
    preds, target = restored[None], case.target[None]
    mask = None if case.mask is None else case.mask[None].bool()
    scores = {"psnr": float(psnr(preds, target, mask=mask))}
    side = min(target.shape[-2:])
    if side >= _SSIM_SIDE:
        scores["ssim"] = float(ssim(preds, target, mask=mask))
    if settings.lpips and side >= _LPIPS_SIDE:
        scores[settings.lpips_name] = float(lpips(preds, target, weights=settings.lpips_weights))
    if settings.fourier != "none":
        scores["fourier_error"] = float(fourier_error(preds, target, grey=settings.fourier == "grey"))
    if settings.spectral:
        scores["spectral_distance"] = float(
            spectral_distance(valid_alone(preds, target, mask), target, above=input_nyquist(case))
        )
    return scores


def valid_alone(preds: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
    """The image with the truth where the mask is False: a spectrum has no mask, so nothing may differ there."""
    return preds if mask is None else torch.where(mask, preds, target)


def input_nyquist(case: Case) -> float:
    """The highest frequency that the input of a super-resolution can hold, cycles a pixel of the target; else 0."""
    scale = 1 if case.target is None else round(case.target.shape[-1] / case.degraded.shape[-1])
    return NYQUIST / scale if scale > 1 else 0.0


def score_cases(
    cases: Iterable[Case],
    methods: Sequence[Method],
    settings: MetricSettings,
    assessments: Sequence[Assessment] = (),
    timing: Timing | None = None,
) -> list[Score]:
    """The score table of all methods on all cases, one case in memory at a time.

    Args:
        cases: streamed.
        methods: the rows.
        settings: which full-reference scores.
        assessments: see each case with every row's image, after `begin`.
        timing: filled with the seconds of each image.
    """
    scored = (score_case(case, methods, settings) for case in cases)
    return collect(scored, assessments, {} if timing is None else timing)


class Scored(NamedTuple):
    """A case, what every method made of it, the full-reference scores, and the seconds of every method."""

    case: Case
    images: dict[str, Tensor]
    scores: list[Score]
    seconds: dict[str, float]


def score_case(case: Case, methods: Sequence[Method], settings: MetricSettings) -> Scored:
    """Run all methods over one case."""
    scored = Scored(case, {}, [], {})
    for method, restored, seconds in outputs(case, methods):
        scored.images[method.name] = restored
        scored.seconds[method.name] = seconds
        for metric, value in full_reference(restored, case, settings).items():
            scored.scores.append(Score(method.name, case.key, case.group, metric, value))
    return scored


def collect(scored: Iterable[Scored], assessments: Sequence[Assessment], timing: Timing) -> list[Score]:
    """The score table of scored cases, which the assessments see one after the other; see `score_cases`."""
    table: list[Score] = []
    for case, images, scores, times in scored:
        table += scores
        for name, seconds in times.items():
            timing.setdefault(name, []).append(seconds)
        for assessment in assessments:
            table += assessment.observe(case, images)
    return table


def tune_on(cases: Iterable[Case], methods: Sequence[Method], crop: int, track: Track) -> list[Method]:
    """Choose each method's parameters once, by mean PSNR on central crops of the validation images.

    Args:
        cases: validation cases with truth.
        methods: rows with a parameter grid.
        crop: side of the central crop of the target.
        track: shows progress.
    """
    pairs = [_central(case, crop) for case in cases if case.target is not None]
    tuned: list[Method] = []
    for method in track(list(methods), "tuning the classical rows"):
        usable = [(d, t, k) for d, t, k in pairs if not method.needs_kernel or k is not None]
        tuned.append(tune(method, usable) if usable and len(method.grid()) > 1 else method)
    return tuned


def _central(case: Case, crop: int) -> tuple[Tensor, Tensor, Tensor | None]:
    assert case.target is not None
    scale = case.target.shape[-1] // case.degraded.shape[-1]
    height, width = case.degraded.shape[-2:]
    side = crop // scale
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    degraded = case.degraded[None, :, top : top + side, left : left + side]
    target = case.target[None, :, scale * top : scale * (top + side), scale * left : scale * (left + side)]
    return degraded.contiguous(), torch.as_tensor(target).contiguous(), case.kernel
