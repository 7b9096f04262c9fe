"""Agreement of segmentations with a segmenter that only looks at the grey level: every number is known."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.segmentation import SegmentationAgreement
from medrestore.evaluation.segmentation_pictures import Overlays, overlay
from medrestore.evaluation.segmentation_rows import Counts, mean_iou, set_summary
from medrestore.evaluation.statistics import Summary


class Thresholds:
    """Class 0 below 0.25, 1 below 0.75, else 2; class 3 is never seen."""

    classes = ("dark", "middle", "bright", "never")
    description = "thresholds"
    floor = 0.6

    def __init__(self, own_score: float = 0.9) -> None:
        self.own_score = own_score
        self.usable = own_score >= self.floor

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        grey = image.mean(0)
        return (grey > 0.25).long() + (grey > 0.75).long()


def image(*rows: str) -> torch.Tensor:
    """(3, H, W) from letters: d, m, b."""
    levels = {"d": 0.1, "m": 0.5, "b": 0.9}
    return torch.tensor([[levels[letter] for letter in row] for row in rows]).expand(3, -1, -1)


def case(key: str, group: str, target: torch.Tensor | None, mask=None, **annotations: Any) -> Case:
    return Case(key, group, None, torch.zeros(3, 2, 2), target, mask, None, annotations, {})  # type: ignore[arg-type]


def context(judge: Thresholds | None) -> Context:
    kinds = {"identity": "reference", "restored": "learned"}
    return Context(kinds, "identity", "restored", "none", None if judge is None else lambda name: judge, Path())  # type: ignore[arg-type]


def begun(judge=None, **arguments: Any) -> SegmentationAgreement:
    assessment = SegmentationAgreement(**arguments)
    assessment.begin(context(judge or Thresholds()))
    return assessment


SHARP = image("dddd", "bbbb")
BLURRED = image("dddb", "bbbb")  # dark 3/4, bright 4/5
LOST = image("mmmm", "mmmm")  # 0 for all three classes


def test_scores_of_single_images():
    scores = begun().observe(case("k", "g", SHARP), {"identity": BLURRED, "restored": SHARP})
    found = {(score.method, score.metric): score.value for score in scores}
    assert found == {
        ("identity", "segments/iou"): pytest.approx((3 / 4 + 4 / 5) / 2),
        ("restored", "segments/iou"): 1.0,
    }
    assert {(score.key, score.group) for score in scores} == {("k", "g")}


def test_a_class_that_is_only_in_the_restored_image_counts_as_zero():
    (score, _) = begun().observe(case("k", "g", SHARP), {"identity": LOST, "restored": SHARP})
    assert score.value == 0.0


def test_the_mask_and_the_choice_of_classes():
    mask = torch.ones(1, 2, 4, dtype=torch.bool)
    mask[0, 0, 3] = False  # where they differ
    (score, _) = begun().observe(case("k", "g", SHARP, mask), {"identity": BLURRED, "restored": SHARP})
    assert score.value == 1.0
    (score, _) = begun(classes=["bright"]).observe(case("k", "g", SHARP), {"identity": BLURRED, "restored": SHARP})
    assert score.value == pytest.approx(4 / 5)
    with pytest.raises(MedrestoreError, match=r"no class 'car'.*dark, middle, bright, never"):
        begun(classes=["car"])


def finding(assessment: SegmentationAgreement, cases, rows):
    scores = [score for one, images in zip(cases, rows, strict=True) for score in assessment.observe(one, images)]
    found = assessment.finish(scores)
    assert found is not None
    return found


def test_the_whole_set_is_the_sum_of_the_matrices():
    cases = [case("a", "g", SHARP), case("b", "h", image("dmmm", "mmmm"))]
    rows = [{"identity": BLURRED, "restored": SHARP}, {"identity": image("mmmm", "mmmm"), "restored": SHARP}]
    found = finding(begun(), cases, rows)
    by_row = {row.method: row for row in found.summaries}
    # identity: dark 3 of 4 + 1, middle 7 of 8, bright 4 of 5
    assert by_row["identity"].mean == pytest.approx((3 / 5 + 7 / 8 + 4 / 5) / 3)
    # restored: dark 4 + 1 of 8, middle 0 of 7, bright 4 of 8
    assert by_row["restored"].mean == pytest.approx((5 / 8 + 0 + 4 / 8) / 3)
    assert by_row["restored"].difference == pytest.approx(9 / 24 - 91 / 120)
    assert by_row["identity"].low is None and by_row["restored"].p_value is None  # two groups
    assert "interval not available" in found.section.tables[0].rows[0][2]
    classes = found.section.tables[1]
    assert list(classes.header) == ["class", "of the pixels", "identity", "restored"]
    assert [list(row) for row in classes.rows] == [
        ["middle", "43.75 %", "0.875", "0.000"],
        ["dark", "31.25 %", "0.600", "0.625"],
        ["bright", "25.00 %", "0.800", "0.500"],
    ]
    assert found.section.spoken == 1 and "'restored' 0.375" in found.section.lines[0]


def test_the_judge_against_human_labels():
    labels = torch.tensor([[0, 0, 1, 255], [2, 2, 2, 2]])
    assessment = begun()
    cases = [case("a", "g", SHARP, labels=labels), case("b", "h", SHARP)]
    scores = [s for one in cases for s in assessment.observe(one, {"identity": SHARP, "restored": SHARP})]
    (own,) = [score for score in scores if score.metric == "segments/labels_iou"]
    assert own[:3] == ("sharp", "a", "g") and own.value == pytest.approx((2 / 3 + 0 + 1) / 3)
    found = assessment.finish(scores)
    assert found is not None
    (row,) = [row for row in found.summaries if row.metric == "segments/labels_mean_iou"]
    assert row.method == "sharp" and row.kind == "truth" and row.n == 1 and row.mean == pytest.approx(own.value)
    assert found.section.tables[0].rows[-1][0] == "sharp against human labels"
    assert found.section.tables[1].header[-1] == "sharp against human labels"
    assert "own mean IoU on sharp images is 0.900, the floor 0.6" in found.section.lines[1]


def test_labels_of_other_data_are_refused():
    labels = torch.full((2, 4), 7)
    with pytest.raises(MedrestoreError, match=r"class 7.*street_segmenter has 0 to 3.*judge=none"):
        begun().observe(case("a", "g", SHARP, labels=labels), {"identity": SHARP})


def test_an_unusable_judge_prints_one_line_and_no_scores():
    assessment = begun(Thresholds(own_score=0.41))
    assert assessment.observe(case("a", "g", SHARP), {"identity": SHARP, "restored": SHARP}) == []
    found = assessment.finish([])
    assert found is not None and not found.summaries and not found.section.tables and not found.section.pictures
    assert len(found.section.lines) == 1 and found.section.spoken == 1
    assert all(word in found.section.lines[0] for word in ("unusable", "0.410", "0.6"))


def test_nothing_without_a_judge_or_without_truth():
    assessment = SegmentationAgreement()
    assessment.begin(context(None))
    assert assessment.observe(case("a", "g", SHARP), {"identity": SHARP}) == [] and assessment.finish([]) is None
    assessment = begun()
    assert assessment.observe(case("a", "g", None), {"identity": SHARP}) == [] and assessment.finish([]) is None


def test_intervals_and_tests_resample_groups():
    """Six scenes; the row is perfect everywhere, the reference half as good everywhere."""
    assessment = begun()
    half = image("dddd", "dddd")  # dark 4 of 8, bright 0 of 4
    cases = [case(str(k), f"g{k % 6}", SHARP) for k in range(12)]
    found = finding(assessment, cases, [{"identity": half, "restored": SHARP}] * 12)
    by_row = {row.method: row for row in found.summaries}
    assert by_row["identity"].low == by_row["identity"].high == pytest.approx(0.25)
    assert (by_row["restored"].low, by_row["restored"].high) == (1.0, 1.0)
    assert by_row["restored"].difference == pytest.approx(0.75) and by_row["restored"].p_value == pytest.approx(
        2 / 2001
    )


def test_an_interval_covers_what_differs_between_scenes():
    rng = torch.Generator().manual_seed(1)
    matrices = torch.randint(1, 50, (20, 3, 3), generator=rng).numpy()
    counts = Counts(matrices, [f"g{k // 2}" for k in range(20)])
    counted = torch.ones(3, dtype=torch.bool).numpy()
    row = set_summary("a", "learned", "m", counts, None, counted)
    assert row.mean == pytest.approx(float(mean_iou(matrices.sum(0), counted)))
    assert row.low is not None and row.high is not None and row.mean is not None and row.low < row.mean < row.high
    assert row == set_summary("a", "learned", "m", counts, None, counted) and isinstance(row, Summary)


def test_pictures_of_the_worst_and_the_median_image():
    overlays = Overlays()
    values = [0.9, 0.5, 0.7, 0.6, 0.8, math.nan, *[0.95] * 3, 0.1, 0.65, *[0.3] * 3]
    for number, value in enumerate(values):
        overlays.add(f"k{number:02}", value, [SHARP, BLURRED], [torch.zeros(2, 4).long()] * 2)
    (first, worst), (second, median) = overlays.chosen()
    assert (first, worst.key) == ("worst", "k09") and (second, median.iou) == ("median", 0.65)
    assert worst.data.startswith(b"\xff\xd8")


def test_an_overlay_has_images_above_and_classes_below():
    data = overlay([torch.zeros(1, 8, 16), torch.ones(1, 8, 16)], [torch.full((8, 16), 13), torch.full((8, 16), -1)])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels[4, 8] - 0).max() < 6 and np.abs(pixels[4, 24] - 255).max() < 6
    assert np.abs(pixels[12, 8] - [0, 0, 85]).max() < 12  # 60 % of a car's (0, 0, 142) on black
    assert np.abs(pixels[12, 24] - 255).max() < 6  # no class, no colour
