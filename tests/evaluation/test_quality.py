"""Fold 1 of S1: shares by hand, gradient energy by hand, rank correlations as scipy has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding
from medrestore.evaluation.quality import Quality, gradient_energy, spearman_interval
from medrestore.evaluation.statistics import Score
from medrestore.imaging import Image

KINDS: Any = {"identity": "reference", "restored": "learned"}


def case(number: int, target: torch.Tensor | None, size: float | None, group: str = "") -> Case:
    pixels = torch.zeros(3, 16, 16) if target is None else target
    record = Image(pixels, None, "intensity", None, Path("x"), None, None, {})
    known: dict[str, Any] = {} if size is None else {"kind": "box", "rms_radius": size}
    return Case(f"k{number}", group or f"g{number}", record, pixels, target, None, None, {}, known)


def assessed(cases: list[Case], scores: list[Score], quality: Quality | None = None) -> Finding | None:
    quality = quality or Quality()
    quality.begin(Context(KINDS, "identity", "restored", "auto", None, Path()))
    for one in cases:
        assert quality.observe(one, {}) == []
    return quality.finish(scores)


def scored(method: str, psnr: list[float], ssim: list[float]) -> list[Score]:
    pairs = zip(psnr, ssim, strict=True)
    return [
        Score(method, f"k{n}", f"g{n}", metric, value)
        for n, pair in enumerate(pairs)
        for metric, value in zip(("psnr", "ssim"), pair, strict=True)
    ]


def ramps(count: int) -> list[torch.Tensor]:
    """Images whose gradient energy grows with their number."""
    ramp = torch.linspace(0, 1, 16).expand(3, 16, 16)
    return [ramp * (n + 1) / count for n in range(count)]


def test_shares_are_those_above_the_thresholds() -> None:
    cases = [case(n, target, 1.0 + n) for n, target in enumerate(ramps(4))]
    cases.append(case(9, None, None))  # blurred by nature: no truth, in no share
    scores = scored("identity", [30.0, 29.9, 12.0, 31.0], [0.9, 0.95, 0.91, 0.2])
    scores += scored("restored", [30.01, 35.0, float("inf"), 28.0], [0.901, 0.5, 1.0, 0.99])
    finding = assessed(cases, [*scores, Score("restored", "k9", "g9", "natural/piqe", 3.0)])
    assert finding is not None
    (table,) = finding.section.tables
    assert "PSNR > 30 dB and SSIM > 0.9" in table.caption
    assert [tuple(row) for row in table.rows] == [
        ("identity", "25 %", "50 %", "0 %", "4"),  # 30 dB is not above 30 dB
        ("restored", "75 %", "75 %", "50 %", "4"),
    ]


def test_gradient_energy_by_hand() -> None:
    image = torch.tensor([[[0.0, 1.0, 1.0], [0.0, 0.5, 0.5]]])
    # rows: differences 0, -0.5, -0.5; columns: 1, 0 above and 0.5, 0 below
    assert gradient_energy(image) == pytest.approx((0.25 + 0.25) / 3 + (1 + 0.25) / 4)
    assert gradient_energy(torch.full((3, 8, 8), 0.7)) == 0.0
    one, two = (gradient_energy(torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0)) * k) for k in (1, 2))
    assert two == pytest.approx(4 * one)
    assert one == pytest.approx(2 / 6, rel=0.05)  # two axes of the difference of uniform numbers, variance 1/6


def test_correlations_are_scipys_on_the_shown_row() -> None:
    random = np.random.default_rng(3)
    count = 12
    sizes, psnr, ssim = random.uniform(1, 3, count), random.uniform(25, 40, count), random.uniform(0.7, 1, count)
    ssim[3] = ssim[7]  # a tie
    targets = [torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(n)) * (n + 1) / count for n in range(12)]
    cases = [case(n, target, float(sizes[n])) for n, target in enumerate(targets)]
    energies = [gradient_energy(target) for target in targets]
    scores = scored("restored", psnr.tolist(), ssim.tolist()) + scored("identity", [20.0] * count, [0.5] * count)
    finding = assessed(cases, scores)
    assert finding is not None
    first, second = finding.section.lines
    assert f"Spearman {spearmanr(energies, psnr).statistic:+.2f} (95 % interval" in first  # type: ignore[union-attr]
    assert first.startswith("PSNR of 'restored' against the gradient energy") and "12 images" in first
    assert f"Spearman {spearmanr(sizes, ssim).statistic:+.2f} (95 % interval" in second  # type: ignore[union-attr]
    assert second.startswith("SSIM of 'restored' against the rms radius of the blur kernel")
    assert len(finding.section.pictures) == 2 and all(data[1:4] == b"PNG" for data, _, _ in finding.section.pictures)


def test_what_is_infinite_or_unknown_is_in_no_correlation() -> None:
    cases = [case(n, target, 2.0 if n < 5 else None) for n, target in enumerate(ramps(6))]
    scores = scored("restored", [30.0, 31, 32, 33, 34, float("inf")], [0.9, 0.91, 0.92, 0.93, 0.94, 1.0])
    finding = assessed(cases, scores)
    assert finding is not None
    first, second = finding.section.lines
    assert "Spearman +1.00" in first and "5 images" in first
    assert second.endswith("not defined, one of them is the same for all images")


def test_no_interval_below_five_groups() -> None:
    x, y = np.arange(20.0), np.arange(20.0) ** 2
    rho, bounds = spearman_interval(x, y, [f"g{n % 4}" for n in range(20)])
    assert rho == pytest.approx(1.0) and bounds is None
    rho, bounds = spearman_interval(x, -y, [f"g{n % 5}" for n in range(20)])
    assert rho == pytest.approx(-1.0) and bounds is not None and bounds == pytest.approx((-1.0, -1.0))
    cases = [case(n, target, 1.0 + n, group=f"g{n % 4}") for n, target in enumerate(ramps(8))]
    finding = assessed(cases, scored("restored", [30.0 + n for n in range(8)], [0.99 - n / 100 for n in range(8)]))
    assert finding is not None
    assert all("95 % interval not available below five groups" in line for line in finding.section.lines)


def test_the_interval_is_one_over_groups() -> None:
    """Copies of an image in its group tell nothing new: the interval must not shrink."""
    random = np.random.default_rng(0)
    x = random.normal(size=10)
    y = x + random.normal(size=10)
    groups = [f"g{n}" for n in range(10)]
    _, once = spearman_interval(x, y, groups)
    _, often = spearman_interval(np.repeat(x, 20), np.repeat(y, 20), [g for g in groups for _ in range(20)])
    assert once is not None and often is not None
    assert once[0] < spearmanr(x, y).statistic < once[1]  # type: ignore[union-attr]
    assert often == pytest.approx(once, abs=0.02)


def test_nothing_to_say_without_truth_and_nothing_remembered_from_before() -> None:
    quality = Quality()
    assert assessed([case(0, None, None)], [], quality) is None
    assert assessed([case(n, target, 1.0) for n, target in enumerate(ramps(4))], [], quality) is None
    finding = assessed([case(0, ramps(1)[0], 1.0)], scored("restored", [31.0, 20.0], [0.95, 0.2]), quality)
    assert finding is not None
    assert [row[-1] for row in finding.section.tables[0].rows] == ["1"]
