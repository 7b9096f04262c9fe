"""The study of a finished run: which images, which rows, and the command around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from finished_runs import finished_run
from PIL import Image

from medrestore.classical import Bicubic, Nearest
from medrestore.errors import MedrestoreError
from medrestore.evaluation.interpolations import Interpolations
from medrestore.evaluation.rows import Rows
from medrestore.evaluation.tables import write_conditions
from medrestore.run import make_data
from medrestore.run_directory import Run
from medrestore.study.assemble import Settings
from medrestore.study.build import build_study, chosen_rows, in_order, shows_something
from medrestore.study.manifest import ANCHOR, REFERENCE, Study, load_study, picture_path
from medrestore.study.raters import load_roster
from medrestore.study.stimuli import central, eight_bit, pixelated

SETTINGS = Settings("Rating", "How good?", 0, 0.1, 1, 3, 48, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = finished_run(
        tmp_path_factory.mktemp("runs") / "run",
        "cervix_deblur",
        *("dataset.patients=12", "dataset.images_per_patient=1", "dataset.size=64", "dataset.natural_patients=0"),
        *("sampling.split.train=3", "sampling.split.val=2", "sampling.split.test=7"),
    )
    data = make_data(made.config, made.directory / "split.csv")
    evaluated(made, [item.key for item in data.items("test")])
    return made


def evaluated(run: Run, keys: list[str]) -> None:
    write_conditions(run.directory / "evaluation" / "conditions.json", {"keys": keys, "dataset": "cervix_phantom"})


@pytest.fixture(scope="module")
def built(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    directory = tmp_path_factory.mktemp("built") / "study"
    return directory, build_study(run, directory, SETTINGS, scenes=3, methods=None)


def test_rows_are_reference_best_classical_and_learned_with_the_truth_hidden(built: tuple[Path, Study]) -> None:
    directory, study = built
    names = [row.name for row in study.rows]
    assert names[0] == "identity" and names[2:] == ["restored", REFERENCE]
    assert study.rows[1].kind == "classical" and study.rows[1].note == "best classical row on validation"
    assert {s.method for s in study.stimuli} == {*names, ANCHOR}
    assert len({s.scene for s in study.of("rated")}) == 3 and len({s.scene for s in study.of("practice")}) == 2
    assert load_study(directory).id == study.id and len(load_roster(directory)) == 4


def test_pictures_are_the_windowed_images_cut_and_never_resized(run: Run, built: tuple[Path, Study]) -> None:
    directory, study = built
    data = make_data(run.config, run.directory / "split.csv")
    items = {item.key: item for item in data.items("test")}
    for stimulus in study.of("rated"):
        case = data.case(items[stimulus.scene], annotated=False)
        shown = np.asarray(Image.open(picture_path(directory, stimulus)))
        assert shown.shape == (48, 48, 3)
        if stimulus.method in ("identity", REFERENCE):
            image = case.degraded if stimulus.method == "identity" else case.target
            assert image is not None
            whole = torch.round(image.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()
            assert np.array_equal(shown, whole[8:56, 8:56])


def test_named_rows(run: Run, tmp_path: Path) -> None:
    study = build_study(run, tmp_path / "s", SETTINGS, scenes=3, methods=["restored", "unsharp"])
    assert [row.name for row in study.rows] == ["restored", "unsharp", REFERENCE]
    with pytest.raises(MedrestoreError, match="methods: restord is not one of identity, unsharp"):
        build_study(run, tmp_path / "t", SETTINGS, scenes=3, methods=["restord"])


def test_super_resolution_without_a_choice_shows_the_reference() -> None:
    data: Any = SimpleNamespace(degradation=SimpleNamespace(scale=2))
    stages: list[Any] = [SimpleNamespace(name=name, kind="learned") for name in ("pretrained", "restored")]
    rows, _ = chosen_rows(Rows([Bicubic(2), Nearest(2), *stages], None), None, data)
    assert [(row.name, row.note) for row in rows] == [("bicubic", ""), ("pretrained", ""), ("restored", "")]
    chosen = Interpolations("nearest", 3, [])
    rows, _ = chosen_rows(Rows([Bicubic(2), Nearest(2), *stages], chosen), None, data)
    assert [row.name for row in rows] == ["nearest", "pretrained", "restored"]
    assert rows[0].note == "best interpolation on validation"


def test_an_evaluation_that_will_not_do_is_one_line(run: Run, tmp_path: Path) -> None:
    copy = Run(tmp_path / "run", run.config)
    copy.directory.mkdir()
    with pytest.raises(MedrestoreError, match=r"has no evaluation; type python -m medrestore.evaluate"):
        build_study(copy, tmp_path / "s", SETTINGS, 3, None)
    evaluated(copy, [])
    with pytest.raises(MedrestoreError, match="has no images: evaluate the run on some"):
        build_study(copy, tmp_path / "s", SETTINGS, 3, None)
    evaluated(copy, ["0" * 12])
    (copy.directory / "split.csv").write_bytes((run.directory / "split.csv").read_bytes())
    with pytest.raises(MedrestoreError, match=r"none of the 1 images of .* has a truth here"):
        build_study(copy, tmp_path / "s", SETTINGS, 3, None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(MedrestoreError, match="holds other files"):
        build_study(run, tmp_path / "full", SETTINGS, 3, None)
    assert (tmp_path / "full" / "thesis.tex").exists()


def test_patients_come_first_and_their_second_images_later() -> None:
    items: list[Any] = [SimpleNamespace(key=f"{p}{n}", group=p) for p in "abcd" for n in range(3)]
    for seed in range(20):
        chosen = in_order(items, seed)
        assert [len({item.group for item in chosen[i : i + 4]}) for i in (0, 4, 8)] == [4, 4, 4]
        assert chosen == in_order(list(reversed(items)), seed)
    assert len({tuple(item.key for item in in_order(items, seed)[:4]) for seed in range(20)}) > 10


def test_slices_above_the_head_are_not_shown(tmp_path: Path) -> None:
    heads = finished_run(
        tmp_path / "run",
        "brain_sr",
        *("dataset.patients=8", "dataset.slices_per_patient=2", "dataset.poor_slices_per_patient=1", "dataset.size=64"),
        *("sampling.split.train=3", "sampling.split.val=3", "sampling.split.test=18", "model.generator.scale=4"),
    )
    data = make_data(heads.config, heads.directory / "split.csv")
    items = data.items("test", "target")
    targets = {item.key: data.case(item).target for item in items}
    poor = {key for key, target in targets.items() if target is not None and not shows_something(target)}
    assert len(items) == 18 and 4 <= len(poor) <= 8  # six patients: one poor slice each, and a good one near the top
    evaluated(heads, list(targets))
    study = build_study(heads, tmp_path / "study", SETTINGS, scenes=8, methods=["bicubic", "restored"])
    shown = {stimulus.scene for stimulus in study.stimuli}
    assert len(shown) == 10 and not shown & poor
    dark, bright = torch.full((3, 10, 10), 0.04), torch.zeros(1, 10, 10)
    bright[0, 0] = 0.06
    assert not shows_something(dark) and shows_something(bright)


def test_pictures_by_hand() -> None:
    image = np.array([[[0.0, 0.5, 1.0, 1.2]]], dtype=np.float32)
    assert eight_bit(image).tolist() == [[0, 128, 255, 255]]
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert central(levels, 4).tolist() == levels[6:10, 6:10].tolist() and central(levels, None) is levels
    coarse = pixelated(levels)
    assert coarse.shape == levels.shape and len(np.unique(coarse)) == 4
    assert abs(int(coarse[0, 0]) - levels[:8, :8].mean()) <= 1 and (coarse[:8, :8] == coarse[0, 0]).all()


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "medrestore.study", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['x', '--help']; from medrestore.study.__main__ import study as c\n"
        "try: c()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'hydra', 'numpy', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "python -m medrestore.study action=serve" in done.stdout and "keys:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "action= is not set; type action=build|serve|simulate|analyse"),
        (["action=analyze"], "action= 'analyze' is none of them; did you mean 'analyse'?"),
        (["action=serve", "output=nowhere"], "output=nowhere is no study"),
        (["action=build"], "run= is not set"),
        (["action=build", "ratrs=3"], "did you mean 'raters'?"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medrestore.study.__main__ import study

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    with pytest.raises(SystemExit) as ended:
        study()
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and len(error.splitlines()) == 1


def test_build_simulate_analyse_by_command(run: Run, tmp_path: Path) -> None:
    done = command(
        "action=build", f"run={run.directory}", "output=s", "scenes=5", "raters=2", "standalone=true", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "study: s" and (tmp_path / "s" / "standalone.html").exists()
    done = command(
        "action=simulate", "output=s", "raters=6", "faults={reversed:0,constant:0,random:0,lost:0}", cwd=tmp_path
    )
    assert done.returncode == 0 and "6 SIMULATED raters" in done.stdout, done.stderr
    done = command("action=analyse", "output=s", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("SIMULATED"), done.stderr
    assert done.stdout.splitlines()[-1] == "report: s/analysis/report.html"
