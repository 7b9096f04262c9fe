"""Restorers and trainings on disk: the only place that reads or writes weights.

What leaves a run is `generator.safetensors`: tensors and JSON, nothing that runs when it is loaded. From its metadata
only classes of `medrestore.networks` are ever built.

A training's state is what `torch.save` writes, followed by one line `sha256:<of everything before>`, so that file and
sum are renamed as one; `torch.load(path, weights_only=True)` does not mind what follows its archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from medrestore import __version__, networks
from medrestore.errors import MedrestoreError

NOTICE = "Not for diagnosis: research use only."
_SUM = b"sha256:"
_SUM_LENGTH = len(_SUM) + 64 + 1
_CHUNK = 1 << 22  # bytes read at a time


def save_generator(path: Path, generator: nn.Module, network: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write a generator with everything needed to use it, atomically.

    Args:
        path: the `.safetensors` file.
        generator: the trained network.
        network: its config with `_target_`, a class of `medrestore.networks`.
        about: window, scale, training data and its licence, what was selected; plain JSON values.

    Returns:
        `path`.

    Raises:
        MedrestoreError: weights that are not finite, or a disk that takes no more.
    """
    if not all_finite(generator.state_dict().values()):
        raise MedrestoreError(
            f"{path} is not written: its weights are not finite; type model.generator_optimizer.lr=<a tenth>"
        )
    return write_weights(path, generator, {"network": network}, about)


def write_weights(path: Path, module: nn.Module, kind: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
    """Write the tensors of a module and JSON about them, atomically.

    Args:
        path: the `.safetensors` file.
        module: a network or a judge.
        kind: what is to be built when they are read: `network` or `judge`.
        about: plain JSON values.

    Returns:
        `path`.

    Raises:
        MedrestoreError: a disk that takes no more.
    """
    metadata = {**kind, "range": [0, 1], "version": __version__, "notice": NOTICE, **about}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata={"medrestore": json.dumps(metadata)})
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise MedrestoreError(f"{path} cannot be written: {error}; make room and type ckpt=last") from None
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


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no floating point number is infinite or NaN; one synchronisation with the device."""
    floating = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    return bool(torch.isfinite(nn.utils.get_total_norm(floating, float("inf"))))


def save_training_state(path: Path, state: Mapping[str, Any], previous: Path | None = None) -> None:
    """Write a training checkpoint so that a kill, a crash or a full disk at any moment leaves the ones before whole.

    A file beside it is written, with its SHA-256 at the end, flushed to the disk, and renamed.

    Args:
        path: the `.ckpt` file.
        state: plain containers and tensors.
        previous: where the file goes that `path` names so far; None to replace it.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    temporary = path.with_suffix(".writing")
    try:
        with open(temporary, "wb") as file:
            writer = _SummedFile(file)
            torch.save(state, writer)  # type: ignore[arg-type]
            writer.finish()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names
        finally:
            os.close(folder)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_training_state(path: Path) -> dict[str, Any]:
    """Read a training checkpoint: plain containers and tensors only, and only bytes that have their sum.

    Raises:
        MedrestoreError: no file, a damaged file, or one that holds objects.
    """
    if not path.is_file():
        raise MedrestoreError(f"ckpt={path} does not exist; type ckpt=last or the path of a .ckpt file")
    try:
        _check_sum(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        reason = str(error).splitlines()[0].partition(". ")[0] if str(error) else type(error).__name__
        raise MedrestoreError(f"{path} cannot be read as a checkpoint: {reason}") from None


class _SummedFile:
    """A file that sums what is written to it.

    An error does not travel through torch's writer, which would hide it behind one of its own: what follows is thrown
    away, and `finish` raises it.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
            self._sum.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: `finish` does."""

    def finish(self) -> None:
        self.write(_SUM + self._sum.hexdigest().encode() + b"\n")
        if self._error is not None:
            raise self._error
        self._file.flush()


def _check_sum(path: Path) -> None:
    """Refuse a file that does not have the sum at its end; one without a sum was not written by this version."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - _SUM_LENGTH))
        end = file.read()
        if not end.startswith(_SUM):
            return
        file.seek(0)
        total, left = hashlib.sha256(), size - _SUM_LENGTH
        while left and (chunk := file.read(min(_CHUNK, left))):
            total.update(chunk)
            left -= len(chunk)
    if end[len(_SUM) : -1] != total.hexdigest().encode():
        raise MedrestoreError("it is damaged, its SHA-256 is not the one it was written with")


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
