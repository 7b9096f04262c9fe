"""TIFF: photographs, and the float and signed files that carry HU or another signal."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import tifffile
from tifffile import EXTRASAMPLE, PHOTOMETRIC, RESUNIT

from medrestore.imaging.guard import Refusal, check_bytes, grey_if_equal, pick_frame, to_tensor
from medrestore.imaging.image import Image, Unit

_HU = re.compile(r"\bHU\b|hounsfield", re.IGNORECASE)
SIGNAL = "signal"  # the description of a written TIFF that is neither a photograph nor HU


def decode(path: Path, frame: int | None) -> Image:
    """Read one page; unsigned integers become [0, 1], the others keep their values."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[pick_frame(frame, len(file.pages))]
        if not isinstance(page, tifffile.TiffPage):
            raise Refusal("its page has no header of its own")
        description = page.description or file.pages.first.description
        stored, white = _samples(page)
        spacing = _spacing(page)
    unit = _unit(stored, description)
    return Image(
        pixels=to_tensor(stored, white if unit == "intensity" and stored.dtype.kind == "u" else 1),
        spacing=None if unit == "intensity" else spacing,
        unit=unit,
        window=None,
        source=path,
        group=None,
        mask=None,
        metadata={
            "format": "tiff",
            "bits": 32 if stored.dtype.kind == "f" else min(stored.dtype.itemsize * 8, 32),
            "dtype": stored.dtype.name,
        },
    )


def count(path: Path) -> int:
    """The number of pages."""
    with tifffile.TiffFile(path) as file:
        return len(file.pages)


def _samples(page: tifffile.TiffPage) -> tuple[np.ndarray, int]:
    """Stored values of shape (H, W) or (H, W, 3), bright means high, and the value that stands for white."""
    if page.dtype is None or page.dtype.kind not in "buif":
        raise Refusal("its sample type is not a whole or a real number")
    planes, depth, height, width, samples = page.shaped
    check_bytes(planes, depth, height, width, samples, page.dtype.itemsize)
    if depth != 1:
        raise Refusal(f"its page is a volume of {depth} slices: save one slice a page")
    _check_complete(page)
    array = page.asarray(squeeze=False)[:, 0]  # (planes, H, W, samples): one of the two is 1
    array = np.moveaxis(array, 0, 2).reshape(height, width, planes * samples)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    white = 2**page.bitspersample - 1 if page.dtype.kind == "u" else 255
    return _colours(page, array, white)


def _colours(page: tifffile.TiffPage, array: np.ndarray, white: int) -> tuple[np.ndarray, int]:
    decoded_jpeg = page.compression in (6, 7)  # JPEG comes out of its decoder as RGB
    match page.photometric:
        case PHOTOMETRIC.MINISBLACK | PHOTOMETRIC.MINISWHITE:
            extra = page.extrasamples
            if array.shape[2] > 1 and (array.shape[2] != 1 + len(extra) or EXTRASAMPLE.UNSPECIFIED in extra):
                raise Refusal(f"it has {array.shape[2]} channels that are no colours: save one of them, or RGB")
            grey = array[..., 0]
            if page.photometric == PHOTOMETRIC.MINISBLACK:
                return grey, white
            if grey.dtype.kind != "u":
                raise Refusal("white is zero in it, which is not supported for signed or real numbers")
            return white - grey, white
        case PHOTOMETRIC.PALETTE if page.colormap is not None:
            rgb = np.moveaxis(page.colormap[:, array[..., 0]], 0, -1)
            # Colour maps have 16 bits; an 8-bit palette is stored times 257 or 256.
            if not (page.colormap % 257).any() or not (page.colormap % 256).any():
                return grey_if_equal((rgb >> 8).astype(np.uint8)), 255
            return grey_if_equal(rgb), 65535
        case PHOTOMETRIC.RGB if array.shape[2] >= 3:
            return array[..., :3], white
        case PHOTOMETRIC.YCBCR if array.shape[2] >= 3 and decoded_jpeg:
            return array[..., :3], white
        case other:
            name = getattr(other, "name", str(other))
            raise Refusal(f"its colours are stored as {name} with {array.shape[2]} samples: save it as RGB or grey")


def _check_complete(page: tifffile.TiffPage) -> None:
    size = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    missing = len(segments) < math.prod(page.chunked)  # a small file may declare any height
    if missing or any(length == 0 or offset + length > size for offset, length in segments):
        raise Refusal("it is a truncated TIFF")


def _unit(stored: np.ndarray, description: str) -> Unit:
    if stored.dtype.kind == "u" and stored.dtype.itemsize <= 2:
        return "intensity"
    if _HU.search(description):
        return "HU"
    real = stored.dtype.kind == "f" and description != SIGNAL
    return "intensity" if real and stored.min() >= 0 and stored.max() <= 1 else "signal"


def _spacing(page: tifffile.TiffPage) -> tuple[float, float] | None:
    # Only per centimetre: dots per inch are a screen's or printer's default, not a measurement.
    unit, vertical, horizontal = (page.tags.get(name) for name in ("ResolutionUnit", "YResolution", "XResolution"))
    if unit is None or vertical is None or horizontal is None or unit.value != RESUNIT.CENTIMETER:
        return None
    row, column = _millimetres(vertical.value), _millimetres(horizontal.value)
    return (row, column) if row and column else None


def _millimetres(resolution: tuple[int, int]) -> float | None:
    dots, centimetres = resolution
    millimetres = 10 * centimetres / dots if dots else math.nan
    return millimetres if math.isfinite(millimetres) and millimetres > 0 else None
