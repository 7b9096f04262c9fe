"""`budget=paper` is the papers': every pinned key of `recipes.yaml` against the composed configuration."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from medrestore.config import CONF_DIR, compose, plain

_TABLE: dict[str, dict[str, Any]] = OmegaConf.to_container(  # type: ignore[assignment]
    OmegaConf.load(Path(__file__).with_name("recipes.yaml"))
)
_PINS = [(experiment, key) for experiment, pins in _TABLE.items() for key in pins]


@cache
def composed(experiment: str) -> Any:
    assert (CONF_DIR / "experiment" / f"{experiment}.yaml").is_file(), f"conf/experiment/{experiment}.yaml is missing"
    return compose("train", [f"experiment={experiment}", "budget=paper"])


def value_of(config: Any, key: str) -> Any:
    """The value of a key, or the default of the class that its parent names."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    assert node is not None, f"{parent} is not in the configuration"
    if name in node:
        return plain(node[name])
    module, _, target = str(node["_target_"]).rpartition(".")
    return inspect.signature(getattr(import_module(module), target)).parameters[name].default


def images_of(config: Any, key: str, total: int) -> int:
    """How many of `total` images the parts named by `sampling.split.a+b` are."""
    shares = [config.sampling.split[part] for part in key.rpartition(".")[2].split("+")]
    return round(sum(share if isinstance(share, int) else total * share for share in shares))


@pytest.mark.parametrize(("experiment", "key"), _PINS, ids=[f"{experiment}-{key}" for experiment, key in _PINS])
def test_budget_paper_is_the_papers(experiment: str, key: str) -> None:
    pinned, source = _TABLE[experiment][key]
    config = composed(experiment)
    if not isinstance(pinned, dict):
        found, right = value_of(config, key), pinned
    elif "of" in pinned:
        found, right = images_of(config, key, pinned["of"]), pinned["images"]
    elif "keys" in pinned:
        found, right = sorted(value_of(config, key) or []), sorted(pinned["keys"])
    elif "any_of" in pinned:
        found = value_of(config, key)
        right = found if found in pinned["any_of"] else pinned["any_of"]
    else:
        found = value_of(config, key)
        right = found if found >= pinned["at_least"] else pinned
    assert found == right, f"{key} is {found}; {source} has {pinned}"


def test_every_scheme_with_a_paper_recipe_is_pinned() -> None:
    experiments = {path.parent.name for path in (CONF_DIR / "recipe").glob("*/paper.yaml")}
    schemes = {
        name
        for name in experiments
        if (CONF_DIR / "experiment" / f"{name}.yaml").is_file() and "generator" in composed(name).model
    }
    assert schemes <= set(_TABLE), "write what the paper says into tests/recipes.yaml"
