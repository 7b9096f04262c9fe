"""Which rows a table has: classical ones tuned once, the run's own networks, and other models held against it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_runs import CERVIX, CT, finished_judge, finished_run
from omegaconf import OmegaConf

from medrestore.checkpoint import load_generator, save_generator
from medrestore.classical import Identity, Method
from medrestore.config import build, plain
from medrestore.data.module import Part, RestorationData
from medrestore.errors import MedrestoreError
from medrestore.evaluation.lesion_focus import Focus, LesionFocused
from medrestore.evaluation.rows import baseline_rows, classical_rows, learned_rows
from medrestore.run import make_data
from medrestore.run_directory import Run

CPU = torch.device("cpu")
MEMORY = 2**28
FOCUS = Focus(Identity())


def cervix(directory: Path, *overrides: str) -> Run:
    return finished_run(directory, "cervix_deblur", *CERVIX, *overrides)


def data_of(run: Run) -> RestorationData:
    return make_data(run.config, run.directory / "split.csv")


def rows_of(run: Run, *others: Run, part: Part = "test") -> list[Method]:
    return baseline_rows([other.directory for other in others], run, data_of(run), part, MEMORY, CPU, FOCUS)


def refused(run: Run, other: Path, part: Part = "test") -> str:
    with pytest.raises(MedrestoreError) as error:
        baseline_rows([other], run, data_of(run), part, MEMORY, CPU, FOCUS)
    assert "\n" not in str(error.value)
    return str(error.value)


def with_split_of(run: Run, directory: Path, swapped: bool = False, *overrides: str) -> Run:
    """A run on the split of another one; `swapped` gives it the test images to learn from."""
    with (run.directory / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["key"]: row["split"] for row in csv.DictReader(file)}
    turn = {"train": "test", "test": "train", "val": "val"} if swapped else {part: part for part in rows.values()}
    directory.parent.mkdir(parents=True, exist_ok=True)
    table = directory.with_suffix(".csv")
    table.write_text("key,split\n" + "".join(f"{key},{turn[part]}\n" for key, part in rows.items()), encoding="utf-8")
    return cervix(directory, f"sampling.split.file={table}", *overrides)


def test_another_model_is_a_row_with_its_own_network(tmp_path: Path) -> None:
    run, other = cervix(tmp_path / "run"), cervix(tmp_path / "other")
    with torch.no_grad():
        generator = load_generator(other.directory)[0]
        for weight in generator.parameters():
            weight.add_(0.05)
        save_generator(other.directory / "generator.safetensors", generator, plain(other.config.model.generator), {})
        image = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
        (row,) = rows_of(run, other)
        assert row.kind == "learned" and not row.needs_kernel
        torch.testing.assert_close(row.restore(image), generator(image).clamp(0, 1))
        assert not torch.allclose(row.restore(image), load_generator(run.directory)[0](image))


def test_every_row_has_a_name_of_its_own(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run")
    others = [
        cervix(tmp_path / "a"),
        cervix(tmp_path / "b", "seed=1"),
        cervix(tmp_path / "c", "about.variant=base"),
        cervix(tmp_path / "d", "about.variant=base", "seed=1"),
        cervix(tmp_path / "e", "about.variant=restored"),  # the name of the run's own row
        finished_run(tmp_path / "nameless", "cervix_deblur", *CERVIX, "about.experiment=null"),
    ]
    names = [row.name for row in rows_of(run, *others)]
    expected = ["cervix_deblur", "cervix_deblur 2", "base", "base 2", "restored of e", "nameless"]
    assert names == expected


def test_another_window_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "ct_deblur", *CT, "model.generator.channels=1")
    other = finished_run(tmp_path / "other", "ct_deblur", *CT, "model.generator.channels=1", "sampling.window=[40,80]")
    told = refused(run, other.directory)
    assert told == (
        f"baselines: {other.directory} was trained with sampling.window [40, 80], run={run.directory} with "
        "soft_tissue; train it again with the same"
    )
    same = finished_run(tmp_path / "same", "ct_deblur", *CT, "model.generator.channels=1")
    assert len(rows_of(run, same)) == 1


def test_other_channels_and_another_scale_are_refused(tmp_path: Path) -> None:
    run, grey = cervix(tmp_path / "run"), cervix(tmp_path / "grey", "model.generator.channels=1")
    assert "with channels 1, run=" in refused(run, grey.directory)
    larger = cervix(tmp_path / "larger")
    config = plain(larger.config.model.generator) | {"scale": 2}
    save_generator(larger.directory / "generator.safetensors", build(OmegaConf.create(config)), config, {"scale": 2})
    assert "with scale 2, run=" in refused(run, larger.directory)


def test_a_model_that_saw_the_test_images_is_refused(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run")
    assert len(rows_of(run, with_split_of(run, tmp_path / "same"))) == 1
    thief = with_split_of(run, tmp_path / "thief", swapped=True)
    count = len(data_of(run).items("test"))
    told = refused(run, thief.directory)
    assert f"baselines: {thief.directory} was trained on {count} of the images or patients" in told
    assert "sampling.split.file=<split.csv of the run that is judged>" in told
    assert "was trained on" in refused(run, with_split_of(run, tmp_path / "again").directory, part="all")


def test_generated_patients_of_another_seed_are_others_though_they_have_the_same_numbers(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run")
    assert len(rows_of(run, cervix(tmp_path / "other", "data_seed=1"))) == 1


def test_a_patient_in_another_folder_is_the_same_patient(tmp_path: Path, photographs: Path) -> None:
    def run_on(root: Path, name: str, test: int) -> Run:
        table = tmp_path / f"{name}.csv"
        parts = ["train", "val", "train"]
        parts[test] = "test"
        table.write_text("group,split\n" + "".join(f"patient {n},{part}\n" for n, part in enumerate(parts)))
        given = ["dataset=cervix", f"dataset.root={root}", f"sampling.split.file={table}"]
        return finished_run(tmp_path / name, "cervix_deblur", *given)

    copy = tmp_path / "copies of another name"
    shutil.copytree(photographs, copy)
    run = run_on(photographs, "run", test=0)
    assert len(rows_of(run, run_on(copy, "fair", test=0))) == 1
    assert "was trained on 1 of the images or patients" in refused(run, run_on(copy, "thief", test=2).directory)


def test_what_restores_nothing_is_no_baseline(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run")
    judge = finished_judge(tmp_path / "judge", "cervix_lesion_detector", *CERVIX)
    assert "no generator.safetensors in" in refused(run, judge)
    assert "there is no such directory" in refused(run, tmp_path / "nowhere")


def test_the_runs_own_rows(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run")
    assert [row.name for row in learned_rows(run, MEMORY, CPU, FOCUS)] == ["restored"]
    shutil.copy(run.directory / "generator.safetensors", run.directory / "pretrained.safetensors")
    assert [row.name for row in learned_rows(run, MEMORY, CPU, FOCUS)] == ["pretrained", "restored"]


def test_classical_rows_are_tuned_once(tmp_path: Path) -> None:
    run = cervix(tmp_path / "run", "evaluation.tune_crop=32")
    (run.directory / "tuned.yaml").unlink()
    tuned = classical_rows(run, run.config, data_of(run), lambda items, text: items)
    assert {row.name for row in tuned if row.parameters} >= {"unsharp", "wiener", "richardson_lucy"}

    def never(items: Any, text: str) -> Any:
        raise AssertionError("tuned again")

    again = classical_rows(run, run.config, data_of(run), never)
    assert [(row.name, row.parameters) for row in again] == [(row.name, row.parameters) for row in tuned]


def test_an_experiment_may_list_its_classical_rows(tmp_path: Path) -> None:
    clahe = "+evaluation.classical.clahe={_target_: medrestore.classical.Clahe}"
    run = cervix(tmp_path / "run", "evaluation.classical={}", clahe)
    rows = classical_rows(run, run.config, data_of(run), lambda items, _: items)
    assert [(row.name, row.kind) for row in rows] == [("identity", "reference"), ("clahe", "classical")]


def test_a_model_of_marked_regions_restores_them_alone_and_is_told_by_its_configuration(tmp_path: Path) -> None:
    run, focused = cervix(tmp_path / "run"), cervix(tmp_path / "focused", "sampling.focus=region")
    first, second, plain_row = rows_of(run, focused, focused, cervix(tmp_path / "plain"))
    assert [first.name, second.name, plain_row.name] == ["lesion_focused", "lesion_focused 2", "cervix_deblur"]
    assert isinstance(first, LesionFocused) and not isinstance(plain_row, LesionFocused)
    own = learned_rows(focused, MEMORY, CPU, FOCUS)
    assert [row.name for row in own] == ["restored", "lesion_focused"] and own[1].kind == "learned"
