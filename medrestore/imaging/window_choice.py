"""Which window maps an image to [0, 1]."""

from __future__ import annotations

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
            percentiles), a name of `imaging.WINDOWS`, or `(centre, width)`.

    Raises:
        MedrestoreError: an unknown name, or an empty or inverted window.
    """
    if not isinstance(setting, str):
        centre, width = setting
        return Window.from_centre(centre, width)
    if setting != "auto":
        if setting not in WINDOWS:
            raise MedrestoreError(f"sampling.window={setting!r} is not known; there are: auto, {', '.join(WINDOWS)}")
        return WINDOWS[setting]
    if image.unit == "intensity" or image.window is not None:
        return image.window
    values = image.pixels[image.mask.expand_as(image.pixels)] if image.mask is not None else image.pixels.flatten()
    low, high = torch.quantile(values[:: max(1, values.numel() // _SAMPLED)], torch.tensor([0.005, 0.995])).tolist()
    return Window(low, max(high, low + 1e-6), "percentiles")
