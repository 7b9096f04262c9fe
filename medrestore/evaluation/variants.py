"""Which trainings are the same but for their seed, what differs between the others, and what to call them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Settings that do not make another model: where files lie, what is logged and judged, copies of other settings.
# `hardware.precision` stays, because it changes the numbers; `seed` is what the spread is taken over.
_SILENT = frozenset(
    {
        *("seed", "ckpt", "logger", "callbacks", "evaluation", "metrics", "judge", "debug", "about.paper", "objective"),
        *("hardware.accelerator", "hardware.devices", "hardware.workers", "sampling.cache_gb", "sampling.split.file"),
        *("hardware.num_nodes", "hardware.strategy", "hardware.pin_memory", "hardware.channels_last"),
        *("hardware.compile", "hardware.activation_checkpointing"),
        *("dataset.root", "dataset.degraded", "dataset.target", "dataset.natural", "dataset.data_seed"),
        *("model.content", "model.pretrain_epochs", "model.critic.channels"),
    }
)
_TOLD = 3  # differing settings in a name; the table of parameters has them all


def essence(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's configuration makes its model, without the seed: equal for trainings that differ by it alone.

    Args:
        config: as plain containers, interpolations resolved.
    """

    def kept(node: Any, path: str) -> Any:
        if not isinstance(node, Mapping):
            return node
        paths = {key: f"{path}.{key}" if path else str(key) for key in node}
        return {key: kept(value, paths[key]) for key, value in node.items() if paths[key] not in _SILENT}

    return kept(config, "")


def identity_of(config: Mapping[str, Any]) -> str:
    """A text that two configurations share when they differ in nothing that `essence` keeps."""
    return json.dumps(essence(config), sort_keys=True, default=str)


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The settings that are not the same in all configurations.

    Where a part is another class, the class is told, and within the configurations of one class what differs in it.

    Returns:
        By dotted key, the value of each configuration as text; "none" where it has no such key.
    """
    found: dict[str, list[str]] = {}

    def record(path: str, nodes: Mapping[int, Any]) -> None:
        found[path] = [_text(nodes[i]) if i in nodes else "none" for i in range(len(configs))]

    def walk(path: str, nodes: Mapping[int, Any]) -> None:
        values = list(nodes.values())
        if all(value == values[0] for value in values):
            return
        classes: dict[Any, dict[int, Any]] = {}
        for index, value in nodes.items():
            classes.setdefault(value.get("_target_", "") if isinstance(value, Mapping) else None, {})[index] = value
        if None in classes or len(classes) > 1:
            record(path, nodes)
        for kind, same in classes.items():
            if kind is not None:
                into(path, same)

    def into(path: str, nodes: Mapping[int, Mapping[str, Any]]) -> None:
        for key in dict.fromkeys(key for node in nodes.values() for key in node):
            child = f"{path}.{key}" if path else str(key)
            held = {index: node[key] for index, node in nodes.items() if key in node}
            if len(held) < len(nodes):
                record(child, held)
            if len(held) == len(nodes) or all(isinstance(value, Mapping) for value in held.values()):
                walk(child, held)

    walk("", dict(enumerate(essence(config) for config in configs)))
    return {key: values for key, values in found.items() if len(set(values)) > 1}


def names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A short name for each of several models, no two the same.

    `about.variant` where a sweep set it; else the experiment, where there are several; what differs between those that
    would share a name is added: "critic_steps=1, smoothness=on".
    """
    experiments = {config["about"].get("experiment") for config in configs}
    labels = [
        str(config["about"].get("variant") or (config["about"].get("experiment") if len(experiments) > 1 else "") or "")
        for config in configs
    ]
    result = list(labels)
    for label in set(labels):
        members = [index for index, other in enumerate(labels) if other == label]
        if len(members) > 1:
            for index, said in zip(members, _said([configs[i] for i in members]), strict=True):
                result[index] = f"{label} ({said})" if label else said
        elif not label:
            result[members[0]] = str(configs[members[0]]["about"].get("experiment") or "restored")
    seen: dict[str, int] = {}
    for index, name in enumerate(result):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            result[index] = f"{name} #{seen[name]}"
    return result


def _said(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    table = {key: values for key, values in differing(configs).items() if key != "about.variant"}
    short = {key: ".".join(key.split(".")[-2 if key.count(".") > 1 else -1 :]) for key in table}
    if len(set(short.values())) < len(short):
        short = {key: key for key in table}
    more = f", {len(table) - _TOLD} more" if len(table) > _TOLD else ""
    keys = list(table)[:_TOLD]
    return [", ".join(f"{short[key]}={table[key][index]}" for key in keys) + more for index in range(len(configs))]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["_target_"]).rpartition(".")[2] if "_target_" in value else "on"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
