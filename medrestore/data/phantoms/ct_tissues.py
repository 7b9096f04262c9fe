"""Hounsfield units of the tissues that the CT phantom is painted with."""

from __future__ import annotations

AIR, LUNG, FAT, FLUID, MUSCLE, CARTILAGE = -1000.0, -865.0, -102.0, 8.0, 52.0, 105.0
