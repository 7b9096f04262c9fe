"""Super-resolution tables end to end: every factor on 16-bit files, conventions said, lesion-focused rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finished_runs import CERVIX, finished_judge, finished_run
from PIL import Image

from medrestore.checkpoint import load_generator, save_generator
from medrestore.config import plain
from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import read_conditions
from medrestore.run import evaluate, make_data
from medrestore.run_directory import Run
from medrestore.study.assemble import Settings
from medrestore.study.build import build_study
from medrestore.study.manifest import REFERENCE, picture_path
from medrestore.tasks import load_judge, save_judge

_TESTED = 5  # groups, the fewest that have intervals
WINDOW = (0.31, 0.06)  # fifteen of 256 levels


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the time of an evaluation goes into pictures of cases, which nothing is asked about here."""
    monkeypatch.setattr("medrestore.evaluation.evaluate.case_views", lambda *arguments: [])


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Grey images of 16 bits whose sizes no factor divides; the lowest eight bits matter."""
    root = tmp_path / "slices"
    root.mkdir()
    for number in range(9):
        random = np.random.default_rng(number)
        coarse = random.uniform(0.3, 0.32, (13, 14)).repeat(8, 0).repeat(8, 1)[:101, :107]
        values = coarse + random.normal(0, 0.002, coarse.shape)
        Image.fromarray((values * 65535).astype(np.uint16)).save(root / f"{number}.png")
    return root


def sr_run(directory: Path, root: Path, scale: int, *overrides: str) -> Run:
    """Both stages, untrained: every weight of the second is moved a little, so that its row is no interpolation."""
    given = ["dataset=folder", f"dataset.root={root}", f"degradation.operator.scale={scale}"]
    window = f"sampling.window={list(WINDOW)}"
    parts = ["sampling.split.train=2", "sampling.split.val=2", f"sampling.split.test={_TESTED}", "sampling.crop=48"]
    run = finished_run(directory, "brain_sr", *given, *parts, window, "evaluation.lpips=trained", *overrides)
    generator, about = load_generator(directory)
    network = plain(run.config.model.generator)
    save_generator(directory / "pretrained.safetensors", generator, network, {**about, "scale": scale})
    moved(directory)
    return run


def moved(directory: Path, by: float = 0.01) -> None:
    generator, about = load_generator(directory)
    with torch.no_grad():
        for weight in generator.parameters():
            weight.add_(by)
    network = about.pop("network")
    save_generator(directory / "generator.safetensors", generator, network, {**about, "scale": network["scale"]})


def blocks(values: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """An image cut to a multiple of the factor, and the means of its blocks."""
    height, width = (size // scale * scale for size in values.shape)
    target = values[:height, :width]
    return target, target.reshape(height // scale, scale, width // scale, scale).mean((1, 3))


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_every_factor_on_sixteen_bits(scale: int, slices: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = sr_run(tmp_path / "run", slices, scale, "degradation.operator.kind=area")
    found = evaluate(run)
    by_row = {row.method: row for row in found.table if row.metric == "psnr"}
    assert list(by_row) == ["bicubic", "nearest", "bilinear", "lanczos", "pretrained", "restored"]
    assert all(row.n == _TESTED and row.low is not None for row in found.table if "psnr" in row.metric)
    expected = []
    for item in make_data(run.config, run.directory / "split.csv").items("test"):
        assert item.path is not None
        whole = np.asarray(Image.open(item.path)) / 65535
        target, small = blocks((whole - WINDOW[0] + WINDOW[1] / 2) / WINDOW[1], scale)
        expected.append(-10 * np.log10(np.mean((small.repeat(scale, 0).repeat(scale, 1) - target) ** 2)))
    assert by_row["nearest"].mean == pytest.approx(np.mean(expected), abs=2e-3)
    assert by_row["pretrained"].mean == pytest.approx(by_row["bicubic"].mean, abs=1e-3)  # it starts as bicubic
    assert by_row["restored"].mean != pytest.approx(by_row["bicubic"].mean, abs=1e-2)
    consistent = {row.method: row.mean or 0.0 for row in found.summaries if row.metric == "consistency/levels"}
    assert consistent["nearest"] == pytest.approx(0, abs=1e-3) and consistent["sharp"] == pytest.approx(0, abs=1e-3)
    assert consistent["restored"] > 10 * consistent["sharp"]
    told = " ".join(capsys.readouterr().out.split())
    assert f"low resolution: x{scale}, mean of blocks of {scale} x {scale} pixels, which antialiases" in told
    assert f"data range 1, one channel, no border cut, nothing rounded; images cut to a multiple of {scale}" in told
    assert "best interpolation on validation: " in told and "spectral distance" in told and "LPIPS (random)" not in told
    assert "not done: in none of the 5 images with truth a region is marked" in told


def test_an_image_smaller_than_the_factor_is_listed(slices: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 90), 9000, np.uint16)).save(slices / "strip.png")
    run = sr_run(tmp_path / "run", slices, 8, "evaluation.assessments={}")
    found = evaluate(run, [], "all", tmp_path / "out")
    assert len({score.key for score in found.scores}) == 9
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "strip.png" in report and "it has 90 x 5 pixels, fewer than the" in report


def test_an_evaluation_without_images_is_one_line(slices: Path, tmp_path: Path) -> None:
    run = sr_run(tmp_path / "run", slices, 2)
    with (run.directory / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (run.directory / "split.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "split": "train" if row["split"] == "test" else row["split"]} for row in rows)
    with pytest.raises(MedrestoreError, match=r"no readable image in the test part \(0 listed\)") as error:
        evaluate(run)
    assert "\n" not in str(error.value)


def test_a_lesion_focused_baseline_is_a_row_scored_inside_the_tumours(tmp_path: Path) -> None:
    small = ["dataset.patients=12", "dataset.slices_per_patient=1", "dataset.poor_slices_per_patient=0"]
    given = [*small, "dataset.size=96", "model.generator.channels=1", "degradation.operator.scale=4"]
    run = finished_run(tmp_path / "a", "brain_sr", *given, "sampling.split={train: 2, val: 2, test: 8}")
    other = finished_run(
        tmp_path / "b", "brain_sr", *given, "sampling.focus=region", "sampling.split={train: 2, val: 2, test: 8}"
    )
    moved(run.directory)
    moved(other.directory, 0.02)
    found = evaluate(run, baselines=[other.directory])
    kinds = {row.method: row.kind for row in found.table}
    assert kinds["lesion_focused"] == "learned" and list(kinds)[-2:] == ["lesion_focused", "restored"]
    inside: dict[str, Any] = {row.method: row for row in found.summaries if row.metric == "lesion/psnr"}
    data = make_data(run.config, run.directory / "split.csv")
    marked = [item for item in data.items("test") if data.source.load_mask(item) is not None]
    assert 0 < len(marked) < 8 and inside["bicubic"].n == inside["lesion_focused"].n == len(marked)
    (section,) = [section for section in found.sections if section.title == "Inside the marked regions"]
    assert f"nothing else in {8 - len(marked)} of 8 images" in section.lines[1]
    assert inside["lesion_focused"].mean != inside["lanczos"].mean


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_detector_proposes_the_regions_where_it_is_named(threshold: float, tmp_path: Path) -> None:
    given = [*CERVIX, "degradation=downsample", "degradation.operator.scale=2", "model.generator.scale=2"]
    shown = "++evaluation.assessments={lesion: {_target_: medrestore.evaluation.marked_regions.MarkedRegions}}"
    run = finished_run(tmp_path / "run", "cervix_regression", *given, shown, "sampling.focus=region")
    moved(run.directory)
    where = finished_judge(tmp_path / "detector", "cervix_lesion_detector", *CERVIX)
    detector, about = load_judge(where)
    detector.calibrated.fill_(threshold)  # all that it looks at, or nothing
    save_judge(where / "judge.safetensors", detector, about["judge"], {})
    found = evaluate(run, [f"evaluation.detector={where}"])
    means = {row.method: row.mean for row in found.table if row.metric == "psnr"}
    behind = {means[name] for name in ("bicubic", "nearest", "bilinear", "lanczos")}
    assert (means["lesion_focused"] in behind) == (threshold > 1)


def test_a_study_shows_the_interpolation_that_validation_chose_both_stages_and_the_truth(tmp_path: Path) -> None:
    given = ["dataset=ct_phantom", "dataset.patients=10", "dataset.slices_per_patient=1", "dataset.size=64"]
    parts = ["sampling.split={train: 2, val: 2, test: 6}", "sampling.window=soft_tissue", "model.generator.channels=1"]
    run = finished_run(tmp_path / "run", "brain_sr", *given, *parts, "degradation.operator.scale=2")
    generator, about = load_generator(run.directory)
    save_generator(run.directory / "pretrained.safetensors", generator, about["network"], {"scale": 2})
    evaluation = evaluate(run)
    assert read_conditions(run.directory / "evaluation/conditions.json")["metrics"]["lpips"] == "off"
    settings = Settings("Rating", "How good?", 0, 0.1, 1, 3, None, 4)
    study = build_study(run, tmp_path / "study", settings, scenes=4, methods=None)
    (best,) = [line for line in evaluation.sections[0].lines if line.startswith("Best interpolation")]
    names = [(row.name, row.note) for row in study.rows]
    chosen = best.rpartition(": ")[2].strip(".'")
    assert names == [
        (chosen, "best interpolation on validation"), ("pretrained", ""), ("restored", ""),
        (REFERENCE, "hidden reference"),
    ]  # fmt: skip
    assert study.run["paper"] == "S5" and study.run["window"] == "soft_tissue"
    data = make_data(run.config, run.directory / "split.csv")
    items = {item.key: item for item in data.items("test")}
    for stimulus in study.of("rated"):
        if stimulus.method == REFERENCE:
            hounsfield = data.source.load(items[stimulus.scene]).pixels[0].double().numpy()
            window = ((hounsfield - (50 - 175)) / 350).clip(0, 1)  # soft tissue: centre 50, width 350
            shown = np.asarray(Image.open(picture_path(tmp_path / "study", stimulus)))
            assert np.abs(shown - window * 255).max() <= 0.5 + 1e-3
