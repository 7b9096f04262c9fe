"""Which window maps an image to [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging.image import Image
from medrestore.imaging.window import WINDOWS, Window

_SAMPLED = 1_000_000  # values that the percentiles are taken from


def window_of(image: Image, setting: str | Sequence[float]) -> Window | None:
    """The window that maps an image to [0, 1].

    Args:
        image: the image.
        setting: `auto` (photographs as they are, else the window the file suggests, else its 0.5 and 99.5
            percentiles), a name of `imaging.WINDOWS`, or `(centre, width)`. The names are windows of HU: photographs,
            and DICOM of another modality than CT, are treated as for `auto`. A grey image of 16 bits is no photograph:
            what it holds may fill any part of its range.

    Raises:
        MedrestoreError: an unknown name, or an empty or inverted window.
    """
    window = chosen_window(setting)
    if window is not None and (_may_be_hu(image) or not isinstance(setting, str)):
        return window
    if _is_photograph(image) or image.window is not None:
        return image.window
    values = image.pixels[image.mask.expand_as(image.pixels)] if image.mask is not None else image.pixels.flatten()
    low, high = torch.quantile(values[:: max(1, values.numel() // _SAMPLED)], torch.tensor([0.005, 0.995])).tolist()
    return Window(low, max(high, low + 1e-6), "percentiles")


def _may_be_hu(image: Image) -> bool:
    modality = image.metadata.get("modality", "")
    return image.unit == "HU" or (image.unit == "signal" and modality in ("", "CT"))  # NIfTI does not say what it holds


def _is_photograph(image: Image) -> bool:
    if image.unit != "intensity" or image.metadata.get("bits") != 16:
        return image.unit == "intensity"
    return not torch.equal(image.pixels, image.pixels[:1].expand_as(image.pixels))


def chosen_window(setting: str | Sequence[float]) -> Window | None:
    """The window that a setting names whatever the image, None for `auto`; see `window_of`.

    Raises:
        MedrestoreError: an unknown name, not two numbers, or a width that leaves the window empty or inverted.
    """
    if isinstance(setting, str):
        if setting != "auto" and setting not in WINDOWS:
            raise MedrestoreError(f"sampling.window={setting!r} is not known; there are: auto, {', '.join(WINDOWS)}")
        return WINDOWS.get(setting)
    if len(setting) != 2 or not all(isinstance(number, int | float) and math.isfinite(number) for number in setting):
        raise MedrestoreError(
            f"sampling.window={list(setting)} is not centre and width in HU; type 'sampling.window=[50,350]'"
        )
    centre, width = setting
    if width <= 0:
        raise MedrestoreError(
            f"sampling.window=[{centre:g},{width:g}] is {'empty' if width == 0 else 'inverted'}: the second number is "
            f"the width, more than 0; type 'sampling.window=[{centre:g},{abs(width) or 350:g}]'"
        )
    return Window.from_centre(centre, width)
