"""Scores by blur strength, and the pictures of spectra and differences."""

from pathlib import Path

import pytest
import torch

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.spectra import Spectra, log_magnitude, magnitude_spectra, output_difference
from medrestore.evaluation.statistics import Score
from medrestore.evaluation.strata import BlurStrata, thirds

KINDS = {"identity": "reference", "wiener": "classical", "restored": "learned"}


def context(kinds=None, shown="restored") -> Context:
    return Context(kinds or KINDS, "identity", shown, "none", None, Path())  # type: ignore[arg-type]


def case(key: str, strength: float | None, group: str = "g", truth: bool = True) -> Case:
    description = {} if strength is None else {"type": "motion", "rms_radius": strength}
    target = torch.zeros(1, 4, 4) if truth else None
    return Case(key, group, None, torch.zeros(1, 4, 4), target, None, None, {}, description)  # type: ignore[arg-type]


def seen(strengths) -> BlurStrata:
    assessment = BlurStrata()
    assessment.begin(context())
    for number, strength in enumerate(strengths):
        assert assessment.observe(case(f"k{number}", strength, f"g{number}"), {}) == []
    return assessment


def test_thirds_of_nine():
    values = [5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0]
    parts = thirds({f"k{value:g}": (value, "g" if value < 3 else "h") for value in values})
    assert [(part.name, part.low, part.high, len(part.keys), part.groups) for part in parts] == [
        ("weak", 1.0, 3.0, 3, 2),
        ("middle", 4.0, 6.0, 3, 1),
        ("strong", 7.0, 9.0, 3, 1),
    ]
    assert parts[0].keys == {"k1", "k2", "k3"}


def test_equal_strengths_stay_together():
    parts = thirds({str(n): (value, "g") for n, value in enumerate([1, 1, 1, 1, 2, 3, 3])})
    assert [sorted(part.keys) for part in parts] == [["0", "1", "2", "3"], ["4"], ["5", "6"]]
    assert len(thirds({str(n): (2.0, "g") for n in range(6)})) == 1


def scores(metric: str, values: dict[str, list[float]]) -> list[Score]:
    return [
        Score(method, f"k{number}", f"g{number}", metric, value)
        for method, row in values.items()
        for number, value in enumerate(row)
    ]


def test_means_of_each_third():
    assessment = seen([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    psnr = scores("psnr", {"identity": [30, 28, 26, 24, 22, 20], "restored": [31, 29, 28, 26, 25, 23]})
    ssim = scores("ssim", {"identity": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]})
    other = scores("piqe", {"identity": [1.0] * 6}) + scores("psnr", {"sharp": [9.0] * 6})
    found = assessment.finish([*psnr, *ssim, *other])
    assert found is not None
    table, second = found.section.tables
    assert list(table.header) == ["row", "weak, 1.00 to 2.00 px", "middle, 3.00 to 4.00 px", "strong, 5.00 to 6.00 px"]
    assert [list(row) for row in table.rows] == [
        ["identity"] + [f"{mean} [interval not available]" for mean in ("29.00", "25.00", "21.00")],
        ["restored"]
        + [
            f"{mean} [interval not available], +{gain}"
            for mean, gain in (("30.00", "1.00"), ("27.00", "2.00"), ("24.00", "3.00"))
        ],
    ]
    assert [row[0] for row in second.rows] == ["identity"] and second.rows[0][1].startswith("0.8500")
    by_name = {(row.method, row.metric): row for row in found.summaries}
    assert by_name["restored", "strata/strong/psnr"].mean == 24 and by_name["identity", "strata/weak/ssim"].n == 2
    assert len(by_name) == 9
    assert "weak blur +1.00, middle blur +2.00, strong blur +3.00" in found.section.lines[0]
    assert found.section.spoken == 1 and "weak 1.00 to 2.00 px (2 images, 2 groups)" in found.section.lines[1]


def test_an_interval_where_there_are_five_groups():
    assessment = seen([float(n) for n in range(15)])
    found = assessment.finish(scores("psnr", {"identity": [30.0] * 15}))
    assert found is not None and found.section.tables[0].rows[0][1] == "30.00 [30.00, 30.00]"


def test_too_few_strengths_and_none_at_all():
    found = seen([2.0] * 6).finish(scores("psnr", {"identity": [30.0] * 6}))
    assert found is not None and found.section.lines[0].startswith("not available") and not found.summaries
    assert seen([None, None]).finish([]) is None
    assessment = seen([])
    assessment.observe(case("k", 2.0, truth=False), {})
    assert assessment.finish([]) is None


def test_the_spectrum_of_a_wave():
    """A cosine of 8 periods over 64 columns: peaks 8 columns beside the middle, of half its energy each."""
    wave = 0.5 + 0.4 * torch.cos(2 * torch.pi * 8 * torch.arange(64) / 64)
    plane = log_magnitude(wave.expand(3, 48, 64))
    assert plane.shape == (48, 64)
    row, column = divmod(int(plane.argmax()), 64)
    assert row == 24 and column in (24, 40) and plane[24, 24] == pytest.approx(float(plane[24, 40]))
    assert float(log_magnitude(torch.full((1, 8, 8), 0.7)).max()) == pytest.approx(0, abs=1e-9)


def test_the_difference_of_two_outputs():
    first, second = torch.full((1, 2, 2), 0.5), torch.tensor([[[0.5, 0.45], [0.55, 0.0]]])
    expected = torch.tensor([[[0.0, 0.4], [0.4, 1.0]]])
    assert torch.allclose(output_difference(first, second, 8), expected, atol=1e-6)


def test_pictures_of_one_case():
    torch.manual_seed(0)
    kinds = {"identity": "reference", "base": "learned", "restored": "learned"}
    images = {name: torch.rand(3, 24, 32) for name in kinds}
    assessment = Spectra()
    assessment.begin(context(kinds))
    blank = case("first", None, truth=False)
    assert assessment.observe(blank, images) == [] and assessment.finish([]) is None
    for key in ("second", "third"):
        one = case(key, 2.5)
        one.target = torch.rand(3, 24, 32)
        assessment.observe(one, images)
    found = assessment.finish([])
    assert found is not None
    (spectra, difference) = found.section.pictures
    assert spectra[0].startswith(b"\x89PNG") and spectra[2].startswith("second, blur of 2.50 px")
    assert difference[0].startswith(b"\xff\xd8") and "|'restored' - 'base'|, 8 times" in difference[2]
    assert magnitude_spectra(images) == magnitude_spectra(images)


def test_the_case_can_be_chosen_and_one_model_has_no_difference():
    assessment = Spectra(key="third")
    assessment.begin(context())
    for key in ("second", "third"):
        one = case(key, 2.5)
        assessment.observe(one, {name: torch.rand(1, 4, 4) for name in KINDS})
    found = assessment.finish([])
    assert found is not None and len(found.section.pictures) == 1 and found.section.pictures[0][2].startswith("third")
