"""Real pairs before and after surgery: registered or not, apart from synthetic cataract, and how well they fit."""

import io
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding
from medrestore.evaluation.before_after import BeforeAfter
from medrestore.evaluation.statistics import Score
from medrestore.imaging import Image
from medrestore.metrics import ciede2000, psnr, ssim

KINDS: dict[str, MethodKind] = {"identity": "reference", "clahe": "classical", "restored": "learned"}
SIDE = 96


def eye(seed: int, side: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    planes = [
        interpolate(torch.rand(1, 3, n, n, generator=generator), size=(side, side), mode="bicubic") for n in (6, 24)
    ]
    return (0.3 * planes[0] + 0.6 * planes[1])[0].clamp(0, 1)


def clouded(image: Tensor) -> Tensor:
    return 0.5 * avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0] + 0.3


def case(number: int, degraded: Tensor, target: Tensor | None, mask: Tensor | None = None, **numbers: float) -> Case:
    metadata = {"format": "png", "bits": 8, **{f"registration_{name}": value for name, value in numbers.items()}}
    record = Image(degraded, None, "intensity", None, Path("none.png"), None, None, metadata)
    return Case(f"k{number}", f"g{number}", record, degraded, target, mask, None, {}, {})


def registered(number: int, correlation: float = 0.8) -> Case:
    sharp = eye(number)
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    mask[:, 8:88, 8:88] = True
    told = {"down": 3.25, "right": -1.5, "angle": 2.0, "scale": 1.01, "correlation_before": 0.3, "overlap": 0.95}
    return case(number, clouded(sharp), sharp, mask, correlation=correlation, **told)


def synthetic(number: int) -> Case:
    return replace(case(number, clouded(eye(number)), eye(number)), description={"type": "cataract", "strength": 0.5})


def context(shown: str = "restored") -> Context:
    return Context(KINDS, "identity", shown, "auto", None, Path())


def rows(one: Case) -> dict[str, Tensor]:
    return {
        "identity": one.degraded,
        "clahe": (2 * one.degraded - 0.6).clamp(0, 1),
        "restored": (1.5 * one.degraded - 0.3).clamp(0, 1),
    }


def judged(cases: list[Case], extra: list[Score] | None = None, shown: str = "restored"):
    assessment = BeforeAfter()
    assessment.begin(context(shown))
    scores = [score for one in cases for score in assessment.observe(one, rows(one))]
    return scores, assessment.finish([*scores, *(extra or [])])


def section(finding: Finding | None):
    assert finding is not None
    return finding.section


def test_registered_pairs_are_scored_as_they_are() -> None:
    cases = [registered(number, 0.5 + 0.04 * number) for number in range(6)]
    scores, finding = judged(cases)
    found = {(score.method, score.key, score.metric): score.value for score in scores}
    assert len(found) == 6 * 3 * 3
    for one in cases:
        assert one.target is not None and one.mask is not None
        for name, image in rows(one).items():
            pair, mask = (image[None], one.target[None]), one.mask[None]
            assert found[name, one.key, "before_after/psnr"] == float(psnr(*pair, mask=mask))
            assert found[name, one.key, "before_after/ssim"] == float(ssim(*pair, mask=mask))
            assert found[name, one.key, "before_after/ciede2000"] == float(ciede2000(*pair, mask=mask))
    shown = section(finding)
    table, fits = shown.tables
    assert [row[0] for row in table.rows] == list(KINDS) and {row[-1] for row in table.rows} == {"6"}
    assert [row[0] for row in fits.rows] == [one.key for one in cases]
    assert tuple(fits.rows[2][1:7]) == ("+3.2, -1.5", "+2.00", "1.010", "0.30", "0.58", "95 %")
    assert fits.rows[2][7] == f"{found['identity', 'k2', 'before_after/psnr']:.2f}"
    assert fits.rows[2][8] == f"{found['restored', 'k2', 'before_after/psnr']:.2f}"
    said = " ".join(shown.lines)
    assert "6 real pairs" in said and "PSNR of 16 to 19 dB is to be expected" in said
    assert "0.60 on average, 0.50 at worst, and by 0.30 as the files are" in said
    assert "PSNR to the photograph after surgery: 'identity'" in said and "synthetic" not in said
    data, _, caption = shown.pictures[0]
    assert caption.startswith("k0, the pair that fits worst (correlation 0.50)")
    assert PillowImage.open(io.BytesIO(data)).width == 3 * SIDE + 2 * 2


def test_synthetic_cataract_is_told_apart() -> None:
    full = [
        Score(name, key, f"g-{key}", metric, value)
        for key, value in (("k0", 10.0), ("k7", 20.0), ("k8", 30.0))
        for name in KINDS
        for metric in ("psnr", "ssim")
    ]
    scores, finding = judged([registered(0), synthetic(7), synthetic(8)], full)
    assert {score.key for score in scores} == {"k0"}
    shown = section(finding)
    assert "2 sharp images with a synthetic cataract" in shown.lines[0] and len(shown.tables) == 3
    apart = shown.tables[2]
    assert "Synthetic cataract" in apart.caption and tuple(apart.rows[0]) == (
        "identity",
        "reference",
        "25.00",
        "25.000",
        "2",
    )
    assert finding is not None
    named = {(row.method, row.metric): row.mean for row in finding.summaries}
    assert named["restored", "synthetic/psnr"] == 25.0
    assert {metric for _, metric in named} == {"synthetic/psnr", "synthetic/ssim"}


def test_pairs_that_nobody_registered_are_counted_and_not_scored() -> None:
    loose = [case(number, clouded(eye(number)), eye(number)) for number in (1, 2)]
    scores, finding = judged(loose)
    assert scores == [] and section(finding).tables == ()
    assert section(finding).lines[0].startswith("2 pairs are in the table of all images as their files are; if they")
    scores, finding = judged([registered(0), *loose])
    assert {score.key for score in scores} == {"k0"}
    assert "type dataset=fundus dataset.before=DIR dataset.after=DIR" in section(finding).lines[-1]


def test_nothing_without_a_real_pair() -> None:
    assert judged([synthetic(1), case(2, eye(2), None)]) == ([], None)
    _, finding = judged([registered(0)], shown="identity")
    assert len(section(finding).tables[1].header) == 8
