"""Mistakes that composition cannot see, found before any computing."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from medrestore.config import CONF_DIR, near, targets
from medrestore.errors import MedrestoreError

_SELECTIONS = ("last", "val/psnr", "val/ssim", "psnr_ssim")


def check(config: Any) -> list[str]:
    """Look for mistakes that composition cannot see, before any computing.

    Returns:
        Warnings, one line each.

    Raises:
        MedrestoreError: an argument its target does not take, or values that contradict each other, with the
            override to type.
    """
    for path, node in targets(config):
        try:
            module, _, name = str(node["_target_"]).rpartition(".")
            parameters = inspect.signature(getattr(import_module(module), name)).parameters
        except Exception as error:  # whatever the import of a foreign module raises
            raise MedrestoreError(f"{path}._target_={node['_target_']!r} cannot be loaded: {error}") from None
        for key in node:
            if not str(key).startswith("_") and key not in parameters:
                raise MedrestoreError(f"{path}.{key} is not an argument of {node['_target_']}{near(key, parameters)}")
    return _check_values(config)


def _check_values(config: Any) -> list[str]:
    known = set(_root_keys("train"))
    for key in config:
        if key not in known:
            raise MedrestoreError(f"unknown key {key!r}{near(str(key), known)}")
    judge = "channels" in config.get("model", {})  # a judge is one network; a scheme names its generator
    if not judge and ("generator" not in config.get("model", {}) or config.model.generator is None):
        raise MedrestoreError("model.generator is not set; type network@model.generator=plain or budget=quick")
    if config.epochs < 1:
        raise MedrestoreError(f"epochs={config.epochs} trains nothing; type epochs=1 or more")
    if not 0 <= config.pretrain_epochs < config.epochs:
        raise MedrestoreError(
            f"pretrain_epochs={config.pretrain_epochs} must be at least 0 and less than epochs={config.epochs}; "
            f"type pretrain_epochs={max(0, min(config.pretrain_epochs, config.epochs - 1))}"
        )
    if judge:
        return []
    steps = config.model.get("critic_steps", 1)
    if steps < 1:
        raise MedrestoreError(f"model.critic_steps={steps} never trains the critic; type model.critic_steps=1")
    parts = config.model.get("accumulate", 1)
    if not 1 <= parts <= config.sampling.batch_size:
        raise MedrestoreError(
            f"model.accumulate={parts} cannot cut a batch of sampling.batch_size={config.sampling.batch_size}; "
            f"type model.accumulate={min(max(1, parts), config.sampling.batch_size)}"
        )
    scale = config.degradation.operator.get("scale", 1)
    own = config.model.generator.get("scale", 1)
    if scale != own:
        raise MedrestoreError(
            f"the degradation shrinks by {scale}, the generator enlarges by {own}; type model.generator.scale={scale}"
        )
    stride = 4 if str(config.model.generator.get("_target_", "")).endswith("ResnetGenerator") else scale
    if config.sampling.crop % stride:
        nearest = max(stride, config.sampling.crop // stride * stride)
        raise MedrestoreError(
            f"sampling.crop={config.sampling.crop} is not a multiple of the generator's {stride}; "
            f"type sampling.crop={nearest}"
        )
    for key in ("select", "pretrain_select"):
        if config[key] not in _SELECTIONS:
            known = " or ".join(f"{key}={name}" for name in _SELECTIONS)
            raise MedrestoreError(f"{key}={config[key]!r} is not known; type {known}")
    if config.evaluation.lpips not in (True, False, "trained"):
        raise MedrestoreError(
            f"evaluation.lpips={config.evaluation.lpips!r} is not known; type evaluation.lpips=true, false or trained"
        )
    warnings = []
    if config.model.get("critic", {}).get("norm") == "batch" and config.model.get("penalty_weight", 0) > 0:
        warnings.append(
            "model.critic.norm=batch mixes the samples of a batch, which the gradient penalty forbids "
            "(WGAN-GP, section 4); kept because it was asked for, model.critic.norm=instance is sound"
        )
    return warnings


def _root_keys(name: str) -> list[str]:
    """The top-level keys a configuration may have: those of its root file and the config groups."""
    from omegaconf import OmegaConf

    groups = [path.name for path in CONF_DIR.iterdir() if path.is_dir()]
    return [str(key) for key in OmegaConf.load(CONF_DIR / f"{name}.yaml") if key not in ("defaults", "hydra")] + groups
