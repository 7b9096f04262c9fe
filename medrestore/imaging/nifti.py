"""NIfTI volumes, slice by slice."""

from __future__ import annotations

import gzip
import math
from io import IOBase
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import Refusal, check_bytes, pick_frame, to_tensor
from medrestore.imaging.image import Image
from medrestore.imaging.window import Window

_MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def is_header(head: bytes) -> bool:
    """Whether the first bytes (unzipped) are those of a NIfTI-1 or NIfTI-2 file that holds its own data."""
    return head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00"


def decode(path: Path, frame: int | None, axis: int) -> Image:
    """Read one slice of the first volume across an axis; rows and columns are the other two axes in their order.

    Across the last axis pixel (i, j) is voxel (i, j, frame), whatever the orientation.
    """
    with _open(path) as stream:
        header, voxels = _volume(stream)
        slices = _shape(voxels)[axis]
        index = pick_frame(frame, slices, default=slices // 2)
        _check_complete(path, voxels)
        picked: list[slice | int] = [slice(None)] * 3 + [0] * (len(voxels.shape) - 3)
        picked[axis] = index
        values = np.asarray(voxels[tuple(picked[: len(voxels.shape)])])  # scl_slope and scl_inter are applied here
        spacing = _spacing(header)
    return Image(
        pixels=to_tensor(values),
        spacing=None if spacing is None else _without(spacing, axis),
        unit="signal",
        window=_window(header),
        source=path,
        group=None,
        mask=None,
        metadata={
            "format": "nifti",
            "bits": min(voxels.dtype.itemsize * 8, 32),
            "frame": index,
            "frames": slices,
        },
    )


def count(path: Path) -> int:
    """The number of slices across the last spatial axis."""
    return grid(path)[0][2]


def grid(path: Path) -> tuple[tuple[int, int, int], tuple[float, float, float] | None]:
    """The number of voxels along the three spatial axes, and their distances in mm, None where they are not known."""
    with _open(path) as stream:
        header, voxels = _volume(stream)
        return _shape(voxels), _spacing(header)


def _is_zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IOBase:
    return gzip.open(path, "rb") if _is_zipped(path) else path.open("rb")


def _volume(stream: IOBase) -> tuple[nibabel.Nifti1Header, ArrayProxy]:
    head = stream.read(8)
    stream.seek(0)
    kind = nibabel.Nifti2Image if head[4:8] == b"n+2\x00" else nibabel.Nifti1Image
    image = kind.from_stream(stream)
    return image.header, cast(ArrayProxy, image.dataobj)


def _shape(voxels: ArrayProxy) -> tuple[int, int, int]:
    if len(voxels.shape) < 2:
        raise Refusal(f"it has the shape {voxels.shape}: an image has two axes or more")
    if voxels.dtype.kind not in "uif":
        raise Refusal(f"its voxels are of type {voxels.dtype}: only whole and real numbers are read")
    check_bytes(*voxels.shape, voxels.dtype.itemsize)
    rows, columns, slices = (*map(int, voxels.shape), 1)[:3]
    return rows, columns, slices


def _check_complete(path: Path, voxels: ArrayProxy) -> None:
    needed = voxels.offset + math.prod(voxels.shape) * voxels.dtype.itemsize
    size = path.stat().st_size
    if not _is_zipped(path):
        complete = size >= needed
    else:
        with path.open("rb") as file:
            file.seek(size - 4)
            unzipped = int.from_bytes(file.read(), "little")  # gzip's trailer, modulo 2**32
        # Another number there is a cut file, or harmless extra bytes: then the stream itself must be long enough.
        complete = unzipped == needed % 2**32 or _unzipped_bytes(path, needed) >= needed
    if not complete:
        raise Refusal("it is truncated: the file is shorter than its header says")


def _unzipped_bytes(path: Path, enough: int) -> int:
    total = 0
    with gzip.open(path, "rb") as stream:
        try:
            while total < enough and (chunk := stream.read(2**20)):
                total += len(chunk)
        except EOFError:
            return total
    return total


def _spacing(header: nibabel.Nifti1Header) -> tuple[float, float, float] | None:
    zooms = [float(zoom) for zoom in header.get_zooms()[:3]]
    scale = _MILLIMETRES.get(str(header.get_xyzt_units()[0]), 1.0)
    if not all(math.isfinite(zoom) and zoom > 0 for zoom in zooms):
        return None
    row, column, level = (zoom * scale for zoom in (*zooms, 1.0)[:3])  # of a picture alone the third does not matter
    return row, column, level


def _without(spacing: tuple[float, float, float], axis: int) -> tuple[float, float]:
    row, column = (step for place, step in enumerate(spacing) if place != axis)
    return row, column


def _window(header: nibabel.Nifti1Header) -> Window | None:
    try:
        return Window(float(header["cal_min"]), float(header["cal_max"]), "file")
    except MedrestoreError:  # both zero: not set
        return None
