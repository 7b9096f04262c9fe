"""Judges of a run: trained once for data and split, found again, and never asked about what they have seen."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_runs import CERVIX, STREET, finished_judge, finished_run
from omegaconf import OmegaConf

from medrestore.data.module import Part
from medrestore.errors import MedrestoreError
from medrestore.judges import finish_judge, judge_finder, proposing_detector
from medrestore.run import make_data
from medrestore.run_directory import Run, resolved
from medrestore.tasks import LesionDetector, load_judge, save_judge

DETECTOR = "cervix_lesion_detector"
CPU = torch.device("cpu")


class Trainer:
    """Stands for `run.train`: notes what it was asked for, and leaves a detector that learned nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Path]] = []

    def __call__(self, config: Any, directory: Path) -> None:
        config = resolved(config)
        self.asked.append((config, directory))
        (directory / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
        make_data(config, directory / "split.csv")
        judge = LesionDetector({"normal": "normal", "abnormal": "abnormal"}, side=64)
        described = {"_target_": "medrestore.tasks.LesionDetector", "labels": judge.labels, "side": 64}
        save_judge(directory / "judge.safetensors", judge, described, {})


def find(run: Run, train: Trainer, judges: Path, judge: str = "auto", part: Part = "test") -> Any:
    config = run.config.copy()
    config.judge, config.evaluation.judges = judge, str(judges)
    finder = judge_finder(run, config, make_data(config, run.directory / "split.csv"), part, train, CPU)
    return None if finder is None else finder(DETECTOR)


def parts(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["key"]: row["split"] for row in csv.DictReader(file)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path / "run", "cervix_deblur", *CERVIX)


def test_a_judge_of_a_screened_run_sees_what_the_run_kept(photographs: Path, tmp_path: Path) -> None:
    """The run's split names only what was kept: screened once more, the judge would lose as much again."""
    given = ["dataset=folder", f"dataset.root={photographs}", "dataset.groups=folder", "dataset.screen=true"]
    given += ["dataset.screening.threshold=0.0", "dataset.screening.sigma=1"]
    run = finished_run(tmp_path / "run", "cervix_deblur", *given)
    train = Trainer()
    find(run, train, tmp_path / "judges")
    ((_, directory),) = train.asked
    kept = parts(run.directory / "split.csv")
    assert 0 < len(kept) < 9 and parts(directory / "split.csv") == kept
    assert {item.key for item in make_data(run.config, directory / "split.csv").items("all")} == set(kept)


def test_a_judge_is_trained_once_on_the_runs_own_data_and_found_again(run: Run, tmp_path: Path) -> None:
    train = Trainer()
    first = find(run, train, tmp_path / "judges")
    ((config, directory),) = train.asked
    assert directory.parent == tmp_path / "judges" and directory.name.startswith(f"{DETECTOR}-")
    alone = {**run.config.hardware, "devices": 1, "num_nodes": 1, "strategy": "auto"}  # the other processes wait
    assert config.dataset == run.config.dataset and config.hardware == alone
    assert parts(directory / "split.csv") == parts(run.directory / "split.csv")
    assert config.model._target_.endswith("LesionDetector") and config.degradation.operator._target_.endswith(
        "Identity"
    )
    again = find(run, train, tmp_path / "judges")
    assert len(train.asked) == 1
    assert not again.training and not any(weight.requires_grad for weight in again.parameters())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_a_run_of_another_seed_shares_the_judge(run: Run, tmp_path: Path) -> None:
    train = Trainer()
    find(run, train, tmp_path / "judges")
    find(finished_run(tmp_path / "other", "cervix_deblur", *CERVIX, "seed=1"), train, tmp_path / "judges")
    assert len(train.asked) == 1


@pytest.mark.parametrize(
    "change",
    ["sampling.split={train:2,val:2,test:2}", "data_seed=1", "dataset.size=72"],
    ids=["split", "seed of the data", "images"],
)
def test_another_split_or_other_data_have_a_judge_of_their_own(run: Run, tmp_path: Path, change: str) -> None:
    train = Trainer()
    find(run, train, tmp_path / "judges")
    find(finished_run(tmp_path / "other", "cervix_deblur", *CERVIX, change), train, tmp_path / "judges")
    assert len({directory for _, directory in train.asked}) == 2


def test_a_judge_whose_training_was_killed_goes_on(run: Run, tmp_path: Path) -> None:
    train = Trainer()
    find(run, train, tmp_path / "judges")
    (config, directory) = train.asked[0]
    assert config.ckpt is None
    (directory / "judge.safetensors").unlink()
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints/last.ckpt").write_bytes(b"")
    other = finished_run(tmp_path / "other", "cervix_deblur", *CERVIX, "seed=1")
    find(other, train, tmp_path / "judges")
    resumed, where = train.asked[1]
    assert where == directory and resumed.ckpt == "last"
    resumed.ckpt = None
    assert resumed == config  # what differs would be refused when the training goes on


def test_none_means_none(run: Run, tmp_path: Path) -> None:
    assert find(run, Trainer(), tmp_path, judge="none") is None


def test_a_judge_that_saw_the_images_is_refused(run: Run, tmp_path: Path) -> None:
    train = Trainer()
    known = parts(run.directory / "split.csv")
    learned = sum(part != "test" for part in known.values())
    with pytest.raises(
        MedrestoreError, match=f"was trained on {learned} of the images or patients it would be"
    ) as error:
        find(run, train, tmp_path / "judges", part="all")
    assert "\n" not in str(error.value)
    turned = {"test": "train", "train": "test", "val": "val"}  # this one learned from the test part
    rows = "".join(f"{key},{turned[part]}\n" for key, part in known.items())
    (tmp_path / "turned.csv").write_text(f"key,split\n{rows}", encoding="utf-8")
    given = f"sampling.split.file={tmp_path / 'turned.csv'}"
    foreign = finished_judge(tmp_path / "foreign", DETECTOR, *CERVIX, given)
    with pytest.raises(MedrestoreError, match=f"foreign was trained on {len(known) - learned} of the images"):
        find(run, train, tmp_path / "judges", judge=str(foreign))


def test_a_judge_of_another_kind_or_none_at_all_is_one_line(run: Run, tmp_path: Path) -> None:
    street = finished_judge(tmp_path / "street", "street_segmenter", *STREET)
    with pytest.raises(MedrestoreError, match=r"street is a SceneSegmenter, cervix_lesion_detector asks a LesionDet"):
        find(run, Trainer(), tmp_path, judge=str(street))
    with pytest.raises(MedrestoreError, match=r"judge=.* holds no judge.safetensors; type judge=auto") as error:
        find(run, Trainer(), tmp_path, judge=str(run.directory))
    assert "\n" not in str(error.value)


def test_a_finished_judge_is_calibrated_on_val_measured_on_test_and_says_whether_it_is_usable(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = finished_run(tmp_path / "judge", "cervix_deblur", *CERVIX).config
    config.model = {"_target_": "medrestore.tasks.LesionDetector", "labels": {}, "side": 64, "channels": 3}
    judge = LesionDetector({"normal": "normal", "abnormal": "abnormal"}, side=64)
    data = make_data(config, run.directory / "split.csv")
    seen: dict[str, list[str]] = {}

    def calibrate(cases: Any) -> None:
        seen["val"] = [case.key for case in cases]
        judge.calibrated.fill_(0.4)

    def measure(cases: Any) -> float:
        seen["test"] = [case.key for case in cases]
        judge.own_score.fill_(score)
        return score

    monkeypatch.setattr(judge, "calibrate", calibrate)
    monkeypatch.setattr(judge, "measure", measure)
    for score, told in (
        (0.93, "auc 0.930 on sharp test images, floor 0.9: usable"),
        (0.6, "auc 0.600 on sharp test images, floor 0.9: NOT usable"),
        (math.nan, "auc not defined on sharp test images, floor 0.9: NOT usable"),
    ):
        finish_judge(Run(tmp_path / "judge", config), judge, data, {})
        assert told in capsys.readouterr().out
        again, _ = load_judge(tmp_path / "judge")
        assert again.usable == (score == 0.93) and again.threshold == 0.4  # type: ignore[union-attr]
    known = parts(run.directory / "split.csv")
    assert {part: sorted(keys) for part, keys in seen.items()} == {
        part: sorted(key for key, found in known.items() if found == part) for part in ("val", "test")
    }


def test_a_detector_that_proposes_regions_is_one_that_may(run: Run, tmp_path: Path) -> None:
    data = make_data(run.config, run.directory / "split.csv")

    def refused(where: Path, part: Part = "test") -> str:
        with pytest.raises(MedrestoreError) as error:
            proposing_detector(str(where), data, part, CPU)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(f"evaluation.detector={where} ")

    assert proposing_detector(None, data, "test", CPU) is None
    detector = finished_judge(tmp_path / "detector", DETECTOR, *CERVIX)
    found = proposing_detector(str(detector), data, "test", CPU)
    assert found is not None and found.threshold == 0.5
    assert refused(detector, "all").startswith("was trained on 5 of the images or patients it would be judged on")
    assert refused(run.directory) == "holds no judge.safetensors; type the run directory of a detector"
    street = finished_judge(tmp_path / "street", "street_segmenter", *STREET)
    assert refused(street) == "is a SceneSegmenter and finds no lesions; name a lesion detector"
    judge, about = load_judge(detector / "judge.safetensors")
    judge.own_score.fill_(0.6)
    save_judge(detector / "judge.safetensors", judge, about["judge"], {})
    assert refused(detector).startswith("is not usable: AUC 0.600, floor 0.9; type evaluation.detector=null")
