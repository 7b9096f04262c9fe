"""The best interpolation is chosen on validation, once, and remembered; test images choose nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from medrestore.classical import Method, methods_for
from medrestore.data.samples import Case
from medrestore.degradations import Downsample, Identity
from medrestore.evaluation.interpolations import FILE, judge_interpolations
from medrestore.run_directory import Run

ROWS: list[Method] = methods_for(2)


class Data:
    """Validation images that consist of blocks, which nearest gives back but for a little noise."""

    def __init__(self, degradation: Any = None, images: int = 5) -> None:
        self.degradation = degradation or Downsample(2, "area")
        self.images = images
        self.asked: list[tuple[str, int | None]] = []

    def cases(self, part: str, most: int | None = None) -> Iterator[Case]:
        self.asked.append((part, most))
        for number in range(self.images):
            random = np.random.default_rng(number)
            blocks = np.kron(random.uniform(0.2, 0.8, (12, 10)), np.ones((2, 2)))
            target = torch.from_numpy(blocks + random.normal(0, 0.01, blocks.shape)).float()[None]
            small = torch.nn.functional.avg_pool2d(target, 2)
            known: Any = SimpleNamespace(key=f"k{number}", group=f"g{number}", degraded=small, target=target)
            known.mask = known.kernel = None
            yield known


def run_in(directory: Path) -> Run:
    config = {
        "dataset": {"name": "a"},
        "degradation": {"operator": {"scale": 2}},
        "sampling": {"window": "auto"},
        "evaluation": {"tune_images": 16},
    }
    return Run(directory, OmegaConf.create(config))


def choice(run: Run, data: Data, config: Any = None) -> Any:
    return judge_interpolations(run, config or run.config, ROWS, data, lambda items, _: items)  # type: ignore[arg-type]


def test_the_best_is_the_one_with_the_highest_mean(tmp_path: Path) -> None:
    data = Data()
    found = choice(run_in(tmp_path), data)
    assert found.best == "nearest" and found.images == 5 and set(data.asked) == {("val", 16)}
    means = {row.method: row.mean for row in found.summaries if row.metric == "psnr"}
    by_hand = []
    for case in data.cases("val"):
        assert case.target is not None
        repeated = case.degraded[0].double().numpy().repeat(2, 0).repeat(2, 1)
        by_hand.append(-10 * math.log10(np.mean((repeated - case.target[0].double().numpy()) ** 2)))
    assert means["nearest"] == pytest.approx(np.mean(by_hand))
    assert found.said.startswith("best interpolation on validation: nearest (PSNR in dB and SSIM of 5 images: bicubic ")
    section = found.finding.section
    assert section.lines[0] == "Best interpolation on validation, by PSNR: 'nearest'."
    assert [row[0] for row in section.tables[0].rows] == ["bicubic", "nearest", "bilinear", "lanczos"]
    assert {row.metric for row in found.finding.summaries} == {"validation/psnr", "validation/ssim"}


def test_it_is_remembered_beside_the_tuned_rows(tmp_path: Path) -> None:
    first = choice(run_in(tmp_path), Data())
    assert (tmp_path / FILE).is_file()
    again = Data()
    assert choice(run_in(tmp_path), again) == first and again.asked == []


def test_other_images_do_not_choose_for_themselves(tmp_path: Path) -> None:
    run, data = run_in(tmp_path), Data()
    other = OmegaConf.merge(run.config, {"dataset": {"name": "b"}})
    assert choice(run, data, other) is None and data.asked == []
    choice(run, Data())
    assert choice(run, data, other).best == "nearest" and data.asked == []  # of the run's own validation images


def test_another_operator_is_judged_anew_and_not_remembered(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    choice(run, Data())
    before = (tmp_path / FILE).read_bytes()
    data = Data()
    other = OmegaConf.merge(run.config, {"degradation": {"operator": {"kind": "area"}}})
    assert choice(run, data, other) is not None and data.asked and (tmp_path / FILE).read_bytes() == before


def test_nothing_to_choose(tmp_path: Path) -> None:
    assert choice(run_in(tmp_path), Data(Identity())) is None
    assert choice(run_in(tmp_path), Data(images=0)) is None and not (tmp_path / FILE).exists()
