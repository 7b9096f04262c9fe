"""Bad fundus photographs, domains and parameter files through the commands: one line each, and the rest goes on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_eyes import retina, save
from finished_runs import configured, finished_run
from natural_scores import niqe_model

from medrestore.errors import MedrestoreError
from medrestore.fit_niqe import fit_niqe
from medrestore.inspect_data import inspect_data
from medrestore.metrics import write_niqe_model
from medrestore.run import evaluate, make_data, train

BAD = {
    "black.png": "no field of view is visible: the image is black",
    "full.png": "no field of view is visible: 0 of the 4 corners of the image are dark",
    "grey.png": "it has one colour channel, a fundus photograph has three",
    "small.png": "it has 95 x 95 pixels, at least 96 a side are needed",
    "twin.png": "the same file is among the cataract photographs",
}


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    """Two domains of good photographs, one of them with text in a corner, and one bad photograph of each kind."""
    root = tmp_path / "eyes"
    for number in range(6):
        save(root / f"source/{number}_left.png", retina(veil=0.4, seed=number))
        save(root / f"target/{10 + number}_left.png", retina(seed=10 + number))
    burnt = retina(seed=30)
    burnt[3:9, 3:27] = np.random.default_rng(0).integers(0, 2, (6, 24, 1))
    save(root / "target/burnt.png", burnt)
    save(root / "target/black.png", np.zeros((128, 128, 3)))
    save(root / "target/full.png", np.random.default_rng(0).uniform(0.4, 0.6, (128, 128, 3)))
    save(root / "target/grey.png", retina(seed=31)[..., 0])
    save(root / "target/small.png", retina(side=95, seed=32))
    shutil.copy(root / "source/0_left.png", root / "target/twin.png")
    return root


def domains(root: Path) -> list[str]:
    return ["dataset=fundus", f"dataset.source={root / 'source'}", f"dataset.target={root / 'target'}"]


def command(monkeypatch: pytest.MonkeyPatch, which: Callable[[], None], *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["medrestore", *arguments])
    with pytest.raises(SystemExit) as ended:
        which()
    return int(str(ended.value.code))


def test_a_training_lists_bad_photographs_and_goes_on_with_the_others(
    tmp_path: Path, eyes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["epochs=1", "evaluation.run=false", "callbacks.sample_images=0", "model.critic.width=8"]
    run = train(configured("retina_enhance", *domains(eyes), *short), tmp_path / "run")
    assert (run.directory / "generator.safetensors").is_file()
    told = capsys.readouterr().err
    assert all(f"{name}: " in told and reason in told for name, reason in BAD.items()), told
    data = make_data(run.config, run.directory / "split.csv")
    data.prepare("all")
    assert {entry.name for entry in data.left_out} == set(BAD)
    kept = {item.path.name: item for item in data.items("all", None) if item.path is not None}
    assert len(kept) == 13
    mask = data.case(kept["burnt.png"]).mask  # what is written in the corner is no part of the eye
    assert mask is not None and not bool(mask[:, :10, :28].any()) and bool(mask[:, 64, 64])


def test_inspect_data_and_fit_niqe_list_them(
    tmp_path: Path, eyes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crops = ["sampling.crop=32", "paired=false", f"output={tmp_path / 'seen'}"]
    assert command(monkeypatch, inspect_data, *domains(eyes), *crops) == 1
    told = capsys.readouterr().out
    assert all(name in told and reason in told for name, reason in BAD.items()), told
    assert (tmp_path / "seen/preview.png").is_file()
    model = tmp_path / "own.safetensors"
    assert command(monkeypatch, fit_niqe, *domains(eyes), "split=all", "block=16", f"output={model}") == 0
    told = capsys.readouterr()
    assert "from 7 images of 7 patients" in told.out and model.is_file()
    lines = [line for line in told.err.splitlines() if line.startswith("left out: ")]
    assert [name for name in ("black.png", "full.png") if any(name in line for line in lines)] == [*BAD][:2]
    assert command(monkeypatch, fit_niqe, *domains(eyes), "split=all", "block=96", f"output={model}") == 2
    told = capsys.readouterr().err.splitlines()
    assert "0 usable blocks of 96 px in 0 sharp images are too few" in told[-1]
    assert any("no block of 96 px has any structure inside the valid part" in line for line in told)


@pytest.mark.parametrize(
    ("swapped", "told"),
    [
        (True, r"the two domains look swapped: by their scores .*; exchange the two folders, or correct their roles"),
        (False, r"the two domains are the same: 6 of 6 photographs are in both; name a folder of clear photographs"),
    ],
)
def test_domains_that_are_swapped_or_the_same_are_one_line(
    tmp_path: Path, swapped: bool, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        save(tmp_path / f"source/{number}.png", retina(veil=0.4, seed=number))
        save(tmp_path / f"target/{number}.png", retina(veil=0.4, seed=number + 10 * swapped))
    if swapped:
        for folder, score in (("source", 1.0), ("target", 8.0)):
            rows = "".join(f"{number}.png,{score}\n" for number in range(6))
            (tmp_path / folder / "scores.csv").write_text(f"image,severity_0_10\n{rows}")
    with pytest.raises(MedrestoreError, match=told) as error:
        train(configured("retina_enhance", *domains(tmp_path)), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and path.name != ".lock"]
    assert command(monkeypatch, inspect_data, *domains(tmp_path)) == 2
    assert capsys.readouterr().err.strip() == f"medrestore: {error.value}"


def test_an_evaluation_says_which_parameters_are_of_the_wrong_kind_and_scores_the_rest(
    tmp_path: Path, eyes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medrestore.evaluation.evaluate.case_views", lambda *arguments: [])
    model = tmp_path / "large.safetensors"
    write_niqe_model(model, niqe_model(block=96))
    rows = ("adaptive_unsharp", "clahe", "dark_channel", "wavelet_contrast", "mitra_style", "zhou_style", "xiong_style")
    fewer = [f"~evaluation.classical.{row}" for row in rows]
    less = ["~evaluation.assessments.vessels", "judge=none"]
    run = finished_run(tmp_path / "run", "retina_enhance", *domains(eyes), *fewer, *less)
    wrong = [f"metrics.niqe_params={eyes / 'target/burnt.png'}", f"metrics.brisque_params={model}"]
    given = [f"metrics.fitted_niqe={model}", "evaluation.memory_gb=1e-6", "evaluation.test_images=2"]
    judged = evaluate(run, [*wrong, *given], "all", tmp_path / "out")
    (section,) = [section for section in judged.sections if section.title == "images without truth"]
    spoken = [line for line in section.lines if "parameters not usable" in line]
    assert "burnt.png is no NIQE model by its name" in spoken[1] and spoken[1].startswith("NIQE: ")
    assert "large.safetensors is one file, BRISQUE needs allmodel and allrange" in spoken[0]
    assert not any("\n" in line for line in spoken)
    (row,) = [row for row in section.tables[0].rows if row[0] == "restored"]
    assert list(row[2:4]) == ["parameters not usable"] * 2
    assert any("under 2 there is none (2 images)" in line for line in section.lines)  # smaller than two blocks
    known = {row.metric: row for row in judged.summaries if row.method == "restored"}
    assert known["no_reference/entropy"].n == 2 and known["no_reference/fitted_niqe"].n_left_out == 2
    (tiles,) = [section for section in judged.sections if section.title == "Tiles"]
    assert tiles.lines[0].startswith("'restored': 4 images were too large for evaluation.memory_gb")
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert all(name in report for name in BAD)
