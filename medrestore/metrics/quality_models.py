"""The parameters of NIQE and BRISQUE, and the files of NIQE.

None is shipped: LIVE's files are given by the user, a NIQE model of one's own images comes from
`python -m medrestore.fit_niqe`.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from medrestore.errors import MedrestoreError

FEATURES = 36
LEAST_BLOCK = 16  # 64 pixels at half size: fewer say nothing about a distribution
_LIVE_BLOCK, _LIVE_THRESHOLD = 96, 0.75
_MEAN_NAMES = ("mu_prisparam", "mu_pris_param")  # LIVE's .mat, the .npz of BasicSR
_COVARIANCE_NAMES = ("cov_prisparam", "cov_pris_param")


@dataclass(frozen=True, slots=True, eq=False)
class NiqeModel:
    """Statistics of sharp images.

    Attributes:
        mean: `(36,)` float64, of the features of `niqe_blocks`.
        covariance: `(36, 36)` float64.
        block: side in pixels of the blocks it was fitted on and that an image is cut into, even.
        threshold: share of an image's largest sharpness above which its blocks were fitted on.
        about: what it was fitted on, plain JSON values; empty for published models.

    Raises:
        ValueError: another shape, numbers that are not finite, a covariance that is none, or an impossible block.
    """

    mean: Tensor
    covariance: Tensor
    block: int = _LIVE_BLOCK
    threshold: float = _LIVE_THRESHOLD
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mean.shape != (FEATURES,) or self.covariance.shape != (FEATURES, FEATURES):
            raise ValueError(
                f"a NIQE model has a mean of {FEATURES} and a covariance of {FEATURES} x {FEATURES}, found "
                f"{tuple(self.mean.shape)} and {tuple(self.covariance.shape)}"
            )
        if not (self.mean.isfinite().all() and self.covariance.isfinite().all()):
            raise ValueError("a NIQE model has numbers that are not finite")
        if not torch.allclose(self.covariance, self.covariance.T) or bool((self.covariance.diagonal() < 0).any()):
            raise ValueError("the covariance of a NIQE model is not symmetric with a positive diagonal")
        check_block(self.block)

    def seen(self, judged: Iterable[tuple[str, str]]) -> set[str]:
        """The images, or patients, of a test that the model was fitted on; not empty means a leak.

        Args:
            judged: key and hashed group of each test image.
        """
        pairs = list(judged)
        same = set(self.about.get("keys", ())) & {key for key, _ in pairs}
        if self.about.get("generated"):  # generated collections number their patients alike, whatever they show
            return same
        return same | (set(self.about.get("groups", ())) & {group for _, group in pairs})


@dataclass(frozen=True, slots=True, eq=False)
class BrisqueModel:
    """A support vector regression (radial basis) and the scaling of its features.

    Attributes:
        support: `(S, 36)` float64, scaled.
        weights: `(S,)` float64.
        gamma: of the radial basis.
        rho: subtracted from the sum.
        least: `(36,)`, feature values that become `low`.
        most: `(36,)`, feature values that become `high`.
        low: lower end of the scaled features.
        high: upper end.

    Raises:
        ValueError: another shape, numbers that are not finite, or an empty range.
    """

    support: Tensor
    weights: Tensor
    gamma: float
    rho: float
    least: Tensor
    most: Tensor
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        shapes = [tuple(tensor.shape) for tensor in (self.support, self.weights, self.least, self.most)]
        count = len(self.support)
        if count == 0 or shapes != [(count, FEATURES), (count,), (FEATURES,), (FEATURES,)]:
            raise ValueError(f"a BRISQUE regression has {FEATURES} features, found tensors of shapes {shapes}")
        numbers = torch.cat([self.support.flatten(), self.weights, self.least, self.most])
        if not (numbers.isfinite().all() and np.isfinite([self.gamma, self.rho, self.low, self.high]).all()):
            raise ValueError("a BRISQUE regression has numbers that are not finite")
        if not (self.most > self.least).all():
            raise ValueError("the range of a BRISQUE feature is empty or inverted")


def check_block(block: int) -> None:
    """Refuse a block that cannot be halved or holds too few pixels.

    Raises:
        ValueError: odd, or under 16 px.
    """
    if block % 2 or block < LEAST_BLOCK:
        raise ValueError(f"a NIQE block has an even side of at least {LEAST_BLOCK} px, found {block}")


def read_niqe_model(path: Path) -> NiqeModel:
    """Read a NIQE model; a file that has not changed is read once.

    Args:
        path: LIVE's `.mat`, the same numbers as `.npz`, or `.safetensors` of `fit_niqe`.

    Raises:
        MedrestoreError: no file, one of another kind, or a damaged one.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise MedrestoreError(
            f"no NIQE model at {path}, found {found} there; type metrics.niqe_params=FILE (.mat, .npz, .safetensors)"
        )
    return _niqe_model(path, path.stat().st_mtime_ns)


def write_niqe_model(path: Path, model: NiqeModel) -> Path:
    """Write a model as `.safetensors`, whole or not at all.

    Returns:
        The path.
    """
    record = {"kind": "niqe", "block": model.block, "threshold": model.threshold, **model.about}
    tensors = {"mean": model.mean.contiguous(), "covariance": model.covariance.contiguous()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata={"medrestore": json.dumps(record)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@functools.lru_cache(maxsize=8)
def _niqe_model(path: Path, changed: int) -> NiqeModel:
    readers = {".mat": _from_mat, ".npz": _from_npz, ".safetensors": _from_safetensors}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise MedrestoreError(
            f"{path} is no NIQE model by its name; type metrics.niqe_params=FILE (.mat, .npz, .safetensors)"
        )
    try:
        return reader(path)
    except MedrestoreError:
        raise
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        raise MedrestoreError(
            f"{path} cannot be read as a NIQE model: {first_line(error)}; type metrics.niqe_params=FILE with another"
        ) from None


def _from_mat(path: Path) -> NiqeModel:
    from scipy.io import loadmat, whosmat

    names = [name for name, _, _ in whosmat(path)]
    return _published(loadmat(path, variable_names=[*_MEAN_NAMES, *_COVARIANCE_NAMES]), names)


def _from_npz(path: Path) -> NiqeModel:
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise ValueError("it is no archive of arrays")
    with found:
        wanted = [name for name in found.files if name in (*_MEAN_NAMES, *_COVARIANCE_NAMES)]
        return _published({name: found[name] for name in wanted}, found.files)


def _published(arrays: dict[str, Any], names: Sequence[str]) -> NiqeModel:
    chosen = []
    for choices in (_MEAN_NAMES, _COVARIANCE_NAMES):
        name = next((name for name in choices if name in arrays), None)
        if name is None:
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}, not {choices[0]}")
        chosen.append(torch.from_numpy(np.array(arrays[name], dtype=np.float64)))
    return NiqeModel(chosen[0].flatten(), chosen[1])


def _from_safetensors(path: Path) -> NiqeModel:
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get("medrestore", "null"))
            if not isinstance(record, dict) or record.get("kind") != "niqe":
                raise ValueError(f"it holds {', '.join(sorted(file.keys())[:3])}, and was not written by fit_niqe")
            mean, covariance = (file.get_tensor(name).double() for name in ("mean", "covariance"))
    except SafetensorError as error:
        raise ValueError(first_line(error)) from None
    about = {key: value for key, value in record.items() if key not in ("kind", "block", "threshold")}
    return NiqeModel(mean, covariance, int(record["block"]), float(record["threshold"]), about)


def first_line(error: Exception) -> str:
    """The first line of an error, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]
