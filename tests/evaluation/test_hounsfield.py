"""HU errors by tissue: known biases come back exactly, and what the window hid does not pass for exact."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.degradations import FocalBlur, MotionBlur, Sensor
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.hounsfield import (
    TISSUES,
    HounsfieldErrors,
    degraded_hu,
    hidden,
    measurable,
    side_by_side,
    tissue_errors,
)
from medrestore.imaging import WINDOWS, Image, Window, from_unit, to_unit

VALUES = {"air": -1000.0, "lung": -850.0, "soft_tissue": 40.0, "bone": 700.0}
SHIFT = {"air": 30.0, "lung": 20.0, "soft_tissue": -10.0, "bone": 40.0}
WIDE = WINDOWS["wide"]


def quarters(values: dict[str, float] = VALUES, side: int = 32) -> Tensor:
    """One tissue in each quarter, `(1, side, side)` HU."""
    half = side // 2
    image = torch.empty(1, side, side)
    for (top, left), value in zip(((0, 0), (0, half), (half, 0), (half, half)), values.values(), strict=True):
        image[:, top : top + half, left : left + half] = value
    return image


def case(
    hu: Tensor, window: Window = WIDE, degraded_hu: Tensor | None = None, number: int = 0, label: str = "chest"
) -> Case:
    degraded = hu if degraded_hu is None else degraded_hu
    image = Image(hu, None, "HU", None, Path("none.dcm"), None, None, {"format": "dicom", "bits": 16})
    return Case(
        key=f"slice-{number}",
        group=f"patient-{number}",
        image=image,
        degraded=to_unit(degraded, window),
        target=to_unit(hu, window),
        mask=None,
        kernel=None,
        annotations={"label": label},
        description={},
    )


def begun(window: str | list[float] = "wide") -> HounsfieldErrors:
    errors = HounsfieldErrors()
    kinds = {"identity": "reference", "wiener": "classical", "restored": "learned"}
    errors.begin(Context(kinds, "identity", "restored", window, None, Path("none")))  # type: ignore[arg-type]
    return errors


def everything(image: Tensor) -> Tensor:
    return torch.ones_like(image[:1], dtype=torch.bool)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("brain", []),
        ("soft_tissue", ["soft_tissue"]),
        ("lung", ["air", "lung", "soft_tissue"]),
        ("bone", ["soft_tissue", "bone"]),
        ("wide", ["air", "lung", "soft_tissue", "bone"]),
    ],
)
def test_a_tissue_is_measured_where_the_window_holds_its_range(window, expected):
    assert measurable(WINDOWS[window]) == expected


def test_tissues_leave_gaps_between_them():
    ends = [end for limits in TISSUES.values() for end in limits]
    assert ends == sorted(ends) and all(b - a >= 50 for a, b in zip(ends[1::2], ends[2::2], strict=False))


def test_known_biases_come_back_exactly():
    truth = quarters()
    found = tissue_errors(truth + quarters(SHIFT), truth, everything(truth), WIDE)
    assert {name: (error.mae, error.bias, error.pixels) for name, error in found.items()} == {
        "air": (30, 30, 256),
        "lung": (20, 20, 256),
        "soft_tissue": (10, -10, 256),
        "bone": (40, 40, 256),
    }


def test_errors_of_both_signs_cancel_in_the_bias_only():
    truth = torch.full((1, 10, 10), 20.0)
    wave = torch.tensor([12.0, -4.0]).repeat(50).reshape(1, 10, 10)
    error = tissue_errors(truth + wave, truth, everything(truth), WINDOWS["soft_tissue"])["soft_tissue"]
    assert error == (8, 4, 100)


def test_mixtures_and_masked_pixels_count_nowhere():
    truth = torch.full((1, 20, 20), 40.0)
    truth[:, :5] = -300.0  # between lung and soft tissue
    restored, valid = truth.clone(), everything(truth)
    restored[:, :5] += 500
    restored[:, 15:] += 70
    valid[:, 15:] = False
    assert tissue_errors(restored, truth, valid, WIDE) == {"soft_tissue": (0, 0, 200)}


def test_a_few_pixels_of_a_tissue_give_no_score():
    truth = torch.full((1, 7, 7), 0.0)
    assert tissue_errors(truth, truth, everything(truth), WIDE) == {}  # 49
    truth = torch.full((1, 5, 10), 0.0)
    assert tissue_errors(truth, truth, everything(truth), WIDE)["soft_tissue"].pixels == 50


def test_an_edge_from_air_to_muscle_is_no_lung():
    truth = torch.full((1, 60, 60), -1000.0)
    truth[:, :, 30:] = 50.0
    truth[:, :, 29] = -600.0
    found = tissue_errors(truth, truth, everything(truth), WIDE)
    assert {name: error.pixels for name, error in found.items()} == {"air": 60 * 29, "soft_tissue": 60 * 30}
    truth[:, :, 28] = -700.0
    assert tissue_errors(truth, truth, everything(truth), WIDE)["lung"].pixels == 120


@pytest.mark.parametrize("size", [(1, 1), (1, 80), (2, 2)])
def test_the_smallest_images_give_no_score(size):
    truth = torch.zeros(1, *size)
    assert tissue_errors(truth, truth, everything(truth), WIDE) == {}


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 4, 4\), \(1, 4, 5\)"):
        tissue_errors(torch.zeros(1, 4, 4), torch.zeros(1, 4, 5), torch.ones(1, 4, 4, dtype=torch.bool), WIDE)


def test_what_the_blur_did_outside_the_window_is_found_again():
    hu, window = quarters(), WINDOWS["soft_tissue"]
    blurring = MotionBlur("small")
    drawn = blurring.sample(torch.Generator().manual_seed(1))
    blurred = blurring.apply(hu, drawn)
    known = replace(case(hu, window, blurred), kernel=drawn.kernel)
    again = degraded_hu(known, window)
    assert again is not None
    torch.testing.assert_close(again, blurred)
    assert float(blurred.min()) < window.low  # which the case alone does not tell
    assert degraded_hu(replace(known, kernel=None), window) is None
    assert degraded_hu(replace(known, kernel=torch.ones(1, 1)), window) is None  # not what was evaluated
    assert degraded_hu(replace(known, degraded=known.degraded[:, ::2, ::2]), window) is None


def test_noise_after_the_blur_hides_the_values():
    hu, window = quarters(), WINDOWS["soft_tissue"]
    blurring = FocalBlur(sensor=Sensor(gaussian=20.0))
    drawn = blurring.sample(torch.Generator().manual_seed(1))
    noisy = replace(case(hu, window, blurring.apply(hu, drawn)), kernel=drawn.kernel)
    assert degraded_hu(noisy, window) is None


def test_hidden_pixels_are_those_at_the_ends_of_the_window():
    degraded = torch.tensor([[[0.0, 0.001], [0.999, 1.0]]])
    assert hidden(degraded, (2, 2)).tolist() == [[[True, False], [False, True]]]
    assert hidden(degraded, (4, 4))[0, :2, :2].all() and hidden(degraded, (4, 4)).sum() == 8


def test_clipped_values_do_not_pass_for_exact_ones():
    """Soft tissue that the blur took below the window: restored to the truth in [0, 1], a file would not hold it."""
    window = WINDOWS["soft_tissue"]
    hu = torch.full((1, 20, 20), 40.0)
    hu[:, :, 0] = -900.0
    kernel = torch.zeros(1, 3)
    kernel[0, 0], kernel[0, 2] = 0.5, 0.5
    blurred = hu.clone()
    blurred[:, :, 0], blurred[:, :, 1] = 40.0, 0.5 * (40 - 900)  # the border reflects
    known = replace(case(hu, window, blurred), kernel=kernel)
    assert known.target is not None
    images = {"identity": known.degraded, "restored": known.target}
    scores = {(score.method, score.metric): score.value for score in begun("soft_tissue").observe(known, images)}
    hidden_error = 470 / 19  # of the one column of 19 that the window hid
    assert scores["identity", "hu_mae/soft_tissue"] == pytest.approx(hidden_error, abs=1e-3)
    assert scores["restored", "hu_mae/soft_tissue"] == pytest.approx(hidden_error, abs=1e-3)
    assert scores["restored", "hu_bias/soft_tissue"] == pytest.approx(-hidden_error, abs=1e-3)

    unknown = replace(known, kernel=None)  # then these pixels count for no method
    errors = begun("soft_tissue")
    scores = {(score.method, score.metric): score.value for score in errors.observe(unknown, images)}
    assert scores["identity", "hu_mae/soft_tissue"] == pytest.approx(0, abs=1e-3)
    finding = errors.finish([])
    assert finding is not None and any("In 1 of 1 images" in line for line in finding.section.lines)


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_name_row_image_and_tissue(channels):
    hu = quarters().expand(channels, -1, -1).contiguous()
    seen = case(hu, WIDE)
    images = {"identity": seen.degraded, "restored": to_unit(hu + quarters(SHIFT), WIDE)}
    scores = begun().observe(seen, images)
    assert {(score.key, score.group) for score in scores} == {("slice-0", "patient-0")}
    values = {(score.method, score.metric): score.value for score in scores}
    assert len(values) == 16
    for tissue, shift in SHIFT.items():
        assert values["identity", f"hu_mae/{tissue}"] == pytest.approx(0, abs=1e-3)
        assert values["restored", f"hu_mae/{tissue}"] == pytest.approx(abs(shift), abs=1e-3)
        assert values["restored", f"hu_bias/{tissue}"] == pytest.approx(shift, abs=1e-3)


def test_images_in_other_units_and_without_truth_are_passed_over():
    errors, hu = begun(), case(quarters())
    photograph = replace(hu, image=replace(hu.image, unit="intensity"))
    assert errors.observe(photograph, {"identity": hu.degraded}) == []
    assert errors.observe(replace(hu, target=None), {"identity": hu.degraded}) == []
    assert errors.finish([]) is None


def test_the_target_may_be_cut_to_a_multiple_of_the_scale():
    hu = quarters(side=34)
    whole = case(hu)
    assert whole.target is not None
    cut = replace(whole, target=whole.target[:, :33, :32], degraded=whole.degraded[:, :33, :32])
    scores = begun().observe(cut, {"identity": cut.degraded})
    assert max(abs(score.value) for score in scores) < 1e-3


def report(window: str, count: int = 6):
    errors, scores = begun(window), []
    for number in range(count):
        seen = case(quarters(), WINDOWS[window], number=number, label=("chest", "head")[number % 2])
        moved = to_unit(quarters() + quarters(SHIFT), WINDOWS[window])
        scores += errors.observe(seen, {"identity": seen.degraded, "restored": moved})
    return errors.finish(scores)


def test_section_tells_window_tissues_and_intervals():
    finding = report("wide")
    assert finding is not None
    mae, bias = finding.section.tables
    assert "wide (-1024 to 3071 HU)" in mae.caption and "restored minus truth" in bias.caption
    assert list(mae.header) == ["method", "air", "lung", "soft tissue", "bone"]
    assert [row[0] for row in mae.rows] == ["identity", "restored"]  # a row that made no image is not there
    assert list(mae.rows[1][1:]) == [f"{abs(v):.1f} [{abs(v):.1f}, {abs(v):.1f}], n=6" for v in SHIFT.values()]
    assert bias.rows[1][3] == "-10.0 [-10.0, -10.0], n=6"


def test_section_says_what_is_not_measurable_and_not_available():
    finding = report("soft_tissue", count=2)
    assert finding is not None
    row = finding.section.tables[0].rows[1]
    assert row[3] == "10.0 [not available], n=2"
    assert {row[1], row[2], row[4]} == {"not measurable"}
    finding = report("brain")
    assert finding is not None and not finding.section.tables
    assert any("type sampling.window=wide" in line for line in finding.section.lines)


def test_a_tissue_that_no_image_shows_is_said():
    errors, hu = begun(), case(torch.full((1, 16, 16), 10.0))
    finding = errors.finish(errors.observe(hu, {"identity": hu.degraded}))
    assert finding is not None
    assert list(finding.section.tables[0].rows[0][1:]) == [
        "none in these images",
        "none in these images",
        "0.0 [not available], n=1",
        "none in these images",
    ]


def test_one_full_size_slice_for_each_region():
    finding = report("wide")
    assert finding is not None
    pictures = finding.section.pictures
    assert [caption.split(",")[0] for _, _, caption in pictures] == ["chest", "head"]
    shown = np.asarray(PillowImage.open(io.BytesIO(pictures[0][0])))
    assert shown.shape == (32, 3 * 32 + 16)
    np.testing.assert_array_equal(shown[:, -32:], (to_unit(quarters(), WIDE)[0] * 255).round().numpy())


def test_side_by_side_keeps_every_pixel():
    small, large = torch.zeros(1, 2, 3), torch.full((3, 4, 5), 0.5)
    picture = np.asarray(PillowImage.open(io.BytesIO(side_by_side([small, large]))))
    assert picture.shape == (4, 3 + 8 + 5)
    assert (picture[:2, :3] == 0).all() and (picture[2:, :3] == 255).all() and (picture[:, 11:] == 128).all()


def test_a_second_evaluation_starts_afresh():
    errors, hu = begun(), case(quarters())
    errors.observe(hu, {"identity": hu.degraded})
    errors.begin(Context({"identity": "reference"}, "identity", "identity", "wide", None, Path("none")))
    assert errors.finish([]) is None


def test_hu_come_back_as_restore_writes_them():
    """The helper that the assessment relies on: outside the window the input's own value."""
    original = torch.tensor([-1000.0, -20.0, 500.0])
    window = WINDOWS["soft_tissue"]
    back = from_unit(to_unit(original, window) + torch.tensor([0.1, 0.1, -0.1]), window, original)
    torch.testing.assert_close(back, torch.tensor([-1000.0, 15.0, 500.0]))
