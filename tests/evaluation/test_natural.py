"""Images without truth: which scores are taken, what the section says, and that the noise control stands beside it."""

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context, Finding
from medrestore.evaluation.natural import NaturalImages
from medrestore.evaluation.natural_pictures import Examples
from medrestore.evaluation.statistics import Score
from medrestore.imaging import Image
from medrestore.metrics import PIQE_BANDS, piqe

KINDS: dict[str, MethodKind] = {"identity": "reference", "unsharp": "classical", "restored": "learned"}


def texture(seed: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 12, 16, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(48, 64), mode="bicubic")[0].clamp(0, 1)


def case(number: int, groups: int = 6, truth: bool = False, mask: Tensor | None = None, channels: int = 3) -> Case:
    image = texture(number, channels)
    return Case(
        key=f"image-{number}",
        group=f"patient-{number % groups}",
        image=Image(image, None, "intensity", None, Path("none.png"), None, None, {"format": "png", "bits": 8}),
        degraded=image,
        target=image if truth else None,
        mask=mask,
        kernel=None,
        annotations={},
        description={},
    )


def rows(image: Tensor) -> dict[str, Tensor]:
    """The input, one that is flat (PIQE 100), and one that is smoother than the input."""
    return {"identity": image, "unsharp": torch.full_like(image, 0.5), "restored": avg_pool2d(image, 3, 1, 1)}


def context(tmp_path: Path, kinds: Mapping[str, MethodKind] = KINDS, shown: str = "restored") -> Context:
    return Context(kinds=kinds, reference="identity", shown=shown, window="auto", judge=None, output=tmp_path)


def evaluated(natural: NaturalImages, asked: Context, cases: list[Case]) -> tuple[list[Score], Finding | None]:
    natural.begin(asked)
    scores = [
        score
        for one in cases
        for score in natural.observe(one, {n: i for n, i in rows(one.degraded).items() if n in asked.kinds})
    ]
    return scores, natural.finish([*scores, Score("restored", "other", "p", "psnr", 30.0)])


def test_every_row_and_the_noise_control_are_scored(tmp_path: Path) -> None:
    natural = NaturalImages(noise=0.02, seed=3)
    natural.begin(context(tmp_path))
    one = case(1)
    images = rows(one.degraded)
    scores = natural.observe(one, images)
    assert [score.method for score in scores] == ["identity", "unsharp", "restored", "noise_control"]
    assert {score.metric for score in scores} == {"natural/piqe"}
    assert {(score.key, score.group) for score in scores} == {("image-1", "patient-1")}
    for score in scores[:3]:
        assert score.value == float(piqe(images[score.method][None]))
    assert scores[1].value == 100.0 and scores[3].value != scores[0].value


def test_the_noise_is_slight_and_hangs_on_the_key_alone(tmp_path: Path) -> None:
    cases = [case(number) for number in range(4)]
    first, _ = evaluated(NaturalImages(), context(tmp_path), cases)
    second, _ = evaluated(NaturalImages(), context(tmp_path), cases[::-1])
    assert sorted(first) == sorted(second)
    other, _ = evaluated(NaturalImages(seed=1), context(tmp_path), cases)
    assert sorted(first) != sorted(other)
    natural = NaturalImages(noise=2 / 255)
    middle = torch.full((3, 64, 64), 0.5)
    noisy = natural._noisy(middle, "a") - middle
    assert float(noisy.std()) == pytest.approx(2 / 255, rel=0.05) and abs(float(noisy.mean())) < 3e-4
    assert not torch.equal(natural._noisy(middle, "b") - middle, noisy)


def test_cases_with_truth_are_none_of_its_business(tmp_path: Path) -> None:
    scores, finding = evaluated(NaturalImages(), context(tmp_path), [case(number, truth=True) for number in range(3)])
    assert scores == [] and finding is None
    mixed, found = evaluated(NaturalImages(), context(tmp_path), [case(0, truth=True), case(1)])
    assert {score.key for score in mixed} == {"image-1"} and found is not None


def made_up(natural: NaturalImages, asked: Context, values: Mapping[str, list[float]]) -> Finding:
    """The section for chosen scores, image by image, each its own patient."""
    natural.begin(asked)
    scores = [
        Score(name, f"image-{number}", f"patient-{number}", "natural/piqe", value)
        for name, found in values.items()
        for number, value in enumerate(found)
    ]
    finding = natural.finish(scores)
    assert finding is not None
    return finding


def test_steps_bands_and_differences_by_hand(tmp_path: Path) -> None:
    finding = made_up(
        NaturalImages(),
        context(tmp_path),
        {
            "identity": [60.0, 60.0, 70.0, 90.0, 40.0, 10.0],
            "unsharp": [60.0] * 6,
            "restored": [10.0, 30.0, 65.0, 15.0, 60.0, 19.0],
            "noise_control": [50.0, 50.0, 60.0, 80.0, 30.0, 0.0],
        },
    )
    scores, steps, restored, control = finding.section.tables
    table = {row[0]: row for row in scores.rows}
    assert table["identity"][1:4] == ("reference", "55.00", "27.39") and table["identity"][5:] == (
        "reference row",
        "Poor",
        "6",
    )
    assert table["restored"][1:4] == ("learned", "33.17", "23.71") and table["restored"][6:] == ("Good", "6")
    assert table["restored"][5].startswith("-21.83 (95 % interval -")
    assert table["noise_control"][1] == "control" and table["noise_control"][5].startswith(
        "-10.00 (95 % interval -10.00"
    )
    assert steps.header == ("steps", "restored", "noise_control")
    assert [tuple(row) for row in steps.rows] == [
        ("4 steps better", "1", "0"),
        ("3 steps better", "1", "0"),
        ("2 steps better", "1", "0"),
        ("1 step better", "0", "4"),
        ("no step", "2", "2"),
        ("1 step WORSE", "1", "0"),
    ]
    assert restored.header == ("before", *PIQE_BANDS)
    assert [tuple(row) for row in restored.rows] == [
        ("Excellent", "1", "0", "0", "0", "0"),
        ("Good", "0", "0", "0", "0", "0"),
        ("Fair", "0", "0", "0", "1", "0"),
        ("Poor", "1", "1", "0", "1", "0"),
        ("Bad", "1", "0", "0", "0", "0"),
    ]
    assert "'noise_control'" in control.caption
    text = " ".join(finding.section.lines)
    assert "6 images of 6 groups" in text
    assert (
        '55.00 ± 27.39, "Poor" (natural-image scale)' in text and '33.17 ± 23.71, "Good" (natural-image scale)' in text
    )
    assert "The band of the mean moves 2 steps better (natural-image scale)." in text
    assert "PIQE rewards noise" in text and "(SD 2 of 255 grey levels)" in text and '45.00 ± 27.39, "Fair"' in text
    assert "These images do not show that 'restored' does better than this noise" in text
    assert "'restored' moves 3 to a better band, 1 to a worse one and 2 to none" in text


@pytest.mark.parametrize(
    ("restored", "control", "said"),
    [
        (20.0, 40.0, "'restored' lies below this noise; whether by detail or by texture it invents, PIQE cannot tell"),
        (50.0, 40.0, "'restored' does no better than this noise: its PIQE is no evidence of a restoration"),
        (40.0, 70.0, "PIQE can reward noise; on these images it does not"),
    ],
)
def test_the_noise_control_stands_beside_the_claim(tmp_path: Path, restored: float, control: float, said: str) -> None:
    wobble = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    values = {
        name: [value + extra for extra in wobble]
        for name, value in {"identity": 60.0, "restored": restored, "noise_control": control}.items()
    }
    section = made_up(NaturalImages(), context(tmp_path), values).section
    spoken = section.lines[: section.spoken]
    assert said in " ".join(spoken)
    assert f"difference to the input {control - 60:+.2f}" in " ".join(spoken)


def test_below_five_groups_nothing_is_claimed_about_others(tmp_path: Path) -> None:
    _, finding = evaluated(NaturalImages(), context(tmp_path), [case(number, groups=4) for number in range(8)])
    assert finding is not None
    text = " ".join(finding.section.lines)
    assert "8 images of 4 groups" in text
    assert "(interval not available: fewer than 5 groups)" in text and "95 % interval" not in text
    assert {row[4] for row in finding.section.tables[0].rows} == {"not available"}


def test_no_band_is_named_without_its_scale(tmp_path: Path) -> None:
    _, finding = evaluated(NaturalImages(), context(tmp_path), [case(number) for number in range(6)])
    assert finding is not None
    section = finding.section
    for text in [*section.lines, *(caption for _, _, caption in section.pictures)]:
        sentences = re.split(r"(?<=\.)\s|;", text)
        named = [part for part in sentences if any(f'"{band}"' in part for band in PIQE_BANDS)]
        assert all("natural-image scale" in part for part in named)
    for table in section.tables:
        cells = {cell for row in table.rows for cell in row}
        if cells & set(PIQE_BANDS):
            assert "natural-image scale" in table.caption + " ".join(table.header)


def test_pictures_are_a_histogram_and_pairs_with_their_scores(tmp_path: Path) -> None:
    scores, finding = evaluated(NaturalImages(), context(tmp_path), [case(number) for number in range(6)])
    assert finding is not None
    values = {(score.method, score.key): score.value for score in scores}
    changes = {key: values["restored", key] - before for (name, key), before in values.items() if name == "identity"}
    histogram, *pairs = finding.section.pictures
    assert histogram[0].startswith(b"\x89PNG") and 4 <= len(pairs) <= 6 and len(pairs) % 2 == 0
    for data, _, caption in pairs:
        key, name = caption.split(",")[0], caption.split("'")[1]
        assert f"PIQE {values[name, key]:.2f}, " in caption
        assert PillowImage.open(io.BytesIO(data)).size == (64, 48)
    extreme = max(changes, key=lambda key: abs(changes[key]))
    assert any(caption.startswith(f"{extreme}, ") for _, _, caption in pairs)


def test_examples_keep_the_extremes_and_the_median_but_few_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    changes = (torch.rand(101, generator=generator) * 100 - 70).tolist()
    examples = Examples()
    image = torch.zeros(3, 8, 8)
    for number, change in enumerate(changes):
        examples.add(f"image-{number}", (70.0, 70.0 + change), (image, image))
    examples.add("nothing", (70.0, float("nan")), (image, image))
    assert len(examples._kept) == 9
    found = dict(examples.chosen())
    assert found["largest fall"].change == pytest.approx(min(changes))
    assert found["largest rise"].change == pytest.approx(max(changes))
    # 50 of 101 lie on either side; the median so far wanders, so a neighbour may have been dropped
    rank = sum(change < found["median change"].change for change in changes)
    assert 45 <= rank <= 55
    few = Examples()
    for number in range(5):
        few.add(f"image-{number}", (50.0, 50.0 - number), (image, image))
    assert [(reason, example.key) for reason, example in few.chosen()] == [
        ("median change", "image-2"),
        ("largest fall", "image-4"),
    ]


def test_without_a_learned_row_only_the_control_is_told(tmp_path: Path) -> None:
    kinds: dict[str, MethodKind] = {"identity": "reference", "unsharp": "classical"}
    asked = context(tmp_path, kinds, shown="identity")
    _, finding = evaluated(NaturalImages(), asked, [case(number) for number in range(6)])
    assert finding is not None
    assert finding.section.tables[1].header == ("steps", "noise_control")
    assert len(finding.section.pictures) == 1 and "after" not in " ".join(finding.section.lines)


def test_grey_images_and_masks(tmp_path: Path) -> None:
    mask = torch.zeros(1, 48, 64, dtype=torch.bool)
    mask[:, :32, :32] = True
    whole = torch.ones_like(mask)
    cases = [case(0, channels=1, mask=mask), case(1, channels=1, mask=whole), case(2, channels=1, mask=mask & False)]
    scores, finding = evaluated(NaturalImages(), context(tmp_path), cases)
    values = {(score.method, score.key): score.value for score in scores}
    degraded = cases[0].degraded[None]
    assert values["identity", "image-0"] == float(piqe(degraded, mask=mask[None])) != float(piqe(degraded))
    assert values["identity", "image-1"] == pytest.approx(float(piqe(cases[1].degraded[None])), abs=1e-12)
    assert math.isnan(values["identity", "image-2"])
    assert finding is not None
    assert "2 have a mask" in finding.section.lines[0] and "1 hold no such block" in finding.section.lines[0]
    assert {row[-1] for row in finding.section.tables[0].rows} == {"2"}
    _, nothing = evaluated(NaturalImages(), context(tmp_path), [cases[2]])
    assert nothing is not None and "not available" in " ".join(nothing.section.lines)


def test_wrong_noise_is_named() -> None:
    for noise in (0.0, -0.1, 2.0):
        with pytest.raises(MedrestoreError, match=r"type evaluation\.assessments\.natural\.noise=0\.008"):
            NaturalImages(noise=noise)
