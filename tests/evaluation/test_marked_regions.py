"""Scores inside marked regions, by hand, and what is said of lesion-focused rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.marked_regions import MarkedRegions
from medrestore.imaging import Image
from medrestore.metrics import ssim_map

KINDS: dict[str, MethodKind] = {
    "bicubic": "reference", "lanczos": "classical", "lesion_focused": "learned", "restored": "learned",
}  # fmt: skip


def region() -> Tensor:
    marked = torch.zeros(1, 40, 48, dtype=torch.bool)
    marked[0, 10:20, 16:32] = True
    return marked


def case(number: int, marked: Tensor | None, mask: Tensor | None = None) -> Case:
    target = 0.3 + 0.4 * torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(number))
    image = Image(target, None, "intensity", None, Path("x.png"), None, mask, {"format": "png", "bits": 8})
    known = {} if marked is None else {"region": marked}
    return Case(f"k{number}", f"g{number}", image, target[:, ::2, ::2], target, mask, None, known, {})


def images_of(one: Case, inside: float, outside: float) -> dict[str, Tensor]:
    """Errors of one size inside the region and of another outside; the focused row is lanczos outside."""
    assert one.target is not None
    bicubic, lanczos = one.target + 0.2, one.target + outside
    marked = one.annotations.get("region", torch.zeros(1, 40, 48, dtype=torch.bool))
    focused = torch.where(marked, one.target + inside, lanczos)
    return {"bicubic": bicubic, "lanczos": lanczos, "lesion_focused": focused, "restored": one.target + 0.1}


def begun() -> MarkedRegions:
    assessment = MarkedRegions()
    assessment.begin(Context(KINDS, "bicubic", "restored", "auto", None, Path()))
    return assessment


def test_scores_count_the_region_alone() -> None:
    one = case(0, region())
    scores = begun().observe(one, images_of(one, inside=0.05, outside=0.15))
    values = {(score.method, score.metric): score.value for score in scores}
    assert values["restored", "lesion/psnr"] == pytest.approx(20, abs=1e-4)
    assert values["lesion_focused", "lesion/psnr"] == pytest.approx(26.0206, abs=1e-3)
    assert one.target is not None
    expected = ssim_map((one.target + 0.1)[None], one.target[None])[0, 0, 10:20, 16:32].mean()
    assert values["restored", "lesion/ssim"] == pytest.approx(float(expected))


def test_what_is_said_of_the_focused_row() -> None:
    assessment, scores = begun(), []
    for number in range(6):
        one = case(number, region() if number < 5 else None)
        scores += assessment.observe(one, images_of(one, inside=0.05 + 0.001 * number, outside=0.15))
    finding = assessment.finish(scores)
    assert finding is not None
    against, focused, count = finding.section.lines
    assert against.startswith("'lesion_focused', PSNR inside the regions: +5.68 dB to 'restored', p = 0.062; +11.70 dB")
    assert focused == (
        "'lesion_focused' is the interpolation and nothing else in 1 of 6 images, where it has no region; it changes "
        "100 % of the marked pixels."
    )
    assert count == "5 of 6 images with truth have a marked region; the others have no score here."
    assert finding.section.spoken == 2 and len(finding.section.pictures) == 2
    rows = {row[0]: row[1] for row in finding.section.tables[0].rows}
    assert rows["bicubic"].startswith("13.98 [") and rows["restored"].startswith(
        "20.00 [20.00, 20.00], +6.02, p = 0.062"
    )


def test_a_region_outside_the_mask_and_no_region_at_all() -> None:
    mask = torch.ones(1, 40, 48, dtype=torch.bool)
    mask[:, :25] = False
    assessment = begun()
    one = case(0, region(), mask)
    assert assessment.observe(one, images_of(one, 0.05, 0.15)) == []
    finding = assessment.finish([])
    assert finding is not None
    assert finding.section.lines[0] == "not done: in none of the 1 images with truth a region is marked"
    natural = case(1, region())
    natural.target = None
    assessment = begun()
    assert assessment.observe(natural, {}) == [] and assessment.finish([]) is None


def test_a_run_without_focused_rows() -> None:
    assessment = MarkedRegions()
    assessment.begin(Context({"bicubic": "reference"}, "bicubic", "bicubic", "auto", None, Path()))
    one = case(0, region())
    assert one.target is not None
    finding = assessment.finish(assessment.observe(one, {"bicubic": one.target + 0.1}))
    assert finding is not None and finding.section.spoken == 0 and len(finding.section.lines) == 1
