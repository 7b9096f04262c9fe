"""The record that carries one image through the house."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from medrestore.imaging.window import Window

Unit = Literal["intensity", "HU", "signal"]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One image in physical values, with what its file says about it.

    Attributes:
        pixels: float32 of shape ``(C, H, W)``, C 1 or 3, in the unit below.
        spacing: Distance of neighbouring pixels in mm ``(row, column)``, None where the file gives none.
        unit: ``intensity`` for photographs, in [0, 1]; ``HU`` for CT after rescale; ``signal`` for everything else
            (MR, NIfTI), on an arbitrary scale.
        window: The window that the file itself suggests, None for photographs.
        source: The file.
        group: The DICOM PatientID, which must not leave this record as text (it is left out of ``repr``), or None.
        mask: bool of shape ``(1, H, W)``, False where the file holds padding; None when every pixel is valid.
            Padding pixels hold the smallest valid value.
        metadata: At least ``format`` (``png``, ``jpeg``, ``gif``, ``bmp``, ``tiff``, ``dicom`` or ``nifti``) and
            ``bits`` (8, 16 or 32, as stored).

    Raises:
        ValueError: When shapes or types differ from the above.
    """

    pixels: Tensor = field(repr=False)
    spacing: tuple[float, float] | None
    unit: Unit
    window: Window | None
    source: Path
    group: str | None = field(repr=False)
    mask: Tensor | None = field(repr=False)
    metadata: dict[str, str | int | float | bool]

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if len(shape) != 3 or shape[0] not in (1, 3) or self.pixels.dtype != torch.float32:
            raise ValueError(f"pixels must be float32 (1 or 3, H, W), got {self.pixels.dtype} {shape}")
        if self.mask is not None and (self.mask.dtype != torch.bool or tuple(self.mask.shape) != (1, *shape[1:])):
            raise ValueError(f"mask must be bool (1, {shape[1]}, {shape[2]}), got {self.mask.dtype} {self.mask.shape}")
