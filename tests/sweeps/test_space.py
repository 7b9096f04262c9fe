"""What a search may try, and which number of a run it is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from medrestore.errors import MedrestoreError
from medrestore.sweeps.objective import objective_value
from medrestore.sweeps.overrides import device_count, parsed
from medrestore.sweeps.space import distribution, suggest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1,5", CategoricalDistribution(["1", "5"])),
        ("+a/b@c=choice(l1,mse)", CategoricalDistribution(["l1", "mse"])),
        ("model=glob(pix*)", CategoricalDistribution(["pix2pix"])),
        ("x=choice([1,2],[3])", CategoricalDistribution(["[1,2]", "[3]"])),
        ("x=range(1,10,2)", IntDistribution(1, 9, step=2)),
        ("x=range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("x=interval(1,5)", FloatDistribution(1.0, 5.0)),
        ("x=int(interval(1,5))", IntDistribution(1, 5)),
        ("x=tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
    ],
)
def test_hydras_sweeps_are_optunas_distributions(text: str, expected: object) -> None:
    space = distribution(parsed([text])[0])
    assert space == expected
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    typed = suggest(trial, "x", space)
    assert str(parsed([f"x={typed}"])[0].value()).replace(" ", "") == typed  # reads back as what was drawn


def test_a_range_that_cannot_be_searched_is_one_line() -> None:
    with pytest.raises(MedrestoreError, match=r"x=tag\(log,interval\(0,1\)\) cannot be searched"):
        distribution(parsed(["x=tag(log,interval(0,1))"])[0])


def test_the_objective_is_that_of_the_selected_epoch(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,val/psnr,val/ssim\n0,1,40,0.9\n1,2,,\n1,3,31,0.7\n2,4,33,0.6\n3,5,32,0.5\n4,6,nan,nan\n"
    )

    def value(objective: str, select: str) -> float:
        config = SimpleNamespace(objective=objective, select=select, pretrain_epochs=1)
        return objective_value(tmp_path, config)

    assert value("val/psnr", "val/psnr") == 33  # epoch 0 is of the first stage
    assert value("val/psnr", "val/ssim") == 31
    with pytest.raises(MedrestoreError, match="val/psnr is nan in epoch 5"):
        value("val/psnr", "last")
    with pytest.raises(MedrestoreError, match=r"objective=val/pnsr was not measured; did you mean 'val/psnr'\?"):
        value("val/pnsr", "last")


def test_devices_are_counted_as_they_are_typed() -> None:
    assert [device_count(setting) for setting in (1, 4, "2", "auto", "[0,1]", [0, 1, 2], -1)] == [1, 4, 2, 1, 2, 3, 1]
