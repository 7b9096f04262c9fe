"""PNG, JPEG, GIF and BMP: photographs in [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import PIL.Image
from PIL import ImageOps

from medrestore.imaging.guard import Refusal, check_bytes, grey_if_equal, pick_frame, to_tensor
from medrestore.imaging.image import Image

RasterFormat = Literal["png", "jpeg", "gif", "bmp"]


def decode(path: Path, format: RasterFormat, frame: int | None) -> Image:
    """Read a photograph; alpha is dropped, palettes are resolved, a JPEG's EXIF orientation is applied."""
    if format == "png" and _png_depth(path) == 16:
        pick_frame(frame, 1)
        stored = _decode_png16(path)
    else:
        stored = _decode_pillow(path, format, frame)
    bits = stored.dtype.itemsize * 8
    return Image(
        pixels=to_tensor(stored, white=2**bits - 1),
        spacing=None,
        unit="intensity",
        window=None,
        source=path,
        group=None,
        mask=None,
        metadata={"format": format, "bits": bits},
    )


def count(path: Path, format: RasterFormat) -> int:
    """The number of frames: 1, except for a GIF."""
    with PIL.Image.open(path, formats=[format.upper()]) as file:
        return getattr(file, "n_frames", 1) if format == "gif" else 1


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        header = file.read(33)
    if len(header) < 33 or header[12:16] != b"IHDR":
        raise Refusal("it is a truncated PNG")
    width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    depth, colour = header[24], header[25]
    samples = {2: 3, 4: 2, 6: 4}.get(colour, 1)
    check_bytes(width, height, samples, max(depth // 8, 1))
    return depth


def _decode_png16(path: Path) -> np.ndarray:
    # Pillow has no 16-bit RGB and quietly drops the low byte.
    stored = imagecodecs.png_decode(path.read_bytes())
    if stored.ndim == 2:
        return stored
    return stored[..., 0] if stored.shape[2] < 3 else stored[..., :3]


def _decode_pillow(path: Path, format: RasterFormat, frame: int | None) -> np.ndarray:
    try:
        with PIL.Image.open(path, formats=[format.upper()]) as file:
            index = pick_frame(frame, getattr(file, "n_frames", 1) if format == "gif" else 1)
            check_bytes(file.width, file.height, len(file.getbands()))
            if index:
                file.seek(index)
            upright = ImageOps.exif_transpose(file) if format == "jpeg" else file
            return _eight_bit(upright)
    except PIL.Image.DecompressionBombError:
        raise Refusal("it has more pixels than Pillow decodes (a decompression bomb?): split it") from None
    except PIL.UnidentifiedImageError:
        raise Refusal(f"it is a damaged or truncated {format.upper()}") from None


def _eight_bit(image: PIL.Image.Image) -> np.ndarray:
    if image.mode in ("1", "L", "LA"):
        return np.array(image.convert("L"))
    rgb = np.array(image.convert("RGB"))
    return grey_if_equal(rgb) if image.mode in ("P", "PA") else rgb
