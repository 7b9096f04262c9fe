"""Scores without truth: what is taken where, what the section says of noise, and which regions the pictures show."""

import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation import no_reference_pictures
from medrestore.evaluation.assessment import Context, Finding
from medrestore.evaluation.case_kinds import kind_of
from medrestore.evaluation.domain_model import fit_to
from medrestore.evaluation.no_reference import NoReference
from medrestore.evaluation.no_reference_models import MODEL_FILE
from medrestore.evaluation.no_reference_pictures import Panels, field_centre, least_natural, repainted
from medrestore.evaluation.noise_control import noisy
from medrestore.evaluation.statistics import Score
from medrestore.imaging import Image
from medrestore.metrics import (
    NiqeModel,
    brisque,
    ciede2000,
    entropy,
    niqe,
    read_brisque_model,
    read_niqe_model,
    write_niqe_model,
)
from medrestore.metrics.niqe import niqe_sharp_rows

KINDS: dict[str, MethodKind] = {"identity": "reference", "clahe": "classical", "restored": "learned"}
PARAMS = Path(__file__).parents[3] / "shared" / "reference" / "params"
SIDE = 96  # nine blocks of 32 px


def texture(seed: int, side: int = SIDE) -> Tensor:
    """Structure at several scales, as a sharp image has."""
    generator = torch.Generator().manual_seed(seed)
    planes = [
        interpolate(torch.rand(1, 3, n, n, generator=generator), size=(side, side), mode="bicubic") for n in (6, 24, 48)
    ]
    return (0.5 * planes[0] + 0.3 * planes[1] + 0.2 * planes[2])[0].clamp(0, 1)


def case(number: int, truth: Tensor | None = None, mask: Tensor | None = None, groups: int = 6, **found) -> Case:
    image = avg_pool2d(texture(number)[None], 3, 1, 1)[0]
    record = Image(image, None, "intensity", None, Path("none.png"), None, None, {"format": "png", "bits": 8})
    description = {} if truth is None else {"type": "cataract", "strength": 0.5}
    return Case(f"k{number}", f"g{number % groups}", record, image, truth, mask, None, found, description)


def rows(image: Tensor) -> dict[str, Tensor]:
    return {"identity": image, "clahe": (1.2 * image - 0.1).clamp(0, 1), "restored": image.flip(0)}


def references() -> Iterator[tuple[Tensor, Tensor | None]]:
    return ((texture(100 + number), None) for number in range(14))


def context(output: Path, shown: str = "restored", sharp=references) -> Context:
    return Context(KINDS, "identity", shown, "auto", None, output, sharp)


def disc(side: int = SIDE) -> Tensor:
    """A disc cut by all sides: of nine blocks the five in a cross lie inside."""
    place = torch.arange(side) - (side - 1) / 2
    return (place[:, None].square() + place.square() <= (0.6 * side) ** 2)[None]


@pytest.fixture(autouse=True)
def quick_strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all scores; one test draws."""
    if "panels" not in request.node.name:
        monkeypatch.setattr(no_reference_pictures, "strip", lambda images, boxes, captions: b"")


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BRISQUE regression of two support vectors, in the published formats."""
    folder = tmp_path_factory.mktemp("brisque")
    header = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nnr_class 2\ntotal_sv 2\nrho -30\nSV\n"
    (folder / "allmodel").write_text(header + "20 1:0.5 3:-0.2\n-35 2:0.1 20:0.4\n", encoding="ascii")
    scaled = "".join(f"{number} -2 4\n" for number in range(1, 37))
    (folder / "allrange").write_text(f"x\n-1 1\n{scaled}", encoding="ascii")
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NIQE model that says nothing of itself, fitted to other textures with blocks of 32."""
    model = fit_to(lambda: ((texture(200 + number), None) for number in range(14)))
    return write_niqe_model(tmp_path_factory.mktemp("niqe") / "m.safetensors", NiqeModel(*_numbers(model)))


def _numbers(model: NiqeModel) -> tuple[Tensor, Tensor, int, float]:
    return model.mean, model.covariance, model.block, model.threshold


def judged(assessment: NoReference, asked: Context, cases: list[Case]) -> tuple[list[Score], Finding | None]:
    assessment.begin(asked)
    scores = [score for one in cases for score in assessment.observe(one, rows(one.degraded))]
    return scores, assessment.finish([*scores, Score("restored", "other", "p", "psnr", 30.0)])


def test_every_row_and_the_noise_control_inside_the_field(tmp_path: Path, regression: Path, published: Path) -> None:
    assessment = NoReference(str(published), str(regression), noise=0.02, seed=3)
    assessment.begin(context(tmp_path))
    one = case(1, mask=disc())
    images = rows(one.degraded)
    scores = assessment.observe(one, images)
    found = {(score.method, score.metric.removeprefix("no_reference/")): score.value for score in scores}
    assert len(found) == len(scores) == 4 * 5 and {score.key for score in scores} == {"k1"}
    fitted = read_niqe_model(tmp_path / MODEL_FILE)
    mask = disc()[None]
    for name, image in {**images, "noise_control": noisy(one.degraded, "k1", 0.02, 3)}.items():
        expected = {
            "brisque": brisque(image[None], params=read_brisque_model(regression), mask=mask),
            "niqe": niqe(image[None], params=read_niqe_model(published), mask=mask),
            "fitted_niqe": niqe(image[None], params=fitted, mask=mask),
            "entropy": entropy(image[None], mask=mask),
            "ciede2000_input": ciede2000(image[None], one.degraded[None], mask=mask),
        }
        for metric, value in expected.items():
            assert found[name, metric] == float(value), (name, metric)
    finding = assessment.finish(scores)
    assert finding is not None and any("median image has 5 whole blocks" in line for line in finding.section.lines)
    assert found["identity", "ciede2000_input"] == 0 < found["noise_control", "ciede2000_input"]
    assert found["identity", "entropy"] != float(entropy(one.degraded[None]))


def test_without_parameters_the_columns_say_so_and_the_rest_is_taken(tmp_path: Path) -> None:
    scores, finding = judged(NoReference(), context(tmp_path), [case(number) for number in range(6)])
    assert {score.metric for score in scores} == {
        f"no_reference/{name}" for name in ("fitted_niqe", "entropy", "ciede2000_input")
    }
    assert finding is not None
    table = finding.section.tables[0]
    lines = {line[0]: line for line in table.rows}
    assert list(lines) == ["identity", "clahe", "restored", "noise_control"]
    for line in table.rows:
        assert line[2] == line[3] == "parameters not given" and line[-1] == "6"
    assert lines["restored"][4] != "not available"
    assert lines["identity"][6] == "0.00 [0.00, 0.00]"
    spoken = " ".join(finding.section.lines[: finding.section.spoken])
    assert "metrics.niqe_params=FILE.mat" in spoken and "metrics.brisque_params=DIR" in spoken


def test_files_of_the_wrong_kind_are_said_and_the_run_goes_on(tmp_path: Path) -> None:
    wrong = tmp_path / "photograph.png"
    wrong.write_bytes(b"no model")
    assessment = NoReference(niqe_params=str(wrong), brisque_params=str(tmp_path), fitted_niqe=str(tmp_path / "none"))
    scores, finding = judged(assessment, context(tmp_path), [case(0)])
    assert finding is not None and {score.metric for score in scores} == {
        "no_reference/entropy",
        "no_reference/ciede2000_input",
    }
    assert {tuple(line[2:5]) for line in finding.section.tables[0].rows} == {("parameters not usable",) * 3}
    spoken = "\n".join(finding.section.lines[: finding.section.spoken])
    assert "photograph.png is no NIQE model by its name" in spoken and "no NIQE model at" in spoken
    assert "BRISQUE needs one file *allmodel" in spoken


def test_the_fitted_model_is_that_of_all_blocks_of_the_training_images(tmp_path: Path) -> None:
    images = [(texture(number), disc() if number % 2 else None) for number in range(24)]
    model = fit_to(lambda: iter(images))
    features = torch.cat(
        [niqe_sharp_rows(image[None], 32, 0.0, mask=None if mask is None else mask[None]) for image, mask in images]
    )
    assert model.block == 32 and model.about["images"] == 24 and model.about["blocks"] == len(features) >= 100
    torch.testing.assert_close(model.mean, features.mean(0))
    torch.testing.assert_close(model.covariance, torch.cov(features.T))
    with pytest.raises(MedrestoreError, match=r"^99 usable blocks of 32 px in 11 sharp images are too few .* type "):
        fit_to(lambda: iter(images[::2][:11]))
    with pytest.raises(MedrestoreError, match=r"^0 usable blocks"):
        fit_to(lambda: iter([]))


@pytest.mark.parametrize("sharp", [None, lambda: iter([(texture(0), None)])])
def test_where_nothing_can_be_fitted_the_column_says_so(tmp_path: Path, sharp) -> None:
    scores, finding = judged(NoReference(), context(tmp_path, sharp=sharp), [case(0)])
    assert finding is not None and "no_reference/fitted_niqe" not in {score.metric for score in scores}
    assert {line[4] for line in finding.section.tables[0].rows} == {"not fitted"}
    assert any(line.startswith("fitted NIQE: not fitted; ") for line in finding.section.lines)
    assert not (tmp_path / MODEL_FILE).exists()
    _, without = judged(NoReference(fitted_niqe=None), context(tmp_path, sharp=sharp), [case(0)])
    assert without is not None and not any("fitted" in head for head in without.section.tables[0].header)


def test_images_that_a_model_was_fitted_on_are_not_scored_by_it(tmp_path: Path) -> None:
    model = fit_to(references)
    about = {"collection": "ours", "keys": ["k2"], "groups": ["g1"], "images": 14, "blocks": 126}
    path = write_niqe_model(tmp_path / "own.safetensors", NiqeModel(*_numbers(model), about))
    assessment = NoReference(fitted_niqe=str(path))
    scores, finding = judged(assessment, context(tmp_path), [case(number, groups=9) for number in range(4)])
    keys = {score.key for score in scores if score.metric == "no_reference/fitted_niqe"}
    assert keys == {"k0", "k3"} and {score.key for score in scores} == {"k0", "k1", "k2", "k3"}
    assert finding is not None and "fitted NIQE (ours) ↓" in finding.section.tables[0].header
    assert any(
        "2 images are not scored, because the model was fitted on them" in line for line in finding.section.lines
    )


def made_up(values: Mapping[str, Mapping[str, float]], output: Path, shown: str = "restored") -> str:
    """What is said for chosen means of six patients."""
    assessment = NoReference()
    assessment.begin(context(output, shown))
    scores = [
        Score(name, f"k{number}", f"g{number}", f"no_reference/{metric}", value + number)
        for metric, by_row in values.items()
        for name, value in by_row.items()
        for number in range(6)
    ]
    finding = assessment.finish(scores)
    assert finding is not None
    return " ".join(finding.section.lines[: finding.section.spoken])


def test_the_noise_control_stands_beside_every_score_that_rewards_it(tmp_path: Path) -> None:
    said = made_up(
        {
            "brisque": {"identity": 50, "restored": 40, "noise_control": 32},
            "niqe": {"identity": 9, "restored": 6, "noise_control": 11},
            "fitted_niqe": {"identity": 8, "restored": 4, "noise_control": 7},
            "entropy": {"identity": 5, "restored": 5.5, "noise_control": 5.25},
            "ciede2000_input": {"identity": 0, "restored": 3, "noise_control": 1},
        },
        tmp_path,
    )
    assert "BRISQUE rewards noise: the input plus slight Gaussian noise (SD 3 of 255 grey levels)" in said
    assert "differs from the input by -18.00 (95 % interval -18.00 to -18.00)" in said
    assert "'restored' does no better than this noise: its BRISQUE is no evidence of a restoration" in said
    assert "Fitted NIQE rewards noise" in said and "'restored' minus noise control -3.00" in said
    assert "Entropy rewards noise" in said and "+0.25" in said
    assert said.count("'restored' does better than this noise; by detail or by invented texture") == 2
    assert "NIQE rewards noise" in said and "no better than the input by NIQE +2.00" in said
    assert "BRISQUE 52.50 to 42.50, -10.00" in said and "it changes colours by 5.50 of CIEDE2000" in said


def test_without_a_learned_row_only_the_control_is_told(tmp_path: Path) -> None:
    values = {
        "brisque": {"identity": 50.0, "noise_control": 32.0},
        "entropy": {"identity": 5.0, "noise_control": 5.0},
    }
    said = made_up(values, tmp_path, shown="identity")
    assert "BRISQUE rewards noise" in said and "minus" not in said and "evidence" not in said
    assert "no better than the input by entropy +0.00" in said
    _, finding = judged(NoReference(), context(tmp_path, shown="identity"), [case(0), case(1)])
    assert finding is not None and len(finding.section.pictures) == 1


def test_images_with_truth_have_a_colour_difference_to_it(tmp_path: Path) -> None:
    truth = texture(5)
    made = case(5, truth)
    pair = case(6, truth)
    pair.description = {}
    assert [kind_of(one) for one in (case(0), made, pair)] == ["natural", "synthetic", "pair"]
    pair.image.metadata["registration_correlation"] = 0.9
    assert kind_of(pair) == "registered"
    scores, finding = judged(NoReference(), context(tmp_path), [made, pair])
    assert {(score.key, score.metric) for score in scores} == {("k5", "no_reference/ciede2000_synthetic")}
    values = {score.method: score.value for score in scores}
    assert values["restored"] == float(ciede2000(made.degraded.flip(0)[None], truth[None])) and len(values) == 3
    assert finding is not None and len(finding.section.tables) == 1
    _, mixed = judged(NoReference(), context(tmp_path), [made, case(0)])
    assert mixed is not None and [len(table.rows) for table in mixed.section.tables] == [4, 3]
    assert "1 images of 1 groups" in mixed.section.lines[0]
    nothing, none = judged(NoReference(), context(tmp_path), [pair])
    assert nothing == [] and none is None


def test_an_image_without_a_block_is_left_out_of_niqe_alone(tmp_path: Path) -> None:
    narrow = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    narrow[:, 20:60, 20:60] = True
    empty = narrow & False
    scores, finding = judged(NoReference(), context(tmp_path), [case(0), case(1, mask=narrow), case(2, mask=empty)])
    values = {(score.metric, score.key): score.value for score in scores if score.method == "identity"}
    assert math.isfinite(values["no_reference/fitted_niqe", "k0"])
    assert math.isnan(values["no_reference/fitted_niqe", "k1"])
    assert math.isfinite(values["no_reference/entropy", "k1"]) and math.isnan(values["no_reference/entropy", "k2"])
    assert finding is not None and "(2 left out)" in finding.section.tables[0].rows[0][4]
    assert (
        "fitted NIQE: the median image has 0 whole blocks of 32 px that count; under 37 it is rough, under 2 there is "
        "none (2 images)."
    ) in finding.section.lines


def test_the_repainted_region_is_found() -> None:
    before = texture(0, 80)
    after = before.clone()
    after[2, 48:64, 8:24] = 0  # blue is gone
    inside = torch.ones(1, 80, 80, dtype=torch.bool)
    region = repainted(before, after, inside, 16)
    assert region.box == (48, 8, 16, 16)
    part = (slice(None), slice(48, 64), slice(8, 24))
    assert region.value == pytest.approx(float(ciede2000(before[part][None], after[part][None])))
    inside[:, 40:] = False
    assert repainted(before, after, inside, 16).value == 0
    large = interpolate(before[None], scale_factor=10, mode="nearest")[0]
    painted = interpolate(after[None], scale_factor=10, mode="nearest")[0]
    found = repainted(large, painted, torch.ones(1, 800, 800, dtype=torch.bool), 100)
    assert 480 <= found.box.top <= 540 and 80 <= found.box.left <= 140 and found.box.height == 100


def test_the_least_natural_block_and_the_centre_of_the_field() -> None:
    model = fit_to(references)
    image = texture(3)
    image[:, 32:64, 64:96] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    inside = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    region = least_natural(image, inside, model)
    assert region is not None and region.box == (32, 64, 32, 32)
    inside[:, 50, 70] = False
    other = least_natural(image, inside, model)
    assert other is not None and other.box != region.box and other.value < region.value
    assert least_natural(image, inside & False, model) is None
    field = torch.zeros(1, 100, 200, dtype=torch.bool)
    field[:, 10:50, 120:180] = True
    assert field_centre(torch.zeros(3, 100, 200), field, 20) == (20, 140, 20, 20)


def test_panels_are_the_first_image_and_the_worst_of_each_kind() -> None:
    panels = Panels("identity", "restored", fit_to(references))
    image = texture(0)
    for number, change in enumerate((0.02, 0.2, 0.05, 0.1)):
        images = {"identity": image, "clahe": image, "restored": (image - change).clamp(0, 1)}
        panels.add(f"k{number}", images, disc(), {"restored": "entropy 5"})
    panels.add("nothing", {"identity": image, "restored": image * 0}, disc() & False, {})
    drawn = panels.chosen()
    captions = [caption for _, _, caption in drawn]
    assert [caption.split(",")[0] for caption in captions[:3]] == ["k0", "k1", "k3"] and len(drawn) == 5
    assert "the first image" in captions[0] and "repaints a region by CIEDE2000" in captions[1]
    assert all("of the NIQE model" in caption for caption in captions[3:])
    for data, _, _ in drawn:
        shown = PillowImage.open(io.BytesIO(data))
        assert shown.format == "PNG" and shown.width > 3 * 200


@pytest.mark.skipif(not PARAMS.is_dir(), reason="the published parameters are not beside the repository")
def test_published_parameters(tmp_path: Path) -> None:
    one = case(0)
    one.degraded = texture(0, 192)
    assessment = NoReference(str(PARAMS / "live_niqe.mat"), str(PARAMS), fitted_niqe=None)
    scores, finding = judged(assessment, context(tmp_path), [one])
    values = {(score.method, score.metric): score.value for score in scores}
    assert values["identity", "no_reference/niqe"] == float(niqe(one.degraded[None], params=PARAMS / "live_niqe.mat"))
    assert values["identity", "no_reference/brisque"] == float(brisque(one.degraded[None], params=PARAMS))
    assert finding is not None and "NIQE (LIVE, natural-image scale) ↓" in finding.section.tables[0].header


def test_wrong_noise_is_named() -> None:
    for noise in (0.0, -0.1, 2.0):
        with pytest.raises(MedrestoreError, match=r"type evaluation\.assessments\.no_reference\.noise="):
            NoReference(noise=noise)
