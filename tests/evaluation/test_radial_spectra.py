"""Radial spectra of rows: signed bands by known contrasts, the mask, and the plot."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.radial_spectra import RadialSpectra, bands_from

KINDS: dict[str, MethodKind] = {"bicubic": "reference", "restored": "learned"}


def noise(seed: int = 0) -> Tensor:
    return (0.5 + 0.1 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


def case(key: str, target: Tensor | None, scale: int, mask: Tensor | None = None) -> Case:
    small = torch.zeros(1, 64 // scale, 64 // scale)
    return Case(key, f"g{key}", None, small, target, mask, None, {}, {})  # type: ignore[arg-type]


def begun() -> RadialSpectra:
    assessment = RadialSpectra()
    assessment.begin(Context(KINDS, "bicubic", "restored", "auto", None, Path()))
    return assessment


def test_bands_are_octaves_above_what_the_input_holds() -> None:
    assert list(bands_from(0.125)) == ["0 to 0.125", "0.125 to 0.25", "0.25 to 0.5"]
    assert list(bands_from(1 / 6)) == ["0 to 0.167", "0.167 to 0.333", "0.333 to 0.5"]
    assert list(bands_from(0.25)) == ["0 to 0.25", "0.25 to 0.5"]
    assert list(bands_from(0.0)) == ["0 to 0.125", "0.125 to 0.25", "0.25 to 0.5"]


def test_half_and_double_contrast_are_six_decibels_less_and_more() -> None:
    assessment, scores = begun(), []
    for number in range(2):
        target = 0.5 + (noise(number) - 0.5) / 2
        images = {"bicubic": 0.5 + (target - 0.5) / 2, "restored": 0.5 + (target - 0.5) * 2}
        scores += assessment.observe(case(f"k{number}", target, 4), images)
    assert {score.metric for score in scores} == {"radial_spectra/distance_all", "radial_spectra/distance_above"}
    assert [score.value for score in scores] == pytest.approx([6.02] * 8, abs=0.05)
    finding = assessment.finish(scores)
    assert finding is not None
    (table,) = finding.section.tables
    assert table.header[3:] == ["0 to 0.125", "0.125 to 0.25", "0.25 to 0.5"]
    assert [row[3:] for row in table.rows] == [["-6.0"] * 3, ["+6.0"] * 3]
    assert finding.section.lines[0] == (
        "power at 0.25 to 0.5 cycles a pixel, minus the truth's, in dB: 'restored' +6.0, 'bicubic' -6.0."
    )
    ((data, _, caption),) = finding.section.pictures
    assert PillowImage.open(io.BytesIO(data)).size == (860, 420) and caption == "mean of 2 images"


def test_outside_the_mask_nothing_differs_and_blur_has_no_nyquist() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 20:40] = True
    target = noise()
    painted = torch.where(mask, target, 1 - target)
    scores = begun().observe(case("k", target, 1, mask), {"bicubic": painted, "restored": target})
    assert [(score.metric, score.value) for score in scores] == [("radial_spectra/distance_all", 0.0)] * 2


def test_nothing_without_truth() -> None:
    assessment = begun()
    assert assessment.observe(case("k", None, 2), {"bicubic": noise()}) == [] and assessment.finish([]) is None
