"""Every scheme with every generated data set, in one channel and in three: composed, checked and trained two steps.

What is in `conf/model` and `conf/dataset` is what is tried, so that a new scheme or data set is covered by being there.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medrestore.callbacks.history import History
from medrestore.config import CONF_DIR, compose
from medrestore.run import train

# A judge has no generator; a data set with a path to fill in has no images of its own.
SCHEMES = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml") if "generator" in list(OmegaConf.load(path)))
DATASETS = sorted(
    path.stem for path in (CONF_DIR / "dataset").glob("*.yaml") if "phantoms" in OmegaConf.load(path)._target_
)
# The sizes of the phantoms, each by the names that it has.
_SMALL = {
    **{"patients": 3, "scenes": 3, "images_per_patient": 1, "images_per_scene": 1, "slices_per_patient": 1},
    **{"size": 64, "height": 64, "width": 64},
    **{"clear_patients": 3, "cataract_patients": 3, "pairs": 0},
}
_UNPAIRED = ("cycle_feature",)
_TINY = [
    "+network@model.generator=plain",
    "model.generator.width=4",
    "model.generator.depth=1",
    "+loss=l1",
    "degradation=motion",  # takes Hounsfield units as well; an 8-bit sensor would not
    "epochs=1",
    "sampling.crop=16",
    "sampling.batch_size=1",
    "sampling.crops_per_image=2",  # of the one training image: two steps
    "sampling.val_images=1",
    "callbacks.sample_images=0",
    "hardware=cpu",
    "evaluation.run=false",
    "+trainer.limit_train_batches=2",
]


def small(dataset: str, scheme: str) -> list[str]:
    known = OmegaConf.load(CONF_DIR / "dataset" / f"{dataset}.yaml")
    groups = {"patients": 6, "scenes": 6} if scheme in _UNPAIRED else {}  # half of those to train on are the reference
    return [f"dataset.{key}={value}" for key, value in {**_SMALL, **groups}.items() if key in known]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_steps(scheme: str, dataset: str, channels: int, tmp_path: Path) -> None:
    critic = ["model.critic.width=4"] if "critic" in OmegaConf.load(CONF_DIR / "model" / f"{scheme}.yaml") else []
    overrides = [f"model={scheme}", f"dataset={dataset}", *_TINY, *critic, *small(dataset, scheme)]
    config = compose("train", [*overrides, f"model.generator.channels={channels}"])
    if critic:
        assert config.model.critic.channels == channels
    run = train(config, tmp_path)
    (row,) = History(run.directory / "metrics.csv").rows
    assert row["generator_updates"] == 2 and row["critic_updates"] == (2 * config.model.critic_steps if critic else 0)
    losses = [value for name, value in row.items() if name.startswith("train/generator/")]
    assert losses and all(math.isfinite(value) for value in [*losses, row["val/psnr"]])
    assert (run.directory / "generator.safetensors").is_file()


def test_the_matrix_is_not_empty() -> None:
    assert {"paired_regression", "paired_wgan"} <= set(SCHEMES) and "cervix_phantom" in DATASETS
