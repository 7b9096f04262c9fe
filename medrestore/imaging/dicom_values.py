"""From the numbers a DICOM file stores to physical values: rescale, padding, inversion, window."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import Refusal
from medrestore.imaging.image import Unit
from medrestore.imaging.window import Window

_AIR_HU = -1024.0  # the least HU of 12-bit CT; what lies below is the scanner's fill outside its field of view
_PHOTOGRAPHS = frozenset({"ES", "GM", "OP", "OT", "SM", "US", "XC"})  # modalities whose 8-bit grey is a picture
# Rescale Types (PS3.3 C.11.1.1.2) of CT maps that are no HU. Scanners spell HU in many ways, so these are excluded.
_NOT_HU = frozenset({"OD", "MGML", "Z_EFF", "ED", "EDW", "PCT"})

Modality = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Values:
    """Physical values of one frame: pixels (H, W) or (H, W, 3), mask (H, W) or None, and what they are."""

    pixels: np.ndarray
    unit: Unit
    bits: int
    mask: np.ndarray | None
    window: Window | None


def physical(dataset: Dataset, stored: np.ndarray, frame: int) -> Values:
    """Turn stored numbers of one frame into physical values.

    Grey values go through the modality transformation (PS3.3 C.11.1). MONOCHROME1 is inverted within the range of the
    stored type, and the window with it, so that bright means high; HU are not, since they are HU however displayed.

    Args:
        dataset: The header.
        stored: ``(H, W)`` or ``(H, W, 3)``.
        frame: Which frame it is, for per-frame values.

    Raises:
        Refusal: When nothing but padding is there or the values make no sense.
    """
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = stored.dtype.itemsize * 8
    if stored.ndim == 3:
        return Values(stored / float(2**bits - 1), "intensity", bits, None, None)
    require_hu(dataset, frame)
    transform, rescaled = _modality_transform(dataset, frame)
    unit = _unit(dataset, frame, rescaled)
    values = transform(stored)
    window = _window(dataset, frame)
    valid = ~_padding(dataset, stored)
    if unit == "HU":
        valid &= values >= _AIR_HU
    elif dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        turn = float(transform(_stored_range(stored, bits)).sum())
        values = turn - values
        window = None if window is None else Window(turn - window.high, turn - window.low, window.name)
    if not valid.any():
        raise Refusal("it holds padding only")
    if not valid.all():
        values = np.where(valid, values, values[valid].min())
    if unit == "intensity":
        values, window = values / (2**bits - 1), None
    return Values(values, unit, bits, None if valid.all() else valid, window)


def frame_value(dataset: Dataset, frame: int, group: str, name: str) -> Any:
    """An element of this frame: from its functional group, the shared one, or the data set; None where empty."""
    per_frame, shared = dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")
    holders = [per_frame[frame] if per_frame and frame < len(per_frame) else None, shared[0] if shared else None]
    for holder in holders:
        sequence = None if holder is None else holder.get(group)
        if sequence and sequence[0].get(name) not in (None, ""):
            return sequence[0].get(name)
    value = dataset.get(name)
    return None if value is None or value == "" else value


def number(value: Any) -> float | None:
    """The (first) value as a finite number, None where it is none."""
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if len(value) else None
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def _modality_transform(dataset: Dataset, frame: int) -> tuple[Modality, bool]:
    """Stored to output values, and whether the file has such a transformation at all."""
    if dataset.get("ModalityLUTSequence"):
        return lambda stored: apply_modality_lut(stored, dataset).astype(np.float64), True
    group = "PixelValueTransformationSequence"
    slope = number(frame_value(dataset, frame, group, "RescaleSlope"))
    intercept = number(frame_value(dataset, frame, group, "RescaleIntercept"))
    if slope == 0:
        raise Refusal("its Rescale Slope is 0")
    factor, offset = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    return lambda stored: stored.astype(np.float64) * factor + offset, slope is not None or intercept is not None


def require_hu(dataset: Dataset, frame: int) -> None:
    """Refuse a CT that does not say how its numbers become HU: a guess may be wrong by the usual intercept of -1024.

    Eight bits without rescale are a picture of a CT and no such file; nor are maps that say they are no HU.

    Raises:
        Refusal: Rescale Slope or Intercept, which every CT image must have (PS3.3 C.8.2.1), is missing.
    """
    if not _is_ct(dataset, frame) or dataset.get("ModalityLUTSequence"):
        return
    group = "PixelValueTransformationSequence"
    names = ("RescaleSlope", "RescaleIntercept")
    missing = [name for name in names if number(frame_value(dataset, frame, group, name)) is None]
    if missing and (dataset.BitsAllocated > 8 or len(missing) == 1):
        raise Refusal(
            f"it is a CT without {' and '.join(missing)}, so its Hounsfield units are not known; "
            "add these elements (0028,1053 and 0028,1052) or leave the file out"
        )


def _is_ct(dataset: Dataset, frame: int) -> bool:
    kind = str(frame_value(dataset, frame, "PixelValueTransformationSequence", "RescaleType") or "").strip()
    grey = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").startswith("MONOCHROME")
    return dataset.get("Modality") == "CT" and kind not in _NOT_HU and grey


def _unit(dataset: Dataset, frame: int, rescaled: bool) -> Unit:
    modality = dataset.get("Modality")
    if _is_ct(dataset, frame) and (rescaled or dataset.BitsAllocated > 8):
        return "HU"  # 8 bits without rescale are a picture of a CT
    if modality in _PHOTOGRAPHS and not rescaled and dataset.BitsAllocated == 8:
        return "intensity"
    return "signal"


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """True where Pixel Padding Value, or the range up to its limit, says so."""
    value, limit = number(dataset.get("PixelPaddingValue")), number(dataset.get("PixelPaddingRangeLimit"))
    if value is None or stored.dtype.kind not in "ui":
        return np.zeros(stored.shape, dtype=bool)
    bits, signed = int(dataset.BitsAllocated), stored.dtype.kind == "i"
    ends = [_wrap(int(end), bits, signed) for end in (value, value if limit is None else limit)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _wrap(value: int, bits: int, signed: bool) -> int:
    # Some writers give -2000 as 63536: bring it into the sign of the pixels.
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def _stored_range(stored: np.ndarray, bits: int) -> np.ndarray:
    if stored.dtype.kind not in "ui":
        return np.array([stored.min(), stored.max()])
    low = -(2 ** (bits - 1)) if stored.dtype.kind == "i" else 0
    return np.array([low, low + 2**bits - 1], dtype=stored.dtype)


def _window(dataset: Dataset, frame: int) -> Window | None:
    """The first VOI window (PS3.3 C.11.2.1.2); None when absent or empty."""
    centre, width, function = (
        frame_value(dataset, frame, "FrameVOILUTSequence", name)
        for name in ("WindowCenter", "WindowWidth", "VOILUTFunction")
    )
    middle, extent = number(centre), number(width)
    if middle is None or extent is None:
        return None
    try:
        if function in ("LINEAR_EXACT", "SIGMOID"):
            return Window.from_centre(middle, extent, "file")
        # LINEAR counts whole steps: the lowest output at centre - 0.5 - (width - 1) / 2, the highest width - 1 above.
        return Window(middle - extent / 2, middle + extent / 2 - 1, "file")
    except MedrestoreError:
        return None
