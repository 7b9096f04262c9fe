"""The files that BRISQUE's regression is published in: LIBSVM text and the range of svm-scale."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.metrics.quality_models import FEATURES, BrisqueModel, first_line


def read_brisque_model(where: str | Path | Sequence[str | Path]) -> BrisqueModel:
    """Read a BRISQUE regression; files that have not changed are read once.

    Args:
        where: the folder of LIVE's `allmodel` (LIBSVM text) and `allrange` (svm-scale), whatever stands before these
            names, or the two paths.

    Raises:
        MedrestoreError: missing files, files of another kind, or damaged ones.
    """
    paths = _brisque_files(where)
    stamps = [path.stat().st_mtime_ns for path in paths]
    return _brisque_model(*paths, *stamps)


def _brisque_files(where: str | Path | Sequence[str | Path]) -> tuple[Path, Path]:
    """The regression and the range."""
    if not isinstance(where, str | Path):
        paths = [Path(path) for path in where]
        missing = [str(path) for path in paths if not path.is_file()]
        if len(paths) != 2 or missing:
            what = f"no file at {missing[0]}" if missing else f"found {len(paths)} paths"
            raise MedrestoreError(f"BRISQUE needs allmodel and allrange, {what}; type 'metrics.brisque_params=[A,B]'")
        return paths[0], paths[1]
    folder = Path(where)
    if not folder.is_dir():
        what = "is one file" if folder.is_file() else "does not exist"
        raise MedrestoreError(
            f"{folder} {what}, BRISQUE needs allmodel and allrange; type metrics.brisque_params=DIR with their folder"
        )
    chosen = []
    for ending in ("allmodel", "allrange"):
        found = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(ending))
        if len(found) != 1:
            what = ", ".join(path.name for path in found) or "none"
            raise MedrestoreError(
                f"BRISQUE needs one file *{ending} in {folder}, found {what}; type 'metrics.brisque_params=[A,B]' "
                "with the paths of allmodel and allrange"
            )
        chosen.append(found[0])
    return chosen[0], chosen[1]


@functools.lru_cache(maxsize=4)
def _brisque_model(regression: Path, scaling: Path, *changed: int) -> BrisqueModel:
    path = regression
    try:
        gamma, rho, weights, support = _libsvm(regression.read_text(encoding="ascii").split("\n"))
        path = scaling
        low, high, least, most = _svm_scale(scaling.read_text(encoding="ascii").split("\n"))
        return BrisqueModel(support, weights, gamma, rho, least, most, low, high)
    except (ValueError, OSError) as error:  # text of another encoding is a ValueError too
        kind = "a LIBSVM regression (allmodel)" if path == regression else "a range of svm-scale (allrange)"
        why = "it is no text" if isinstance(error, UnicodeDecodeError) else first_line(error)
        raise MedrestoreError(
            f"{path} is not {kind}: {why}; type metrics.brisque_params=DIR with LIVE's files"
        ) from None


def _libsvm(lines: Sequence[str]) -> tuple[float, float, Tensor, Tensor]:
    """Gamma, rho, weights and support vectors of a LIBSVM model file; what a row does not name is zero."""
    lines = [line.strip() for line in lines]
    if "SV" not in lines:
        raise ValueError("no line SV")
    start = lines.index("SV")
    header = dict(line.split(maxsplit=1) for line in lines[:start] if " " in line)
    for key, value in (("svm_type", "epsilon_svr"), ("kernel_type", "rbf")):
        if header.get(key) != value:
            raise ValueError(f"{key} is {header.get(key, 'not given')}, not {value}")
    for key in ("gamma", "rho", "total_sv"):
        if key not in header:
            raise ValueError(f"{key} is not given")
    rows = [line.split() for line in lines[start + 1 :] if line]
    if len(rows) != int(header["total_sv"]):
        raise ValueError(f"it is cut short: {len(rows)} of {header['total_sv']} support vectors")
    support = torch.zeros(len(rows), FEATURES, dtype=torch.float64)
    for number, row in enumerate(rows):
        for cell in row[1:]:
            index, _, value = cell.partition(":")
            support[number, _column(index)] = float(value)
    weights = torch.tensor([float(row[0]) for row in rows], dtype=torch.float64)
    return float(header["gamma"]), float(header["rho"]), weights, support


def _svm_scale(lines: Sequence[str]) -> tuple[float, float, Tensor, Tensor]:
    """Lower and upper end, least and most value of each feature of a file that svm-scale saved."""
    rows = [line.split() for line in lines if line.strip()]
    if len(rows) != FEATURES + 2 or rows[0] != ["x"]:
        raise ValueError(f"a first line x and {FEATURES + 1} more are wanted, found {len(rows)} lines")
    low, high = map(float, rows[1])
    ranges = torch.full((FEATURES, 2), torch.nan, dtype=torch.float64)
    for index, least, most in rows[2:]:
        ranges[_column(index)] = torch.tensor([float(least), float(most)], dtype=torch.float64)
    return low, high, ranges[:, 0], ranges[:, 1]


def _column(index: str) -> int:
    """The column of a feature that the files count from 1."""
    column = int(index) - 1
    if not 0 <= column < FEATURES:
        raise ValueError(f"feature {index} is none of 1 to {FEATURES}")
    return column
