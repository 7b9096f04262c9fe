"""Low-resolution consistency: exact answers, what counts under a window, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrestore.classical import Bicubic, MethodKind, Nearest
from medrestore.data.samples import Case
from medrestore.degradations import Degradation, Downsample, FocalBlur, Sensor
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.consistency import Consistency, comparable
from medrestore.evaluation.statistics import Score
from medrestore.imaging import Image, Unit, Window, to_unit

KINDS: dict[str, MethodKind] = {"bicubic": "reference", "nearest": "classical", "restored": "learned"}


def texture(*shape: int, seed: int = 0) -> Tensor:
    return 0.2 + 0.6 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def case_of(pixels: Tensor, operator: Downsample, window: Window | None = None, mask: Tensor | None = None) -> Case:
    unit: Unit = "intensity" if window is None else "HU"
    image = Image(pixels, None, unit, window, Path("x"), None, mask, {"format": "png", "bits": 16})
    small = operator.apply(pixels, operator.sample(torch.Generator().manual_seed(1)))
    return Case("k", "g", image, to_unit(small, window), to_unit(pixels, window), mask, None, {}, {})


def begun(operator: Degradation, window: str | list[float] = "auto") -> Consistency:
    assessment = Consistency()
    assessment.begin(Context(KINDS, "bicubic", "restored", window, None, Path(), degradation=operator))
    return assessment


def found(scores: list[Score]) -> dict[tuple[str, str], float]:
    return {(score.method, score.metric.removeprefix("consistency/")): score.value for score in scores}


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_repeated_pixels_are_their_own_mean(scale: int) -> None:
    operator = Downsample(scale, "area")
    case = case_of(texture(1, 48, 72), operator)
    repeated = Nearest(scale).restore(case.degraded[None])[0]
    blocks = torch.ones(1, 48, 72)
    blocks[:, ::2] *= -1  # as much above as below in every block of an even scale
    images = {"bicubic": repeated + 0.1, "nearest": repeated, "restored": repeated + 0.05 * blocks}
    assessment = begun(operator)
    scores = assessment.observe(case, images)
    values = found(scores)
    assert values["nearest", "levels"] == 0 and values["nearest", "psnr"] == math.inf
    assert values["bicubic", "levels"] == pytest.approx(25.5, abs=1e-4)
    assert values["bicubic", "psnr"] == pytest.approx(20, abs=1e-4)
    if scale % 2 == 0:  # invented, but nothing that the input contradicts
        assert values["restored", "levels"] == pytest.approx(0, abs=1e-4)
    assert values["sharp", "levels"] == pytest.approx(0, abs=1e-4)
    finding = assessment.finish(scores)
    assert finding is not None
    rows = {row[0]: row[1:] for row in finding.section.tables[0].rows}
    assert rows["nearest"] == ["no difference", "0.000"] and rows["bicubic"] == ["20.00", "25.500"]
    assert list(rows) == ["sharp", "bicubic", "nearest", "restored"] and finding.section.spoken == 1
    assert "pixels are compared" not in " ".join(finding.section.lines)


def test_the_truth_differs_by_the_sensors_noise_alone() -> None:
    pixels = texture(1, 64, 64)
    clean = Downsample(4, "bicubic")
    noisy = Downsample(4, "bicubic", Sensor(gaussian=0.02))
    case = case_of(pixels, noisy)
    noise = (case.degraded - clean.apply(pixels, clean.sample(torch.Generator()))).abs().mean() * 255
    values = found(begun(noisy).observe(case, {"bicubic": Bicubic(4).restore(case.degraded[None])[0]}))
    assert values["sharp", "levels"] == pytest.approx(float(noise), rel=1e-4) and float(noise) > 3


def test_what_a_window_cuts_off_counts_for_no_row() -> None:
    operator, window = Downsample(2, "bicubic"), Window(-100, 100)
    pixels = 120 * texture(1, 64, 64) - 60
    pixels[:, :, 40:] += 400  # bone, white in the window
    case = case_of(pixels, operator, window)
    assessment = begun(operator, [0, 200])
    values = found(assessment.observe(case, {"bicubic": Bicubic(2).restore(case.degraded[None])[0]}))
    assert values["sharp", "levels"] < 0.01
    valid = comparable(case, operator, window)
    assert valid[:, :, :18].all() and not valid[:, :, 18:20].any()  # the operator reaches four pixels of the target
    assert valid[:, :, 22:].all()  # white is white
    everything = operator.apply(to_unit(pixels, window), operator.sample(torch.Generator()))
    assert float((everything - case.degraded).abs().max()) * 255 > 5  # as it would be without
    finding = assessment.finish([Score("bicubic", "k", "g", "consistency/levels", 1.0)])
    assert (
        finding is not None and f"{100 * float(valid.float().mean()):.0f} % of the input's" in finding.section.lines[-1]
    )


def test_images_without_truth_and_outside_the_mask() -> None:
    operator, window = Downsample(2, "area"), Window(0, 1)
    mask = torch.ones(1, 8, 8, dtype=torch.bool)
    mask[:, :3] = False
    case = case_of(texture(1, 8, 8), operator, None, mask)
    assert comparable(case, operator, None)[0, :, 0].tolist() == [False, False, True, True]
    case.target, case.mask = None, None
    case.degraded[0, 1, 1] = 1.0
    assert comparable(case, operator, None).all()
    assert int((~comparable(case, operator, window)).sum()) == 1
    repeated = Nearest(2).restore(case.degraded[None])[0]
    assert found(begun(operator).observe(case, {"bicubic": repeated})) == {
        ("bicubic", "psnr"): math.inf,
        ("bicubic", "levels"): 0.0,
    }


def test_a_blur_has_no_low_resolution() -> None:
    with pytest.raises(MedrestoreError, match="the images of this run are not shrunk"):
        begun(FocalBlur())
    assert begun(Downsample(2)).finish([]) is None
