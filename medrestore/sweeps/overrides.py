"""What a sweep varies, as typed on the command line and in `hydra.sweeper.params`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medrestore.config import CONF_DIR, compose, first_line
from medrestore.errors import MedrestoreError


def parsed(overrides: Sequence[str]) -> list[Any]:
    """Hydra's `Override` of each text.

    Raises:
        MedrestoreError: one that Hydra's grammar cannot read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        loader = _loader() if any("glob(" in override for override in overrides) else None
        return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    except HydraException as error:
        raise MedrestoreError(first_line(str(error))) from None


def _loader() -> Any:
    """Hydra's knowledge of which options a group has."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():
        return GlobalHydra.instance().config_loader()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return GlobalHydra.instance().config_loader()


def swept(hydra: Any) -> list[Any]:
    """The overrides of a sweep that take several values; those of the command line beat those of the sweeper.

    Args:
        hydra: Hydra's own settings of the sweep.
    """
    found = {override.get_key_element(): override for override in parsed([*_params(hydra), *hydra.overrides.task])}
    return [override for override in found.values() if override.is_sweep_override()]


def try_jobs(name: str, overrides: Sequence[str]) -> Any:
    """Compose jobs of a sweep before any starts: one with the first values, one for each other option of a group.

    Args:
        name: of the root config.
        overrides: as typed.

    Returns:
        The configuration of the first job, with Hydra's settings of the sweep under `hydra`.

    Raises:
        MedrestoreError: a key or option that does not exist, values that the sweeper cannot search, or jobs that their
            launcher cannot run.
    """
    typed = [override for override in overrides if not override.startswith("-")]
    ours = parsed(typed)
    start = [_first(override) for override in ours]
    config = compose(name, start, hydra=True)
    config.hydra.overrides.task = [line for line in typed if not line.startswith(("hydra.", "hydra/"))]
    varied = swept(config.hydra)
    for override in varied:
        if override.is_interval_sweep() and config.hydra.runtime.choices["hydra/sweeper"] == "basic":
            raise MedrestoreError(
                f"{override.input_line} is a continuous range, which the basic sweeper cannot list; "
                "type hydra/sweeper=tpe, or the values"
            )
    keys = {override.get_key_element() for override in ours}
    start = [_first(o) for o in parsed(_params(config.hydra)) if o.get_key_element() not in keys] + start
    if len(start) > len(ours):
        config = compose(name, start, hydra=True)
    _refuse_devices(config, config.hardware.devices)
    for override in varied:
        for value in _values(override)[1:]:
            if (CONF_DIR / override.key_or_group).is_dir():
                other = f"{override.get_key_element()}={value}"
                job = [other if line == _first(override) else line for line in start]
                _refuse_devices(config, compose(name, job).hardware.devices)
            elif override.key_or_group == "hardware.devices":
                _refuse_devices(config, value)
    return config


def device_count(setting: Any) -> int:
    """How many devices `hardware.devices` asks for: a number, a list of them, or as text `auto`, which is one."""
    if isinstance(setting, int):
        return max(1, setting)
    text = str(setting).strip("[]")
    return max(1, int(text)) if text.lstrip("-").isdigit() and "," not in text else len(text.split(","))


def short(value: str) -> str:
    """A value as it is told: four digits of a number that has more."""
    try:
        return min(value, f"{float(value):.4g}", key=len)
    except ValueError:
        return value


def _params(hydra: Any) -> list[str]:
    """What the sweeper itself is given to vary, in the grammar of overrides."""
    return [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]


def _first(override: Any) -> str:
    """An override with the first of its values."""
    return (
        f"{override.get_key_element()}={_values(override)[0]}" if override.is_sweep_override() else override.input_line
    )


def _values(override: Any) -> list[str]:
    """The values of a sweep in the grammar of overrides; the ends of an interval."""
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    return [repr(override.value().start), repr(override.value().end)]


def _refuse_devices(config: Any, devices: Any) -> None:
    several = device_count(devices) > 1 or devices == "all"
    if config.hydra.runtime.choices["hydra/launcher"] == "basic" and several:
        raise MedrestoreError(
            f"hardware.devices={devices}: the jobs of this sweep share one process, which cannot start several more a "
            "job; type hydra/launcher=gpu_pool"
        )
