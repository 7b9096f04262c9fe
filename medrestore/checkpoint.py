"""Restorers on disk: the only place that reads or writes weights.

What leaves a run is `generator.safetensors`: tensors and JSON, nothing that runs when it is loaded. From its metadata
only classes of `medrestore.networks` are ever built.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from medrestore import __version__, networks
from medrestore.errors import MedrestoreError

NOTICE = "Not for diagnosis: research use only."


def save_generator(path: Path, generator: nn.Module, network: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write a generator with everything needed to use it, atomically.

    Args:
        path: the `.safetensors` file.
        generator: the trained network.
        network: its config with `_target_`, a class of `medrestore.networks`.
        about: window, scale, training data and its licence, what was selected; plain JSON values.

    Returns:
        `path`.
    """
    metadata = {"network": network, "range": [0, 1], "version": __version__, "notice": NOTICE, **about}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(tensors, temporary, metadata={"medrestore": json.dumps(metadata)})
    os.replace(temporary, path)
    return path


def load_generator(where: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load a generator from a run directory or a `.safetensors` file.

    Returns:
        The generator in evaluation mode and its metadata.

    Raises:
        MedrestoreError: nothing there, a damaged file, a foreign file, or a network this version does not know.
    """
    path = _file(Path(where))
    with _opened(path) as (file, metadata):
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    generator = _network(metadata["network"], path)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise MedrestoreError(f"{path}: the weights do not fit {metadata['network']['_target_']}: {error}") from None
    return generator.eval(), metadata


def read_metadata(where: str | Path) -> dict[str, Any]:
    """What `save_generator` wrote beside the weights of a run directory or a `.safetensors` file, without these.

    Raises:
        MedrestoreError: nothing there, a damaged file, or a foreign one.
    """
    with _opened(_file(Path(where))) as (_, metadata):
        return metadata


def load_into(generator: nn.Module, where: str | Path) -> None:
    """Start `generator` from another run's weights (`generator_weights=`), strictly.

    Raises:
        MedrestoreError: nothing there, or another architecture.
    """
    other, _ = load_generator(where)
    try:
        generator.load_state_dict(other.state_dict())
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise MedrestoreError(f"generator_weights={where} belongs to another network: {first}") from None


def read_training_state(path: Path) -> dict[str, Any]:
    """Read a training checkpoint: plain containers and tensors only.

    Raises:
        MedrestoreError: no file, a damaged file, or one that holds objects.
    """
    if not path.is_file():
        raise MedrestoreError(f"ckpt={path} does not exist; type ckpt=last or the path of a .ckpt file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MedrestoreError(f"{path} cannot be read as a checkpoint: {reason}") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A weights file and its metadata."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("medrestore", "null"))
            if metadata is None:
                raise MedrestoreError(
                    f"{path} was not written by medrestore: it does not say which network it belongs to"
                )
            yield file, metadata
    except (SafetensorError, OSError, ValueError) as error:
        raise MedrestoreError(f"{path} cannot be read as weights ({error}); export it again from its run") from None


def _file(where: Path) -> Path:
    if where.is_file():
        return where
    path = where / "generator.safetensors"
    if not path.is_file():
        found = sorted(p.name for p in where.iterdir())[:8] if where.is_dir() else None
        there = f"it holds {', '.join(found) or 'nothing'}" if found is not None else "there is no such directory"
        raise MedrestoreError(f"no generator.safetensors in {where}: {there}; type run=<directory of a finished run>")
    return path


def _network(config: dict[str, Any], path: Path) -> nn.Module:
    package, _, name = str(config.get("_target_", "")).rpartition(".")
    if package != "medrestore.networks" or name not in networks.__all__:
        raise MedrestoreError(f"{path} names the network {config.get('_target_')!r}, which medrestore does not have")
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    try:
        return getattr(networks, name)(**arguments)
    except (TypeError, ValueError) as error:
        raise MedrestoreError(f"{path}: {name} cannot be built from its metadata: {error}") from None
