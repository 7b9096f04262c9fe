"""Everything that touches Hydra: where configs lie, how a command starts, how objects are built from a config.

A command composes its configuration before anything heavy is imported, so that a typing error costs a second. Hydra's
own errors become one line with the nearest known name.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError

_PACKAGE = Path(__file__).resolve().parent
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf" / "train.yaml").exists() else _PACKAGE.parent / "conf"

# Values of these keys are paths: they are quoted before Hydra's grammar sees brackets, blanks or umlauts in them.
_PATH_KEYS = (
    "dataset.root", "dataset.degraded", "dataset.target", "sampling.split.file", "run", "input", "output", "ckpt",
    "generator_weights", "feature_weights", "metrics.lpips_weights", "hydra.run.dir",
)  # fmt: skip
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_/.\-:+@%\\]*\Z")

# Packages whose classes a config may name. A config is code that its author runs; this only keeps typing errors and
# foreign files from reaching into the operating system.
TARGET_PACKAGES = ["medrestore", "torch", "torchvision", "torchmetrics", "pytorch_lightning", "kornia", "albumentations"]


def main(name: str) -> Callable[[Callable[[Any], Any]], Callable[[], None]]:
    """Turn `task(cfg)` into the command `python -m medrestore.<name>`.

    Args:
        name: the root config `conf/<name>.yaml`.

    Returns:
        A decorator. The command ends with code 0, with what the task returns when that is an int, or with 2 and one
        line on standard error when the user made a mistake. Only `train` sweeps and owns a run directory.
    """

    def decorate(task: Callable[[Any], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def command() -> None:
            arguments = sys.argv[1:]
            if {"-h", "--help"} & set(arguments):
                print(_help(name, task.__doc__ or ""))
                return
            sweep = bool({"-m", "--multirun"} & set(arguments))
            overrides = [quote_path(argument, sweep) for argument in arguments]
            try:
                code = _hydra_app(name, task, overrides, sweep) if name == "train" else task(_base(name, overrides))
            except MedrestoreError as error:
                print(f"medrestore: {error}", file=sys.stderr)
                code = 2
            sys.exit(code if isinstance(code, int) else 0)

        return command

    return decorate


def _base(name: str, overrides: list[str]) -> Any:
    """Compose a command without sweeps; what its root config does not know is kept in `run_overrides`."""
    from omegaconf import OmegaConf, open_dict

    root = OmegaConf.load(CONF_DIR / f"{name}.yaml")
    groups = [list(entry)[0] for entry in root.get("defaults", []) if OmegaConf.is_dict(entry)]
    if "run" not in root:
        return compose(name, overrides)
    known = [key for key in (*root.keys(), *groups) if key != "defaults"]
    own = [o for o in overrides if _key(o).split(".")[0] in known]
    config = compose(name, own)
    with open_dict(config):
        config.run_overrides = [o for o in overrides if o not in own]
    return config


def _hydra_app(name: str, task: Callable[[Any], Any], overrides: list[str], sweep: bool) -> Any:
    """Run `task` under Hydra after a trial composition, so that errors are ours and leave no directory behind."""
    flags = [o for o in overrides if o.startswith("-") and o not in ("-m", "--multirun")]
    if not flags:
        compose(name, _first_of_sweep(overrides) if sweep else overrides)
    import hydra
    from hydra.core.hydra_config import HydraConfig

    _register_resolvers()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # a bug shows its whole traceback; users' mistakes are one line
    outcome: list[Any] = []

    def job(cfg: Any) -> Any:
        directory = Path(HydraConfig.get().runtime.output_dir)
        try:
            outcome.append(task(cfg))
            return outcome[-1]
        except MedrestoreError as error:
            _remove_empty(directory)
            if HydraConfig.get().mode.name == "MULTIRUN":
                raise  # the job is marked as failed and the sweep goes on
            outcome.append(2)
            print(f"medrestore: {error}", file=sys.stderr)
            return None

    sys.argv[1:] = overrides
    hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=name)(job)()
    return 2 if outcome and isinstance(outcome[-1], int) and outcome[-1] == 2 else 0


def compose(name: str, overrides: list[str]) -> Any:
    """Compose `conf/<name>.yaml` with overrides such as `["experiment=cervix_deblur", "seed=1"]`.

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

    _register_resolvers()
    plain = [o for o in overrides if not o.startswith("-")]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
            try:
                return hydra_compose(name, plain)
            except (HydraException, OmegaConfBaseException) as error:
                raise MedrestoreError(_explain(name, plain, error, hydra_compose)) from None
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

    config = OmegaConf.create(OmegaConf.to_container(base, resolve=False))
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise MedrestoreError(_first_line(str(error))) from None
    for override in sorted(parsed, key=lambda o: "." in o.key_or_group):  # groups first, then values inside them
        key, value = override.key_or_group, override.value()
        if (CONF_DIR / key).is_dir() and isinstance(value, str):
            with open_dict(config):
                config[key] = compose("train", [f"{key}={value}"])[key]
        elif not _has(config, key) and not override.is_add():
            raise MedrestoreError(f"unknown key {key!r}{_near(key, list(_flat_keys(config)))}")
        else:
            OmegaConf.update(config, key, value, force_add=True)
    return config


def build(config: Any) -> Any:
    """Make the object a config node describes (`_target_`, `_partial_`); plain containers become plain Python.

    The only caller of `hydra.utils.instantiate`.

    Raises:
        MedrestoreError: the target is not a class of this project or of the libraries it builds on.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    for path, node in _targets(config):
        package = str(node["_target_"]).split(".")[0]
        if package not in TARGET_PACKAGES:
            raise MedrestoreError(f"{path}._target_={node['_target_']!r} is not one of {', '.join(TARGET_PACKAGES)}")
    if OmegaConf.is_config(config) and "_target_" not in config:
        return {str(key): build(value) for key, value in config.items()} if OmegaConf.is_dict(config) else list(config)
    return instantiate(config, _convert_="all")


def check(config: Any) -> list[str]:
    """Look for mistakes that composition cannot see, before any computing.

    Returns:
        Warnings, one line each.

    Raises:
        MedrestoreError: an argument its target does not take, or values that contradict each other, with the
            override to type.
    """
    import inspect

    from hydra.utils import get_class

    for path, node in _targets(config):
        try:
            parameters = inspect.signature(get_class(str(node["_target_"]))).parameters
        except Exception as error:  # whatever the import of a foreign module raises
            raise MedrestoreError(f"{path}._target_={node['_target_']!r} cannot be loaded: {error}") from None
        for key in node:
            if not str(key).startswith("_") and key not in parameters:
                raise MedrestoreError(f"{path}.{key} is not an argument of {node['_target_']}{_near(key, parameters)}")
    return _check_values(config)


def _check_values(config: Any) -> list[str]:
    known = set(_root_keys("train"))
    for key in config:
        if key not in known:
            raise MedrestoreError(f"unknown key {key!r}{_near(str(key), known)}")
    if "model" not in config or "generator" not in config.model or config.model.generator is None:
        raise MedrestoreError("model.generator is not set; type network@model.generator=plain or budget=quick")
    if config.epochs < 1:
        raise MedrestoreError(f"epochs={config.epochs} trains nothing; type epochs=1 or more")
    if not 0 <= config.pretrain_epochs < config.epochs:
        raise MedrestoreError(
            f"pretrain_epochs={config.pretrain_epochs} must be at least 0 and less than epochs={config.epochs}; "
            f"type pretrain_epochs={max(0, min(config.pretrain_epochs, config.epochs - 1))}"
        )
    steps = config.model.get("critic_steps", 1)
    if steps < 1:
        raise MedrestoreError(f"model.critic_steps={steps} never trains the critic; type model.critic_steps=1")
    scale = config.degradation.operator.get("scale", 1)
    own = config.model.generator.get("scale", 1)
    if scale != own:
        raise MedrestoreError(
            f"the degradation shrinks by {scale} but the generator enlarges by {own}; type model.generator.scale={scale}"
        )
    stride = 4 if str(config.model.generator.get("_target_", "")).endswith("ResnetGenerator") else scale
    if config.sampling.crop % stride:
        nearest = max(stride, config.sampling.crop // stride * stride)
        raise MedrestoreError(
            f"sampling.crop={config.sampling.crop} is not a multiple of the generator's {stride}; "
            f"type sampling.crop={nearest}"
        )
    if config.select != "last" and not str(config.select).startswith("val/"):
        raise MedrestoreError(f"select={config.select!r} is not known; type select=last or select=val/psnr")
    warnings = []
    if config.model.get("critic", {}).get("norm") == "batch" and config.model.get("penalty_weight", 0) > 0:
        warnings.append(
            "model.critic.norm=batch mixes the samples of a batch, which the gradient penalty forbids "
            "(WGAN-GP, section 4); kept because it was asked for, model.critic.norm=instance is sound"
        )
    return warnings


def quote_path(argument: str, sweep: bool = False) -> str:
    """Quote the value of a path key when Hydra's grammar would stumble over it; a sweep keeps its commas."""
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in _PATH_KEYS or value[:1] in ("'", '"', "["):
        return argument
    if _PLAIN_PATH.match(value) or (sweep and "," in value):
        return argument
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _register_resolvers() -> None:
    from omegaconf import OmegaConf

    if not OmegaConf.has_resolver("run_id"):
        OmegaConf.register_new_resolver("run_id", _run_id, use_cache=True)


def _run_id() -> str:
    """The name of a run directory: the time, or what all ranks of one job agree on."""
    from datetime import datetime

    for variable in ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"):
        if variable in os.environ:  # torchrun's default id is "none": its ranks share a parent process as well
            return f"{variable.split('_')[0].lower()}-{os.environ[variable]}-{os.environ.get('MASTER_PORT', '0')}"
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


def _first_of_sweep(overrides: list[str]) -> list[str]:
    """Replace each sweep by its first value, so that the trial composition sees one job."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    plain = [o for o in overrides if not o.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(plain)
    except HydraException as error:
        raise MedrestoreError(_first_line(str(error))) from None
    single = []
    for text, override in zip(plain, parsed, strict=True):
        if override.is_sweep_override() and (override.is_choice_sweep() or override.is_range_sweep()):
            text = f"{text.partition('=')[0]}={next(iter(override.sweep_string_iterator()))}"
        elif override.is_sweep_override():
            continue  # interval(...) is the sweeper's business
        single.append(text)
    return single


def _explain(name: str, overrides: list[str], error: Exception, compose_again: Callable[..., Any]) -> str:
    """One line for a Hydra error, with the nearest known name."""
    text = str(error)
    missing = re.search(r"Could not find '([^']+)'", text)
    if missing:
        group, _, option = missing.group(1).rpartition("/")
        options = sorted(p.stem for p in (CONF_DIR / group).glob("*.yaml")) if group else []
        return f"unknown option {group}={option}{_near(option, options)}; there are: {', '.join(options)}"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1)
        rest = [o for o in overrides if _key(o) != key]
        try:
            known = list(_flat_keys(compose_again(name, rest))) + [p.name for p in CONF_DIR.iterdir() if p.is_dir()]
        except Exception:  # a second mistake in the same line: the first one is told, without a suggestion
            known = []
        return f"unknown key {key!r}{_near(key, known)}"
    return _first_line(text)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else "the command line cannot be read"


def _near(word: str, known: Any) -> str:
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if not close:  # a right name in the wrong place, such as critic_steps for model.critic_steps
        close = [name for name in names if name.rpartition(".")[2] == str(word).rpartition(".")[2]][:1]
    return f"; did you mean {close[0]!r}?" if close else ""


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


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
            node = OmegaConf.to_container(config, resolve=False)[key]
            if isinstance(node, dict):
                yield from _flat_keys(config._get_node(key), f"{prefix}{key}.")


def _targets(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
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
        yield from _targets(value, f"{path}.{key}" if path else key)


def _root_keys(name: str) -> list[str]:
    """The top-level keys a configuration may have: those of its root file and the config groups."""
    from omegaconf import OmegaConf

    groups = [path.name for path in CONF_DIR.iterdir() if path.is_dir()]
    return [str(key) for key in OmegaConf.load(CONF_DIR / f"{name}.yaml") if key not in ("defaults", "hydra")] + groups


def _remove_empty(directory: Path) -> None:
    if directory.is_dir() and not any(p.is_file() for p in directory.rglob("*")) and directory != Path.cwd():
        shutil.rmtree(directory, ignore_errors=True)


def _help(name: str, purpose: str) -> str:
    """The help page, from the config files themselves: nothing heavy is imported."""
    body = (CONF_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    groups = re.findall(r"^  - (?:override |optional )?/?([a-z_]+): ", body, flags=re.MULTILINE)
    lines = [purpose.strip(), "", f"usage: python -m medrestore.{name} [key=value ...]", ""]
    for group in dict.fromkeys(groups):
        options = sorted(p.stem for p in (CONF_DIR / group).glob("*.yaml"))
        if options:
            lines.append(f"  {group}={'|'.join(options)}")
    keys = body.split("\nhydra:")[0].partition("# Keys")[2].partition("\n")[2]
    return "\n".join([*lines, "", "keys:", *(f"  {line}" for line in keys.splitlines() if line.strip())])
