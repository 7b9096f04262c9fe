"""Scores by severity: thirds of numbers, words as they are, synthetic strengths apart."""

from pathlib import Path

import pytest
import torch

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.severity import Severity, parts_of, severity_of
from medrestore.evaluation.statistics import Score

KINDS: dict[str, MethodKind] = {"identity": "reference", "clahe": "classical", "restored": "learned"}
FITTED = "no_reference/fitted_niqe"


def case(key: str, known: dict, strength: float | None = None) -> Case:
    image = torch.zeros(1, 4, 4)
    description = {} if strength is None else {"type": "cataract", "strength": strength}
    target = None if strength is None else image
    record = type("Record", (), {"metadata": {}})()
    return Case(key, f"g{key}", record, image, target, None, None, known, description)  # type: ignore[arg-type]


def found(cases: list[Case], scores: list[Score], shown: str = "restored"):
    assessment = Severity()
    assessment.begin(Context(KINDS, "identity", shown, "auto", None, Path()))
    assert [score for one in cases for score in assessment.observe(one, {})] == []
    return assessment.finish(scores)


def scored(metric: str, values: dict[str, list[float]]) -> list[Score]:
    return [
        Score(name, f"k{number}", f"gk{number}", metric, value)
        for name, row in values.items()
        for number, value in enumerate(row)
    ]


def test_numbers_are_cut_into_thirds() -> None:
    severities = [0.9, 0.1, 0.5, 0.2, 0.6, 1.0]
    cases = [case(f"k{number}", {"severity": torch.tensor(value)}) for number, value in enumerate(severities)]
    scores = scored(FITTED, {"identity": [9, 1, 5, 3, 5, 9], "restored": [8, 1, 3, 2, 4, 6]})
    scores += [Score("noise_control", "k0", "gk0", FITTED, 3.0), Score("elsewhere", "x", "gx", FITTED, 3.0)]
    scores += scored("no_reference/niqe", {"identity": [float("nan")] * 6})
    finding = found([*cases, case("unknown", {})], scores)
    assert finding is not None
    (table,) = finding.section.tables
    assert table.header[1:] == (
        "weak, 0.10 to 0.20 (2 images, 2 groups)",
        "middle, 0.50 to 0.60 (2 images, 2 groups)",
        "strong, 0.90 to 1.00 (2 images, 2 groups)",
    )
    assert [tuple(row) for row in table.rows] == [
        ("identity", "2.00", "5.00", "9.00"),
        ("restored", "1.50, -0.50", "3.50, -1.50", "7.00, -2.00"),
    ]
    named = {(row.method, row.metric): row.mean for row in finding.summaries}
    assert named["restored", f"severity/natural/strong/{FITTED}"] == 7.0 and len(named) == 6
    first, *_, last = finding.section.lines
    assert first == (
        "'restored' against 'identity', fitted NIQE, images without truth: weak -0.50, middle -1.50, strong -2.00."
    )
    assert last == "The severity of 1 images without truth is not known." and finding.section.spoken == 1


def test_words_stay_in_their_order() -> None:
    graded: dict[str, tuple[float | str, str]] = {
        "a": ("severe", "p"),
        "b": ("mild", "p"),
        "c": ("Moderate", "q"),
        "d": ("mild", "r"),
        "e": ("cortical", "r"),
    }
    parts = parts_of(graded)
    assert [part.name for part in parts] == ["mild", "Moderate", "severe", "cortical"]
    assert parts[0].keys == {"b", "d"} and parts[0].title == "mild (2 images, 2 groups)"
    mixed = parts_of({**graded, "f": (1.0, "s"), "g": (2.0, "s"), "h": (3.0, "s")})
    assert [sorted(part.keys) for part in mixed] == [["f"], ["g"], ["h"]]


def test_what_is_known_of_a_case() -> None:
    nan = float("nan")
    asked = [{"severity": 2}, {"severity": "mild"}, {"severity": torch.tensor(0.5)}, {"label": "severe"}, {}]
    assert [severity_of(case("k", known)) for known in asked] == [2.0, "mild", 0.5, "severe", None]
    assert severity_of(case("k", {"severity": nan, "label": ""})) is None


def test_synthetic_strengths_are_parts_of_their_own() -> None:
    cases = [case(f"k{number}", {"severity": 1.0}, 0.1 * number) for number in range(6)]
    ours = [case("n0", {"severity": "mild"})]
    psnr = scored("psnr", {"identity": [30, 30, 20, 20, 10, 10], "restored": [31, 31, 22, 22, 13, 13]})
    finding = found([*cases, *ours], [*psnr, Score("identity", "n0", "gn0", FITTED, 3.0)])
    assert finding is not None
    (table,) = finding.section.tables
    assert table.rows[1] == ("restored", "31.00, +1.00", "22.00, +2.00", "13.00, +3.00")
    assert finding.section.lines[0].endswith("weak +1.00, middle +2.00, strong +3.00.")
    assert "images without truth: 1 images of one severity make no parts" in finding.section.lines
    assert {row.metric for row in finding.summaries} == {
        f"severity/synthetic/{part}/psnr" for part in ("weak", "middle", "strong")
    }


def test_nothing_where_no_severity_is_known() -> None:
    assert found([case("k0", {}), case("k1", {})], []) is None
    with pytest.raises(RuntimeError):
        Severity().finish([])
