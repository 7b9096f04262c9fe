"""Fold three: what a made-up judge says about made-up images, in tables, sentences and summary rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import SHARP, Boxes, Context, Finding
from medrestore.evaluation.lesions import LesionDetection
from medrestore.imaging import Image

KINDS: Any = {"identity": "reference", "unsharp": "classical", "restored": "learned"}
SIDE = 32


class Judge:
    """Calls an image abnormal by its brightness; its box is the left upper quarter."""

    labels = {"normal": "normal", "abnormal": "abnormal", "swede>=5": "abnormal", "swede<5": "normal"}  # noqa: RUF012
    description = "brightness, trained on nothing"
    threshold = 0.5
    floor = 0.9

    def __init__(self, own_score: float = 0.95, patches: str = "none") -> None:
        self.own_score = torch.tensor(own_score)
        self.patches = patches

    @property
    def usable(self) -> bool:
        return float(self.own_score) >= self.floor

    def predict(self, image: Tensor) -> Boxes:
        score = image.mean().reshape(1)
        return Boxes(torch.tensor([[0.0, 0, SIDE / 2, SIDE / 2]]), score)


def case(number: int, label: str, group: str, natural: bool = False, boxes: bool = True, **more: Tensor) -> Case:
    pixels = torch.zeros(3, SIDE, SIDE)
    known: dict[str, Any] = {"label": label, **more}
    if boxes:
        quarter = [[0.0, 0, SIDE / 2, SIDE / 2]]
        known["boxes"] = torch.tensor(quarter if label == "abnormal" else []).reshape(-1, 4)
    record = Image(pixels, None, "intensity", None, Path("x"), None, None, {})
    return Case(f"{number:04d}", group, record, pixels, None if natural else pixels, None, None, known, {})


def grey(value: float) -> Tensor:
    return torch.full((3, SIDE, SIDE), value)


def assess(cases: list[tuple[Case, dict[str, float]]], judge: Any = None, shown: str = "restored") -> Finding | None:
    """Each case with the brightness of every row; the sharp row is right."""
    assessment = LesionDetection()
    judge = judge or Judge()
    assessment.begin(Context(KINDS, "identity", shown, "auto", lambda name: judge, Path()))
    scores = []
    for one, rows in cases:
        if one.target is not None:
            one.target = grey(0.9 if one.annotations["label"] == "abnormal" else 0.1)
        scores += assessment.observe(one, {row: grey(value) for row, value in rows.items()})
    names = [(score.method, score.key, score.metric) for score in scores]
    assert len(set(names)) == len(names)
    return assessment.finish(scores)


def found(finding: Finding | None) -> dict[tuple[str, str], Any]:
    assert finding is not None
    return {(one.method, one.metric): one for one in finding.summaries}


def lines(finding: Finding | None) -> str:
    assert finding is not None
    return "\n".join(finding.section.lines)


def mixed(natural: bool = False) -> list[tuple[Case, dict[str, float]]]:
    """Ten images of ten groups: identity misses 3 of 5 abnormal ones, restored none but calls one normal abnormal."""
    cases = []
    for number in range(5):
        blurred = 0.3 if number < 3 else 0.8
        cases.append((case(number, "abnormal", f"g{number}", natural), {"identity": blurred, "restored": 0.7}))
    for number in range(5, 10):
        restored = 0.6 if number == 5 else 0.2
        cases.append((case(number, "normal", f"g{number}", natural), {"identity": 0.2, "restored": restored}))
    return cases


def test_numbers_by_hand() -> None:
    finding = assess(mixed())
    numbers = found(finding)
    expected = {
        ("identity", "accuracy"): 0.7, ("identity", "sensitivity"): 0.4, ("identity", "specificity"): 1.0,
        ("identity", "false_positives"): 0, ("identity", "false_negatives"): 3,
        ("restored", "accuracy"): 0.9, ("restored", "sensitivity"): 1.0, ("restored", "specificity"): 0.8,
        ("restored", "false_positives"): 1, ("restored", "false_negatives"): 0,
        ("identity", "auc"): 1.0, ("restored", "auc"): 1.0, (SHARP, "accuracy"): 1.0, (SHARP, "map50"): 1.0,
    }  # fmt: skip
    for (row, metric), value in expected.items():
        assert numbers[row, f"lesions/{metric}"].mean == pytest.approx(value), (row, metric)
    restored = numbers["restored", "lesions/accuracy"]
    assert restored.difference == pytest.approx(0.2) and restored.p_value == pytest.approx(0.625)  # 3 gained, 1 lost
    assert (restored.low, restored.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)  # Wilson, 9 of 10
    assert numbers["identity", "lesions/accuracy"].difference is None
    assert numbers["restored", "lesions/false_negatives"].difference == -3
    assert numbers["restored", "lesions/sensitivity"].n == 5 and restored.kind == "learned"
    text = lines(finding)
    assert "accuracy 0.700 -> 0.900" in text and "McNemar exact p 0.625 (3 gained, 1 lost)" in text
    assert "5 normal, 5 abnormal, 10 groups" in text


def test_average_precision_of_boxes_counts_those_on_normal_images() -> None:
    """Identity: hits at 0.8 0.8, then 0.3 x 3 before 0.2 x 5 on normal images: all hits come first."""
    numbers = found(assess(mixed()))
    assert numbers["identity", "lesions/map50"].mean == pytest.approx(1.0)
    wrong = [(case(n, "abnormal" if n < 3 else "normal", f"g{n}"), {"identity": 0.4 if n < 3 else 0.6, "restored": 0.5})
             for n in range(6)]  # fmt: skip
    numbers = found(assess(wrong))
    assert numbers["identity", "lesions/map50"].mean == pytest.approx((1 / 4 + 2 / 5 + 3 / 6) / 3 * 0 + 0.5)
    assert numbers["identity", "lesions/auc"].mean == 0.0


def test_the_tables_hold_every_row_with_piqe_before_and_after() -> None:
    finding = assess(mixed())
    assert finding is not None
    table, pairs = finding.section.tables
    assert list(table.header) == [
        "method", "images", "accuracy", "sensitivity", "specificity", "FP", "FN", "ROC-AUC", "mAP@0.5", "PIQE",
    ]  # fmt: skip
    assert [row[0] for row in table.rows] == [SHARP, "identity", "restored"]
    assert table.rows[1][2] == "0.700 (0.397 to 0.892)" and table.rows[2][5] == "1 of 5"
    assert table.rows[1][-1] == "100.0"  # a picture without structure
    assert [list(row) for row in pairs.rows if row[0] == "restored"] == [
        ["restored", "3", "1", "0.625", "not available"]
    ]


def test_the_fourteen_normal_images_of_the_paper() -> None:
    cases = [
        (case(n, "normal", f"g{n}", natural=True), {"identity": 0.9 if n < 3 else 0.1, "restored": 0.1})
        for n in range(14)
    ]
    finding = assess(cases)
    numbers = found(finding)
    assert {metric for _, metric in numbers} == {"lesions_natural/false_positives", "lesions_natural/false_negatives"}
    assert numbers["identity", "lesions_natural/false_positives"].mean == 3
    assert numbers["restored", "lesions_natural/false_positives"].mean == 0
    text = lines(finding)
    assert "all 14 are normal, so no accuracy" in text and "McNemar exact p 0.250" in text
    assert "accuracy 0" not in text and "accuracy 1" not in text
    assert finding is not None and not any("accuracy" in table.header for table in finding.section.tables)


def test_natural_images_have_a_table_of_their_own_without_a_sharp_row() -> None:
    both = [*mixed(), *[(one, rows) for one, rows in mixed(natural=True)]]
    for number, (one, _) in enumerate(both):
        one.key = f"{number:04d}"
    finding = assess(both)
    assert finding is not None
    assert [len(table.rows) for table in finding.section.tables] == [3, 2, 2, 1]
    assert finding.section.spoken == 2


def test_images_of_one_patient_do_not_pass_for_independent() -> None:
    """Thirty images of six patients: the interval is wider than Wilson's, a test over patients stands beside."""
    cases = []
    for number in range(30):
        patient = number // 5
        label = "abnormal" if patient % 2 else "normal"
        right, wrong = (0.9, 0.1) if label == "abnormal" else (0.1, 0.9)
        rows = {"identity": wrong if patient < 2 else right, "restored": right}
        cases.append((case(number, label, f"patient{patient}"), rows))
    finding = assess(cases)
    accuracy = found(finding)["identity", "lesions/accuracy"]
    assert accuracy.low is not None and accuracy.high - accuracy.low > 0.6  # Wilson: 0.49 to 0.81
    restored = found(finding)["restored", "lesions/accuracy"]
    assert restored.p_value == 0.5  # two patients of six changed, not ten images (0.002)
    assert "not independent" in lines(finding)


def test_below_five_groups_nothing_is_claimed() -> None:
    cases = [
        (case(n, "abnormal" if n < 2 else "normal", f"g{n}"), {"identity": 0.4, "restored": 0.9 if n < 2 else 0.1})
        for n in range(4)
    ]
    finding = assess(cases)
    for one in found(finding).values():
        assert one.low is None and one.high is None and one.p_value is None
    assert "not available below 5 groups" in lines(finding)


def test_an_unusable_judge_gives_no_score() -> None:
    finding = assess(mixed(), Judge(own_score=0.7))
    assert finding is not None and finding.summaries == [] and finding.section.tables == ()
    assert finding.section.lines[0].startswith("unusable: on sharp images the judge's AUC is 0.700, its floor 0.9")
    unmeasured = assess(mixed(), Judge(own_score=float("nan")))
    assert unmeasured is not None and "not measured" in unmeasured.section.lines[0]


def test_a_judge_that_belongs_to_other_data_says_so() -> None:
    foreign = assess([(case(0, "Type_1", "g0"), {"identity": 0.1}), (case(1, "", "g1"), {"identity": 0.1})])
    assert foreign is not None and foreign.summaries == []
    assert "none of the 2 images has a label that means normal or abnormal" in foreign.section.lines[0]
    assert "'Type_1' is neither normal nor abnormal" in foreign.section.lines[1]

    class Other:
        pass

    assessment = LesionDetection()
    with pytest.raises(MedrestoreError, match="is a Other, no detector of lesions"):
        assessment.begin(Context(KINDS, "identity", "restored", "auto", lambda name: Other(), Path()))


def test_without_a_judge_there_is_nothing_to_say() -> None:
    assessment = LesionDetection()
    assessment.begin(Context(KINDS, "identity", "restored", "auto", None, Path()))
    assert assessment.observe(mixed()[0][0], {"identity": grey(0.1)}) == [] and assessment.finish([]) is None


def test_patches_inside_and_outside_are_the_two_classes() -> None:
    region = torch.zeros(1, 96, 96, dtype=torch.bool)
    region[:, 20:70, 20:70] = True
    assessment = LesionDetection()
    judge = Judge(patches="inside_outside")
    assessment.begin(Context(KINDS, "identity", "restored", "auto", lambda name: judge, Path()))
    right = (region.float() * 0.8 + 0.1).expand(3, -1, -1)
    scores = []
    for number in range(6):
        record = Image(right, None, "intensity", None, Path("x"), None, None, {})
        one = Case(
            f"k{number}", f"g{number}", record, right, right, None, None, {"region": region, "label": "polyp"}, {}
        )
        scores += assessment.observe(one, {"identity": torch.full_like(right, 0.3), "restored": right})
    numbers = found(assessment.finish(scores))
    assert numbers["identity", "lesions/accuracy"].mean == 0.5 and numbers["identity", "lesions/auc"].mean == 0.5
    assert numbers["restored", "lesions/accuracy"].mean == 1.0 and numbers["restored", "lesions/accuracy"].n == 12
    assert ("restored", "lesions/map50") not in numbers
