"""Fold 1 of paper S1: how many images count as good, and what the scores depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.detection_statistics import bootstrap_interval, group_draws
from medrestore.evaluation.figures import scatter
from medrestore.evaluation.statistics import Score

GOOD_PSNR, GOOD_SSIM = 30.0, 0.9  # "generally considered to be of a good quality" (S1, III.A)


class Quality:
    """Share of good images, and rank correlations of PSNR with gradient energy and of SSIM with the size of the blur.

    S1 remarks that strong intensity changes go with low PSNR and large kernels with low SSIM.
    """

    def __init__(self) -> None:
        self._energy: dict[str, float] = {}
        self._size: dict[str, float] = {}
        self._groups: dict[str, str] = {}
        self._context: Context | None = None

    def begin(self, context: Context) -> None:
        """Remember the rows, and forget what was seen before."""
        self._context = context
        self._energy, self._size, self._groups = {}, {}, {}

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Note what the scores may depend on; no scores of its own."""
        if case.target is not None:
            self._groups[case.key] = case.group
            self._energy[case.key] = gradient_energy(case.target)
            if "rms_radius" in case.description:
                self._size[case.key] = float(case.description["rms_radius"])
        return []

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The shares of every row, and the correlations of the shown row with scatter plots."""
        assert self._context is not None
        values = {(s.method, s.metric, s.key): s.value for s in scores if s.metric in ("psnr", "ssim")}
        if not values:
            return None
        rows = [(method, *_shares(values, method, list(self._groups))) for method in self._context.kinds]
        table = Table(
            f"Images with PSNR > {GOOD_PSNR:g} dB and SSIM > {GOOD_SSIM:g}, the thresholds of paper S1",
            ("method", "PSNR", "SSIM", "both", "images"),
            [row for row in rows if row[-1] != "0"],
        )
        shown = self._context.shown
        lines, pictures = [], []
        for metric, label, known, what in (
            ("psnr", "PSNR (dB)", self._energy, "gradient energy of the target"),
            ("ssim", "SSIM", self._size, "rms radius of the blur kernel (px)"),
        ):
            keys = [key for key in known if np.isfinite(values.get((shown, metric, key), np.nan))]
            if len(keys) < 3:
                continue
            x = np.array([known[key] for key in keys])
            y = np.array([values[shown, metric, key] for key in keys])
            told = _told(x, y, [self._groups[key] for key in keys])
            lines.append(f"{label.split()[0]} of '{shown}' against the {what}: {told}")
            pictures.append((scatter(x, y, what, label), f"{label} against {what}", f"{shown}, a dot an image"))
        return Finding(Section("Good images, and what the scores depend on", lines, [table], pictures))


def gradient_energy(image: Tensor) -> float:
    """Mean squared forward difference of `(C, H, W)` in [0, 1], the sum over both axes."""
    down, right = image.diff(dim=-2), image.diff(dim=-1)
    return float(down.square().mean() + right.square().mean())


def spearman_interval(
    x: np.ndarray, y: np.ndarray, groups: Sequence[str], seed: int = 0, resamples: int = 2000
) -> tuple[float, tuple[float, float] | None]:
    """Spearman's rank correlation and its 95 % bootstrap interval over groups, None below five groups."""

    def rho(index: np.ndarray) -> float | None:
        if np.ptp(x[index]) == 0 or np.ptp(y[index]) == 0:
            return None
        return float(spearmanr(x[index], y[index]).statistic)  # type: ignore[union-attr]

    found = rho(np.arange(len(x)))
    assert found is not None
    drawn = [rho(index) for index in group_draws(groups, seed, resamples)]
    return found, bootstrap_interval(drawn, len(set(groups)))


def _told(x: np.ndarray, y: np.ndarray, groups: Sequence[str]) -> str:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return "not defined, one of them is the same for all images"
    rho, bounds = spearman_interval(x, y, groups)
    said = "not available below five groups" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
    return f"Spearman {rho:+.2f} (95 % interval {said}; {len(x)} images)"


def _shares(values: Mapping[tuple[str, str, str], float], method: str, keys: Sequence[str]) -> tuple[str, ...]:
    psnr = [values.get((method, "psnr", key)) for key in keys]
    ssim = [values.get((method, "ssim", key)) for key in keys]
    have = [(p, s) for p, s in zip(psnr, ssim, strict=True) if p is not None and s is not None]
    if not have:
        return "", "", "", "0"
    good = np.array([(p > GOOD_PSNR, s > GOOD_SSIM) for p, s in have])
    shares = (good[:, 0].mean(), good[:, 1].mean(), good.all(1).mean())
    return (*(f"{100 * share:.0f} %" for share in shares), str(len(have)))
