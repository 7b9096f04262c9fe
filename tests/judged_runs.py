"""Run directories as a finished and judged training leaves them, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from medrestore.evaluation.statistics import Score, summarise
from medrestore.evaluation.tables import write_conditions, write_scores, write_summary

CONFIG: dict[str, Any] = {
    "about": {"experiment": "street_deblur", "budget": "quick", "paper": "S4", "variant": None},
    "seed": 0,
    "data_seed": 0,
    "epochs": 20,
    "pretrain_epochs": 0,
    "generator_weights": None,
    "feature_weights": "random",
    "dataset": {"_target_": "medrestore.data.phantoms.StreetPhantom", "size": 64},
    "sampling": {"window": "auto", "crop": 96, "batch_size": 8},
    "degradation": {
        "fixed": False,
        "operator": {"_target_": "medrestore.degradations.MotionBlur", "preset": "small", "sensor": None},
    },
    "loss": {"feature": {"weight": 100.0, "term": {"_target_": "medrestore.losses.FeatureLoss", "features": {}}}},
    "model": {"_target_": "medrestore.schemes.PairedWGAN", "critic_steps": 5, "generator": {"width": 8}},
    "hardware": {"accelerator": "cpu", "precision": "32-true"},
    "logger": {},
}
CONDITIONS: dict[str, Any] = {
    "dataset": "StreetPhantom",
    "data_seed": 0,
    "window": "auto",
    "degradation": CONFIG["degradation"],
    "metrics": {"lpips": "random", "psnr_peak": 1.0},
    "split_hash": "aaaa",
    "degradation_hash": "bbbb",
}
KINDS = {"identity": "reference", "wiener": "classical", "pretrained": "learned", "restored": "learned"}
Values = Mapping[str, Mapping[str, Sequence[float]]]  # method -> metric -> value of each image


def judged_run(
    directory: Path,
    values: Values,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    conditions: Mapping[str, Any] | None = None,
    history: str = "",
) -> Path:
    """Write a run directory; `config` and `conditions` are laid over the defaults, dotted keys go in depth."""
    made = OmegaConf.create(CONFIG)
    for key, value in {"seed": seed, **(config or {})}.items():
        OmegaConf.update(made, key, value, force_add=True, merge=False)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(made))
    (directory / "metrics.csv").write_text(history)
    images = len(next(iter(values["restored"].values())))
    keys = [f"k{index}" for index in range(images)]
    parts = "".join(f"{key},g{index},target,test\n" for index, key in enumerate(keys))
    (directory / "split.csv").write_text(f"key,group,role,split\nt0,h0,target,train\n{parts}")
    scores = [
        Score(method, keys[index], f"g{index}", metric, value)
        for method, metrics in values.items()
        for metric, numbers in metrics.items()
        for index, value in enumerate(numbers)
    ]
    kinds = {method: KINDS.get(method, "learned") for method in values}
    write_scores(directory / "evaluation" / "scores.csv", scores)
    write_summary(directory / "evaluation" / "summary.csv", summarise(scores, kinds, "identity"))
    said = {**CONDITIONS, "keys": keys, **(conditions or {})}
    write_conditions(directory / "evaluation" / "conditions.json", said)
    return directory


def psnr_run(directory: Path, mean: float, seed: int = 0, **rest: Any) -> Path:
    """A run on six images of six scenes: identity 20 dB, wiener 22 dB, restored `mean` on average."""
    wobble = [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]
    values = {"identity": 20.0, "wiener": 22.0, "restored": mean}
    return judged_run(
        directory, {name: {"psnr": [value + w for w in wobble]} for name, value in values.items()}, seed, **rest
    )
