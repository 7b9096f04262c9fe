"""Configurations: where they lie, how they are composed, how objects are built from them.

Hydra's own errors become one line with the nearest known name.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError
from medrestore.processes import in_slurm_shell

_PACKAGE = Path(__file__).resolve().parent
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf" / "train.yaml").exists() else _PACKAGE.parent / "conf"

# Packages whose classes a config may name. A config is code that its author runs; this only keeps typing errors and
# foreign files from reaching into the operating system.
TARGET_PACKAGES = [
    "medrestore",
    "torch",
    "torchvision",
    "torchmetrics",
    "pytorch_lightning",
    "kornia",
    "albumentations",
]


def compose(name: str, overrides: list[str], hydra: bool = False) -> Any:
    """Compose `conf/<name>.yaml` with overrides such as `["experiment=cervix_deblur", "seed=1"]`.

    Args:
        name: of the root file.
        overrides: as typed.
        hydra: whether Hydra's own settings are wanted under the key `hydra`.

    Returns:
        The DictConfig (struct mode on).

    Raises:
        MedrestoreError: an unknown key, an unknown option or an unparsable value, with the nearest known name.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register_resolvers()
    given = [o for o in overrides if not o.startswith("-")]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
            try:
                return hydra_compose(name, given, return_hydra_config=hydra)
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise MedrestoreError(_explain(name, given, error, hydra_compose)) from None
    finally:
        GlobalHydra.instance().clear()


def overlay(base: Any, overrides: list[str]) -> Any:
    """Apply only the given overrides to a saved run configuration.

    `dataset=cervix` replaces the whole group by `conf/dataset/cervix.yaml`; `dataset.root=DIR` sets one value.

    Raises:
        MedrestoreError: a key that the configuration does not have.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict

    config: Any = OmegaConf.create(OmegaConf.to_container(base, resolve=False))
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise MedrestoreError(first_line(str(error))) from None
    for override in sorted(parsed, key=lambda o: "." in o.key_or_group):  # groups first, then values inside them
        key, value = override.key_or_group, override.value()
        if (CONF_DIR / key).is_dir() and isinstance(value, str):
            with open_dict(config):
                config[key] = compose("train", [f"{key}={value}"])[key]
        elif not _has(config, key) and not override.is_add():
            raise MedrestoreError(f"unknown key {key!r}{near(key, list(_flat_keys(config)))}")
        else:
            OmegaConf.update(config, key, value, force_add=True)
    return config


def build(config: Any) -> Any:
    """Make the object a config node describes (`_target_`, `_partial_`); plain containers become plain Python.

    The only caller of `hydra.utils.instantiate`.

    Raises:
        MedrestoreError: the target is not a class of this project or of the libraries it builds on.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    for path, node in targets(config):
        package = str(node["_target_"]).split(".")[0]
        if package not in TARGET_PACKAGES:
            raise MedrestoreError(f"{path}._target_={node['_target_']!r} is not one of {', '.join(TARGET_PACKAGES)}")
    if OmegaConf.is_config(config) and "_target_" not in config:
        return {str(key): build(value) for key, value in config.items()} if OmegaConf.is_dict(config) else list(config)
    try:
        return instantiate(config, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, MedrestoreError):  # what the class itself says is the line for the user
            raise error.__cause__ from None
        raise


def register_resolvers() -> None:
    """Make `${run_id:}` known, the name of a run directory."""
    from omegaconf import OmegaConf

    if not OmegaConf.has_resolver("run_id"):
        OmegaConf.register_new_resolver("run_id", run_id, use_cache=True)


_agreed: list[str] = []


def agree_on_run_id(name: str) -> None:
    """Take the name that the first process of a command chose."""
    _agreed[:] = [name]


@functools.cache
def run_id() -> str:
    """The name of a run directory: the time, or the SLURM job's, which is the same when it is requeued. One a process.

    Processes that torchrun started seconds apart have agreed on that of the first.
    """
    from datetime import datetime

    if _agreed:
        return _agreed[0]
    if "SLURM_JOB_ID" in os.environ and not in_slurm_shell():
        return f"slurm-{os.environ['SLURM_JOB_ID']}"
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


def _explain(name: str, overrides: list[str], error: Exception, compose_again: Callable[..., Any]) -> str:
    """One line for a Hydra error, with the nearest known name."""
    from hydra.core.global_hydra import GlobalHydra

    text = str(error)
    missing = re.search(r"Could not find '([^']+)'", text)
    if missing:
        group, _, option = missing.group(1).rpartition("/")
        loader = GlobalHydra.instance().config_loader()
        options = sorted(loader.get_group_options(group)) if group else []
        return f"unknown option {group}={option}{near(option, options)}; there are: {', '.join(options)}"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1)
        rest = [o for o in overrides if key_of(o) != key]
        try:
            composed = compose_again(name, rest, return_hydra_config=key.startswith("hydra."))
            known = list(_flat_keys(composed)) + [p.name for p in CONF_DIR.iterdir() if p.is_dir()]
        except Exception:  # a second mistake in the same line: the first one is told, without a suggestion
            known = []
        return f"unknown key {key!r}{near(key, known)}"
    return first_line(text)


def first_line(text: str) -> str:
    """The first two lines of an error as one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else "the command line cannot be read"


def plain(config: Any) -> Any:
    """A configuration node as plain Python containers, interpolations resolved."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def near(word: str, known: Any) -> str:
    """`; did you mean 'x'?` for the nearest known name, or nothing."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if not close:  # a right name in the wrong place, such as critic_steps for model.critic_steps
        close = [name for name in names if name.rpartition(".")[2] == str(word).rpartition(".")[2]][:1]
    return f"; did you mean {close[0]!r}?" if close else ""


def key_of(override: str) -> str:
    """The key of `+a.b=c`: `a.b`."""
    return override.partition("=")[0].lstrip("+~")


def quoted(text: str) -> str:
    """A text as Hydra's grammar reads it back unchanged."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _has(config: Any, key: str) -> bool:
    from omegaconf import OmegaConf

    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(config, parent, default=None) if parent else config
    return OmegaConf.is_dict(node) and last in list(node)  # a missing value (???) is a key all the same


def _flat_keys(config: Any, prefix: str = "") -> Iterator[str]:
    from omegaconf import OmegaConf

    for key in config:
        yield f"{prefix}{key}"
        if not OmegaConf.is_missing(config, key):
            node = config._get_node(key)  # an interpolation is a key too, whatever it points at
            if OmegaConf.is_dict(node):
                yield from _flat_keys(node, f"{prefix}{key}.")


def targets(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every mapping with a `_target_`, with the path that an override would name."""
    from omegaconf import OmegaConf

    if OmegaConf.is_dict(config):
        if "_target_" in config:
            yield path, config
        children = [(str(key), config.get(key)) for key in config if not OmegaConf.is_missing(config, key)]
    elif OmegaConf.is_list(config):
        children = [(str(index), value) for index, value in enumerate(config)]
    else:
        return
    for key, value in children:
        yield from targets(value, f"{path}.{key}" if path else key)
