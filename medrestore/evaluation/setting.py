"""What an evaluation says about the run it judges: conditions, recipe, weights, footnotes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from omegaconf import OmegaConf

from medrestore import __version__
from medrestore.checkpoint import read_metadata
from medrestore.config import compose, plain
from medrestore.data.catalogue import patients_known
from medrestore.data.module import Part, RestorationData
from medrestore.degradations import Downsample
from medrestore.evaluation.assessment import Assessment
from medrestore.evaluation.evaluate import Setting
from medrestore.evaluation.interpolations import Interpolations
from medrestore.evaluation.scoring import MetricSettings
from medrestore.metrics import NYQUIST, backbone_file
from medrestore.run_directory import Run, flat, resolved

TRAINED = "trained"  # LPIPS with ImageNet weights, or not at all


def make_setting(
    run: Run,
    config: Any,
    split: Part,
    data: RestorationData,
    assessments: Mapping[str, Assessment],
    judge: Callable[[str], Any] | None,
    interpolations: Interpolations | None,
    typed: list[str],
) -> Setting:
    """Everything a report says about a run, from its configuration.

    Args:
        run: the run.
        config: its configuration with the overrides applied.
        split: the part that is judged.
        data: the images that are judged.
        assessments: what is measured beside the full-reference scores.
        judge: finds or trains the judge of an experiment.
        interpolations: how they did on validation images; None where the scale stays.
        typed: what the user typed, for the command that repeats it.
    """
    metrics = metric_settings(config)
    about = config.about
    command = f"python -m medrestore.evaluate run={run.directory} {' '.join(typed)} split={split}".replace("  ", " ")
    conditions = {
        "degradation": plain(config.degradation),
        "window": str(config.sampling.window),
        "data_seed": config.data_seed,
        "dataset": str(config.dataset.get("name", config.dataset._target_.rpartition(".")[2])),
        "metrics": {
            "lpips": metrics.lpips_weights if metrics.lpips else "off",
            "fourier": metrics.fourier,
            "spectral": metrics.spectral,
            "psnr_peak": 1.0,
            "ssim_window": 11,
        },
        "patients": patients_known(data.items(split, role=None)),
        "split_hash": _hash(sorted(data.split.items())),
        "degradation_hash": _hash([plain(config.degradation.operator), config.data_seed]),
    }
    return Setting(
        title=f"{about.experiment or 'medrestore'} ({about.budget} budget), {split} split",
        command=command,
        part=split,
        most=config.evaluation.test_images,
        metrics=metrics,
        assessments=assessments,
        judge=judge,
        window=plain(config.sampling.window),
        conditions=conditions,
        footnotes=[*_footnotes(config, split, data, metrics, interpolations), *selected_epochs(run)],
        interpolations=interpolations,
        history=run.directory / "metrics.csv",
        dataset=conditions["dataset"],
        recipe=f"recipe/{about.experiment}/paper" if about.experiment else "",
        departures=_departures(config),
        weights=weights_said(config),
        config=OmegaConf.to_yaml(config),
        version=__version__,
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
    )


def _footnotes(
    config: Any, split: Part, data: RestorationData, metrics: MetricSettings, interpolations: Interpolations | None
) -> list[str]:
    """What a reader must know of the scores: images, window, how the small ones were made, each metric's convention."""
    lines = [f"{split} part, window {config.sampling.window}, whole images, PSNR peak 1.0, SSIM 11x11 sigma 1.5"]
    patients = patients_known(data.items(split, role=None))
    if patients != "known":
        lines.append(
            f"patients {patients}: every such image is its own group, so one patient's slices may lie in training and "
            "test, and intervals and p-values may be too narrow"
        )
    operator = data.degradation
    if isinstance(operator, Downsample):
        channels = "one channel" if config.model.generator.channels == 1 else "mean over channels, no Y"
        lines.append(f"low resolution: {operator.convention}; in physical values, before the window")
        lines.append(
            f"scores of [0, 1], data range 1, {channels}, no border cut, nothing rounded; images cut to a multiple of "
            f"{operator.scale}"
        )
    if interpolations is not None:
        lines.append(interpolations.said)
    if metrics.lpips and metrics.lpips_weights == "random":
        lines.append("LPIPS has a random backbone (no ImageNet weights here): compare rows, never papers")
    elif not metrics.lpips and config.evaluation.lpips == TRAINED:
        lines.append("LPIPS is left out: it needs ImageNet weights, which are not here")
    if metrics.fourier != "none":
        how = "channels averaged first" if metrics.fourier == "grey" else "mean over channels"
        lines.append(f"Fourier error: magnitude spectra, orthonormal FFT of [0, 1] images, {how}, no window")
    if metrics.spectral:
        bands = f"above {NYQUIST / operator.scale:.4g} cycles a pixel, what the input cannot hold"
        where = "at all frequencies" if operator.scale == 1 else bands
        lines.append(
            f"spectral distance: mean |difference| in dB of the power in 32 rings, {where}; Hann window; blind to "
            "phase, so that repeated pixels and noise pass for detail"
        )
    return lines


def selected_epochs(run: Run) -> list[str]:
    """Which epochs the learned rows are, one line; none where their files do not say."""
    files = {
        "pretrained": run.directory / "pretrained.safetensors",
        "restored": run.directory / "generator.safetensors",
    }
    said = {row: read_metadata(path).get("selected") for row, path in files.items() if path.exists()}
    told = "; ".join(f"{row}: {epoch}" for row, epoch in said.items() if epoch)
    return [f"weights of {told}"] if told else []


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _departures(config: Any) -> list[tuple[str, str, str]]:
    """What of this run differs from the paper's recipe of its experiment."""
    if not config.about.experiment:
        return []
    paper = compose("train", [f"experiment={config.about.experiment}", "budget=paper"])
    keys = ("epochs", "pretrain_epochs", "sampling", "degradation", "model", "loss", "dataset", "feature_weights")
    ours, theirs = flat(config, keys), flat(resolved(paper), keys)
    return [
        (key, ours.get(key, "-"), theirs.get(key, "-"))
        for key in sorted({**ours, **theirs})
        if ours.get(key) != theirs.get(key) and not key.startswith("model.content")
    ]


def weights_said(config: Any) -> str:
    """What the weights of a run were: from scratch or another run, and the backbone of its feature loss."""
    start = f"from {config.generator_weights}" if config.generator_weights else "trained from scratch"
    features = f"; feature loss on a {config.feature_weights} VGG19" if "feature" in config.get("loss", {}) else ""
    return f"generator {start}{features}"


def metric_settings(config: Any) -> MetricSettings:
    """Which scores are taken; `auto` finds ImageNet weights for LPIPS or says that there are none."""
    weights, asked = config.metrics.lpips_weights, config.evaluation.lpips
    if weights == "auto":
        weights = "imagenet" if backbone_file() is not None else "random"
    taken = weights != "random" if asked == TRAINED else bool(asked)
    return MetricSettings(taken, weights, config.evaluation.fourier, config.evaluation.spectral)
