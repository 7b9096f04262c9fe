"""What every reader shares: one-line refusals, no stray warnings, a limit on decoded sizes."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medrestore.errors import MedrestoreError

# A small file may declare any size: beyond this many decoded bytes it is refused before anything is decoded.
MAX_BYTES = 2**31

# Libraries that report on a file's header by logging as well; header text may name a patient.
_LOGGERS = (
    "pydicom",
    "pydicom.pixels.utils",
    "pydicom.pixels.decoders.base",
    "nibabel.global",
    "tifffile",
    "PIL.TiffImagePlugin",
)


class Refusal(Exception):
    """Why a file is not read, without the file's name; becomes a MedrestoreError in `reading`."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every failure inside into one MedrestoreError line that names the file, and keep warnings in.

    Raises:
        MedrestoreError: For any failure inside.
    """
    with _quiet():
        try:
            yield
        except MedrestoreError:
            raise
        except Exception as error:  # decoders of foreign bytes raise whatever they like
            # No chaining: a traceback of the inner error could print header text.
            raise MedrestoreError(f"cannot read {path}: {_reason(error)}") from None


def check_bytes(*factors: int) -> None:
    """Refuse a size (the product of ``factors``, in bytes) that is empty or beyond `MAX_BYTES`.

    Raises:
        Refusal: With the size found.
    """
    size = math.prod(factors)
    if min(factors) < 1:
        raise Refusal("it has no pixels (a size of zero)")
    if size > MAX_BYTES:
        raise Refusal(f"it declares {size:,} decoded bytes, more than the limit of {MAX_BYTES:,}: split it")


def pick_frame(frame: int | None, count: int, default: int = 0) -> int:
    """The frame to read, ``default`` for None.

    Raises:
        Refusal: When there is no such frame.
    """
    if frame is None:
        return default
    if not 0 <= frame < count:
        raise Refusal(f"frame {frame} was asked for, but it has {count}: choose 0 to {count - 1}")
    return frame


def to_tensor(values: np.ndarray, white: int = 1) -> Tensor:
    """An array of shape ``(H, W)`` or ``(H, W, 3)``, divided by ``white``, as a float32 tensor ``(C, H, W)``.

    Raises:
        Refusal: When it holds NaN or infinite values.
    """
    planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf and is refused below
        pixels = np.array(planes, dtype=np.float32, order="C")  # the only copy, for images may be large
    if white != 1:
        pixels /= white
    if values.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise Refusal(f"it holds {bad:,} values that are NaN or infinite: replace them first")
    return torch.from_numpy(pixels)


def grey_if_equal(rgb: np.ndarray) -> np.ndarray:
    """A palette image of shape ``(H, W, 3)`` as ``(H, W)`` when all its colours are grey, else unchanged."""
    grey = (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all()
    return rgb[..., 0] if grey else rgb


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


def _reason(error: Exception) -> str:
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).split())[:200]
    return f"it is damaged, truncated or of an unsupported kind ({type(error).__name__}{': ' + text if text else ''})"
