"""Writing: in the format and depth the image came in, complete or not at all."""

from __future__ import annotations

import os
import secrets
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import tifffile
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.imaging.image import Image
from medrestore.imaging.read import SUFFIXES
from medrestore.imaging.tiff import SIGNAL

_SUFFIXES = {
    "png": (".png",),
    "gif": (".png",),  # a restored picture has more colours than a GIF's palette
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
}
_ROWS = 128


def destination(path: Path, like: Image) -> Path:
    """Where `write` puts an image asked for at ``path``: the suffix follows the format.

    Raises:
        MedrestoreError: When the format of ``like`` is unknown.
    """
    path = Path(path)
    allowed = _SUFFIXES[_format(like)]
    if path.suffix.lower() in allowed:
        return path
    # Only a suffix of an image is replaced: names like 1.2.840.113 are whole.
    known = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.with_name(path.name[: len(path.name) - len(known)] + allowed[0])


def write(path: Path, pixels: Tensor, like: Image) -> Path:
    """Write physical values in the format and depth of ``like`` and return the path written.

    PNG and TIFF keep 8 or 16 bits, JPEG has quality 95 without chroma subsampling, float TIFF stays float32. HU become
    an int16 TIFF described as "HU", other signals a float32 TIFF, photographs from DICOM an 8- or 16-bit TIFF.
    Whole numbers are rounded and clipped to their type. The file appears complete or not at all.

    Args:
        path: Where to; its suffix is changed when it does not fit (see `destination`). Folders are made.
        pixels: ``(C, H, W)``, C 1 or 3, in the unit of ``like``; the size may differ.
        like: The image whose format, depth and unit are kept.

    Raises:
        MedrestoreError: When the values are not finite, the shape is wrong or the file cannot be written.
    """
    target = destination(path, like)
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or pixels.numel() == 0:
        raise MedrestoreError(f"cannot write {target}: pixels have the shape {tuple(pixels.shape)}, not (1 or 3, H, W)")
    if not bool(pixels.isfinite().all()):
        raise MedrestoreError(f"cannot write {target}: it holds NaN or infinite values")
    stored = _stored(pixels, like)
    try:
        data = _encode(stored, like)
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
    except (OSError, ValueError) as error:  # ValueError: sides beyond what the format can hold
        raise MedrestoreError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None
    return target


def _format(like: Image) -> str:
    name = str(like.metadata["format"])
    if name in ("dicom", "nifti") or (like.unit != "intensity" and name in _SUFFIXES):
        return "tiff"
    if name not in _SUFFIXES:
        raise MedrestoreError(f"no format {name!r} to write: choose one of {', '.join(_SUFFIXES)}, dicom, nifti")
    return name


def _dtype(like: Image) -> np.dtype:
    if like.unit != "intensity":
        stored = np.dtype(str(like.metadata.get("dtype", "int16" if like.unit == "HU" else "float32")))
        return stored if stored.kind in "ui" else np.dtype(np.float32)
    bits = like.metadata["bits"]
    if bits == 32 and like.metadata["format"] == "tiff":
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if bits == 8 or _format(like) in ("jpeg", "bmp", "gif") else np.uint16)


def _stored(pixels: Tensor, like: Image) -> np.ndarray:
    """Values as stored, (H, W) or (H, W, 3)."""
    values = pixels.detach().cpu().numpy()
    values = values[0] if values.shape[0] == 1 else np.moveaxis(values, 0, -1)
    dtype = _dtype(like)
    if dtype.kind == "f":
        return values.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    stored = np.empty(values.shape, dtype)
    for start in range(
        0, len(values), _ROWS
    ):  # in strips, for in float64 a large image would need eight times its size
        strip = values[start : start + _ROWS].astype(np.float64)
        if like.unit == "intensity":
            strip *= high
        stored[start : start + _ROWS] = np.rint(strip).clip(low, high)
    return stored


def _encode(stored: np.ndarray, like: Image) -> bytes:
    name = _format(like)
    if name == "tiff":
        return _encode_tiff(stored, like)
    if stored.dtype == np.uint16:  # Pillow has no 16-bit RGB
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(stored)))
    buffer = BytesIO()
    picture = PIL.Image.fromarray(stored)
    if name == "jpeg":
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(buffer, "BMP" if name == "bmp" else "PNG")
    return buffer.getvalue()


def _encode_tiff(stored: np.ndarray, like: Image) -> bytes:
    photograph = like.unit == "intensity"
    resolution = None
    if not photograph and like.spacing is not None:
        # A scaled image covers the same millimetres with more pixels; TIFF counts pixels per centimetre, column first.
        row, column = (
            step * old / new for step, old, new in zip(like.spacing, like.pixels.shape[1:], stored.shape, strict=False)
        )
        resolution = (10 / column, 10 / row)
    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(stored),
        photometric="rgb" if stored.ndim == 3 else "minisblack",
        compression="zlib",
        metadata=None,  # else a description of its own is added
        description=None if photograph else ("HU" if like.unit == "HU" else SIGNAL),
        resolution=resolution,
        resolutionunit=None if resolution is None else "CENTIMETER",
    )
    return buffer.getvalue()


def _replace(target: Path, data: bytes) -> None:
    # Same folder, so that the rename is atomic; a plain open, so that the usual permissions apply.
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
