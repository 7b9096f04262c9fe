"""The contracts of the house, walked through end to end by the smallest run of each kind.

Paired, generator first; super-resolution by 2; unpaired: each is trained, evaluated and used to restore files.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_WGAN
from PIL import Image

from medrestore import config as configuration
from medrestore.checkpoint import load_generator
from medrestore.config import compose
from medrestore.data import Unpaired
from medrestore.losses import LeastSquares
from medrestore.networks import PatchCritic
from medrestore.run import evaluate, train
from medrestore.run_directory import Run
from medrestore.schemes import AbstractRestorer


class SmallestUnpaired(AbstractRestorer):
    """One generator, one critic of the reference domain, least squares: what an unpaired scheme needs of the house."""

    samples: ClassVar = Unpaired

    def __init__(self, generator: torch.nn.Module, pretrain_epochs: int = 0) -> None:
        super().__init__(generator, pretrain_epochs)
        self.critic = PatchCritic(channels=3, width=4, layers=1)
        self.adversarial = LeastSquares()

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(network.parameters(), 1e-4) for network in (self.generator, self.critic)]

    def training_step(self, batch: Unpaired, batch_idx: int) -> None:
        generator_optimizer, critic_optimizer = cast(list, self.optimizers())
        restored = self.generator(batch.source)
        with self.toggled_optimizer(critic_optimizer):
            loss = self.adversarial.critic(self.critic(batch.reference), self.critic(restored.detach()))
            self._step(critic_optimizer, loss, "critic")
        with self.toggled_optimizer(generator_optimizer):
            self._step(generator_optimizer, self.adversarial.generator(self.critic(restored)), "generator")


def run(directory: Path, *overrides: str) -> Run:
    return train(compose("train", ["experiment=cervix_deblur", *TINY, *overrides]), directory)


def summary(directory: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(directory / "summary.csv", newline="") as file:
        return {(row["method"], row["metric"]): row for row in csv.DictReader(file)}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("paired"), *TINY_WGAN, "epochs=2", "pretrain_epochs=1")


def test_paired_run_leaves_what_a_user_expects(paired: Run) -> None:
    for name in ("config.yaml", "split.csv", "checkpoints/last.ckpt", "generator.safetensors", "metrics.csv"):
        assert (paired.directory / name).stat().st_size > 0, name
    for name in ("scores.csv", "summary.csv", "conditions.json", "report.html"):
        assert (paired.directory / "evaluation" / name).stat().st_size > 0, name
    assert list((paired.directory / "samples").glob("*.png"))


def test_paired_table_has_reference_classical_oracle_and_both_stages(paired: Run) -> None:
    rows = summary(paired.directory / "evaluation")
    kinds = {method: row["kind"] for (method, metric), row in rows.items() if metric == "psnr"}
    assert kinds["identity"] == "reference"
    assert kinds["wiener_oracle"] == "oracle"
    assert {"unsharp", "wiener", "richardson_lucy"} <= {name for name, kind in kinds.items() if kind == "classical"}
    assert kinds["pretrained"] == kinds["restored"] == "learned"
    # fewer than five test groups: an interval would be a fiction
    assert rows["restored", "psnr"]["low"] == ""


def test_scores_average_to_the_summary(paired: Run) -> None:
    with open(paired.directory / "evaluation" / "scores.csv", newline="") as file:
        values = [
            float(row["value"])
            for row in csv.DictReader(file)
            if row["method"] == "restored" and row["metric"] == "psnr"
        ]
    mean = float(summary(paired.directory / "evaluation")["restored", "psnr"]["mean"])
    assert math.isclose(mean, sum(values) / len(values), rel_tol=1e-9)


def test_no_patient_name_leaves_the_run(paired: Run) -> None:
    with open(paired.directory / "split.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["group"], set()).add(row["split"])
        assert "patient" not in row["group"] and len(row["group"]) == 12
    assert all(len(part) == 1 for part in parts.values())
    assert {part for some in parts.values() for part in some} == {"train", "val", "test"}


def test_evaluate_repeats_the_numbers(paired: Run, tmp_path: Path) -> None:
    evaluate(Run.load(paired.directory), output=tmp_path)
    assert (tmp_path / "scores.csv").read_text() == (paired.directory / "evaluation" / "scores.csv").read_text()
    conditions = [
        json.loads((d / "conditions.json").read_text())["hash"] for d in (tmp_path, paired.directory / "evaluation")
    ]
    assert conditions[0] == conditions[1]


def test_evaluate_on_other_images_keeps_the_runs_degradation(paired: Run, photographs: Path, tmp_path: Path) -> None:
    judged = evaluate(paired, ["dataset=folder", f"dataset.root={photographs}"], split="all", output=tmp_path)
    keys = {score.key for score in judged.scores}
    assert len(keys) == 9
    conditions = json.loads((tmp_path / "conditions.json").read_text())
    assert conditions["degradation"]["operator"]["_target_"].endswith("FocalBlur")


def test_restore_keeps_names_and_sizes(paired: Run, photographs: Path, tmp_path: Path) -> None:
    from medrestore.inference.files import restore_files

    outcome = restore_files(
        paired.directory, photographs, tmp_path / "out", False, 2**28, None, torch.device("cpu"), lambda items, _: items
    )
    assert outcome.restored == 9 and not outcome.failed
    for path in photographs.rglob("*.png"):
        assert pixels(tmp_path / "out" / path.relative_to(photographs)).shape == pixels(path).shape == (48, 56, 3)


def test_super_resolution_by_two(tmp_path: Path, photographs: Path) -> None:
    overrides = ["+network@model.generator=plain", "+loss=l1", "model=paired_regression", "degradation=downsample"]
    composed = compose("train", [*overrides, *TINY, "model.generator.scale=2", "epochs=1"])
    finished = train(composed, tmp_path / "run")
    kinds = {
        m: row["kind"] for (m, metric), row in summary(finished.directory / "evaluation").items() if metric == "psnr"
    }
    assert kinds["bicubic"] == "reference"
    assert {"nearest", "bilinear", "lanczos"} <= set(kinds) and "unsharp" not in kinds
    from medrestore.inference.files import restore_files

    restore_files(
        finished.directory,
        photographs,
        tmp_path / "out",
        False,
        2**28,
        None,
        torch.device("cpu"),
        lambda items, _: items,
    )
    small, large = (pixels(root / "patient 0" / "ä (0).png") for root in (photographs, tmp_path / "out"))
    assert large.shape == (2 * small.shape[0], 2 * small.shape[1], 3)


def test_unpaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "TARGET_PACKAGES", [*configuration.TARGET_PACKAGES, __name__.split(".")[0]])
    composed = compose("train", ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=1", "pretrain_epochs=0"])
    generator = composed.model.generator
    composed.model = {"_target_": f"{__name__}.SmallestUnpaired", "generator": generator}
    finished = train(composed, tmp_path / "run")
    rows = summary(finished.directory / "evaluation")
    assert float(rows["restored", "psnr"]["mean"]) > 0
    network, about = load_generator(finished.directory)
    assert about["notice"].startswith("Not for diagnosis")
    assert network(torch.rand(1, 3, 9, 7)).shape == (1, 3, 9, 7)


def test_real_pairs_from_two_folders(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for name in ("sharp", "blurred"):
        (tmp_path / name).mkdir()
    for number in range(6):
        sharp = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(sharp).save(tmp_path / "sharp" / f"{number}.png")
        Image.fromarray(sharp // 2).save(tmp_path / "blurred" / f"{number}.png")
    folders = [f"dataset.degraded={tmp_path / 'blurred'}", f"dataset.target={tmp_path / 'sharp'}"]
    tiny = [*TINY[4:], *TINY_WGAN, "epochs=1", "pretrain_epochs=0", "evaluation.lpips=false"]
    pairs = ["experiment=cervix_deblur", "dataset=pairs", *folders, "degradation=none", *tiny]
    finished = train(compose("train", pairs), tmp_path / "run")
    rows = summary(finished.directory / "evaluation")
    # half the intensity of uniform noise is an error of about (0.5 * 0.577)^2
    assert float(rows["identity", "psnr"]["mean"]) == pytest.approx(-20 * math.log10(0.5 * 0.577), abs=0.5)
    assert ("wiener_oracle", "psnr") not in rows  # no kernel is known


def test_dicom_comes_out_as_tiff_with_its_values_and_a_line(
    paired: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pydicom.data import get_testdata_file

    from medrestore.imaging import read
    from medrestore.inference.files import restore_files

    source = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    outcome = restore_files(
        paired.directory, source, tmp_path, False, 2**28, "wide", torch.device("cpu"), lambda items, _: items
    )
    assert outcome.restored == 1 and "written as .tif" in capsys.readouterr().err
    restored, original = read(tmp_path / "CT_small.tif"), read(source)
    assert restored.unit == "HU" and restored.pixels.shape == original.pixels.shape
    # a generator of a few hundred weights moves little: the values are still Hounsfield units
    assert (restored.pixels - original.pixels).abs().median() < 200
