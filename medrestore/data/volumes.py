"""Across which axis a volume is cut into slices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from medrestore import imaging
from medrestore.errors import MedrestoreError

Axis = Literal["auto", 0, 1, 2]
AXES: tuple[Axis, ...] = ("auto", 0, 1, 2)
LAST = 2  # the axis that volumes are usually stored along
_ALIKE = 1.1  # steps whose ratio is below are taken as equal
_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)(?=[/_.])")


def slices_of(path: Path, axis: Axis) -> tuple[int, int]:
    """Return the axis that a NIfTI volume is cut across, and the number of slices; other files have pages or frames.

    Args:
        path: The file; its header is read.
        axis: `auto` cuts where the slices have the finest pixels: across the axis with the largest steps, of nearly
            equal ones across the last. A picture of one slice is always cut across its flat axis.

    Raises:
        MedrestoreError: The pixels of the slices would not be square, or the file cannot be read.
    """
    found = imaging.volume_grid(path)
    if found is None:
        return LAST, imaging.frames(path)
    shape, steps = found
    if 1 in shape:
        chosen = max(place for place, size in enumerate(shape) if size == 1)
    elif axis != "auto":
        chosen = axis
    else:
        chosen = LAST if steps is None else _coarsest(steps)
    if steps is not None and not _square(steps, chosen):
        raise MedrestoreError(_not_square(steps, chosen))
    return chosen, shape[chosen]


def subject_of(file: str) -> str | None:
    """Return the subject that a path names as BIDS does (`sub-01/anat/sub-01_T1w.nii.gz`), None where it names none."""
    found = _SUBJECT.search(file)
    return None if found is None else found[1]


def _coarsest(steps: tuple[float, float, float]) -> int:
    return max(place for place, step in enumerate(steps) if step * _ALIKE >= max(steps))


def _sides(steps: tuple[float, float, float], axis: int) -> list[float]:
    return [step for place, step in enumerate(steps) if place != axis]


def _square(steps: tuple[float, float, float], axis: int) -> bool:
    sides = _sides(steps, axis)
    return max(sides) <= _ALIKE * min(sides)


def _not_square(steps: tuple[float, float, float], axis: int) -> str:
    def said(place: int) -> str:
        return " x ".join(f"{side:g}" for side in _sides(steps, place))

    better = [place for place in range(3) if _square(steps, place)]
    advice = f"type dataset.axis={better[0]} ({said(better[0])} mm)" if better else "resample it to equal steps first"
    return f"its slices across axis {axis} have pixels of {said(axis)} mm, not square; {advice}"
