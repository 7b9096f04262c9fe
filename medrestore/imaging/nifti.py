"""NIfTI volumes, slice by slice."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import BinaryIO, cast

import nibabel
import numpy as np

from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import Refusal, check_bytes, pick_frame, to_tensor
from medrestore.imaging.image import Image
from medrestore.imaging.window import Window

_MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def is_header(head: bytes) -> bool:
    """Whether the first bytes (unzipped) are those of a NIfTI-1 or NIfTI-2 file that holds its own data."""
    return head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00"


def decode(path: Path, frame: int | None) -> Image:
    """Read one slice ``[:, :, frame]`` of the first volume; pixel (i, j) is voxel (i, j), whatever the orientation."""
    with _open(path) as stream:
        volume = _volume(stream)
        slices = _slices(volume)
        index = pick_frame(frame, slices, default=slices // 2)
        _check_complete(path, volume)
        picked = (slice(None), slice(None), index, *[0] * (len(volume.shape) - 3))[: len(volume.shape)]
        values = np.asarray(volume.dataobj[picked])
        header = volume.header
    zooms = [float(zoom) for zoom in header.get_zooms()[:2]]
    scale = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    known = all(math.isfinite(zoom) and zoom > 0 for zoom in zooms)
    return Image(
        pixels=to_tensor(values),
        spacing=(zooms[0] * scale, zooms[1] * scale) if known else None,
        unit="signal",
        window=_window(header),
        source=path,
        group=None,
        mask=None,
        metadata={
            "format": "nifti",
            "bits": min(header.get_data_dtype().itemsize * 8, 32),
            "frame": index,
            "frames": slices,
        },
    )


def count(path: Path) -> int:
    """The number of slices along the last spatial axis."""
    with _open(path) as stream:
        return _slices(_volume(stream))


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def _volume(stream: BinaryIO) -> nibabel.Nifti1Image:
    head = stream.read(8)
    stream.seek(0)
    kind = nibabel.Nifti2Image if head[4:8] == b"n+2\x00" else nibabel.Nifti1Image
    return kind.from_stream(stream)


def _slices(volume: nibabel.Nifti1Image) -> int:
    shape, dtype = volume.shape, volume.get_data_dtype()
    if len(shape) < 2:
        raise Refusal(f"it has the shape {shape}: an image has two axes or more")
    if dtype.kind not in "uif":
        raise Refusal(f"its voxels are of type {dtype}: only whole and real numbers are read")
    check_bytes(*shape, dtype.itemsize)
    return int(shape[2]) if len(shape) > 2 else 1


def _check_complete(path: Path, volume: nibabel.Nifti1Image) -> None:
    needed = volume.dataobj.offset + math.prod(volume.shape) * volume.get_data_dtype().itemsize
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        size = file.seek(0, 2)
        if zipped:
            file.seek(-4, 2)
            size = int.from_bytes(file.read(4), "little")  # gzip's trailer: the unzipped size modulo 2**32
    # Another trailer means a cut file, or harmless extra bytes or members: then the stream itself must be long enough.
    if size == needed % 2**32 if zipped else size >= needed:
        return
    if not zipped or _unzipped_bytes(path, needed) < needed:
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


def _window(header: nibabel.Nifti1Header) -> Window | None:
    try:
        return Window(float(header["cal_min"]), float(header["cal_max"]), "header")
    except MedrestoreError:  # both zero: not set
        return None
