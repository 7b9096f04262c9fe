"""Single files: size and colour by the header, and the images, partners and masks of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import PIL.Image
import torch
from PIL import ExifTags
from torch import Tensor

from medrestore import imaging
from medrestore.data.catalogue import Item
from medrestore.data.label_maps import read_labels
from medrestore.data.screening import Screening
from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import reading

_ROUNDING = 3 / 255  # that JPEG leaves between the channels of a grey picture
_WITH_ALPHA = ("LA", "PA", "RGBA")


def size_of(path: Path) -> tuple[int, int]:
    """Return height and width as `imaging.read` gives them; from the header of DICOM and where Pillow knows the format.

    Raises:
        MedrestoreError: The file cannot be read.
    """
    header = imaging.dicom_header(path)
    if header is not None and isinstance(header.get("Rows"), int) and isinstance(header.get("Columns"), int):
        return header.Rows, header.Columns
    with reading(path):
        try:
            with PIL.Image.open(path) as file:
                width, height = file.size
                turned = file.format == "JPEG" and file.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        except PIL.UnidentifiedImageError:  # NIfTI and unusual TIFF
            height, width = imaging.read(path).pixels.shape[-2:]
            return height, width
    return (width, height) if turned else (height, width)


def read_mask(path: Path, frame: int | None = None, axis: int = 2) -> Tensor:
    """Read the marked pixels of a mask or an annotation, bool (1, H, W).

    A drawing on a transparent ground is marked where it is not transparent. Otherwise pixels above half of 255 are
    marked where the file reaches that, else every pixel above 0 (masks of 0 and 1, small class numbers).

    Raises:
        MedrestoreError: The file cannot be read.
    """
    alpha = _alpha(path)
    if alpha is not None and not alpha.all():
        return torch.from_numpy(alpha)[None]
    mask = imaging.read(path, frame, axis)
    values = mask.pixels.amax(0, keepdim=True)
    if mask.unit == "intensity":
        values = values * 255
    return values > (127.5 if values.max() > 127.5 else 0)


def _alpha(path: Path) -> np.ndarray | None:
    """Return where a drawing is not transparent, (H, W), None for files without transparency."""
    with reading(path):
        try:
            with PIL.Image.open(path) as file:
                if file.mode not in _WITH_ALPHA and "transparency" not in file.info:
                    return None
                return np.asarray(file.convert("RGBA").getchannel("A")) > 0
        except PIL.UnidentifiedImageError:
            return None


def grey_of(image: imaging.Image) -> imaging.Image:
    """Return a grey image as it is, one with three equal channels as grey.

    Raises:
        MedrestoreError: It is in colour.
    """
    if image.pixels.shape[0] == 1:
        return image
    spread = float((image.pixels.amax(0) - image.pixels.amin(0)).max())
    if spread > _ROUNDING:
        raise MedrestoreError(
            f"cannot read {image.source}: it is a colour image among grey ones (its channels differ by up to "
            f"{spread * 255:.0f} of 255); leave it out, or type dataset.grey=false to take the brightness of all"
        )
    return replace(image, pixels=image.pixels[1:2].contiguous())  # green, which JPEG's rounding moves least


def size_mismatch(first: Path, second: Path) -> str:
    """Say why two files cannot be laid over each other: their sizes, or that one cannot be read; "" where they can."""
    try:
        ours, theirs = size_of(first), size_of(second)
    except MedrestoreError as error:
        return str(error)
    if ours == theirs:
        return ""
    return f"{second.name} has {theirs[1]} x {theirs[0]} pixels, {first.name} has {ours[1]} x {ours[0]}"


class FileItems:
    """Reads what the items of a catalogue of files stand for.

    Attributes:
        label_ids: Numbers of classes in label maps beyond those of their scheme; see `read_labels`.
        screening: Which images show enough; None = every image counts.
    """

    label_ids: Mapping[int, int] = MappingProxyType({})
    screening: Screening | None = None

    def load(self, item: Item) -> imaging.Image:
        """Read the image of an item in physical units.

        Raises:
            MedrestoreError: It cannot be read, or the item has no file.
        """
        if item.path is None:
            raise MedrestoreError(f"the image {item.key} has no file; it comes from another source")
        return imaging.read(item.path, item.frame, item.axis)

    def load_degraded(self, item: Item) -> imaging.Image | None:
        """Read the degraded partner of a real pair, None where there is none."""
        return imaging.read(item.degraded, item.frame, item.axis) if item.degraded is not None else None

    def load_mask(self, item: Item) -> Tensor | None:
        """Read the item's mask, bool (1, H, W), None where there is none."""
        return read_mask(item.mask, item.frame, item.axis) if item.mask is not None else None

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Return the item's `label`, and `labels`, the class of every pixel as int64 (H, W), where it has them.

        Raises:
            MedrestoreError: The label map cannot be read, or has an unknown class.
        """
        known: dict[str, Tensor | str] = {"label": item.label} if item.label else {}
        if item.labels is not None:
            known["labels"] = read_labels(item.labels, item.label_scheme, self.label_ids)
        return known


def require_partner(target: Path, degraded: Path) -> None:
    """Check that the degraded partner of a real pair is there, has the same size and shows the same patient.

    Raises:
        MedrestoreError: It is not so; with both sizes.
    """
    if not degraded.is_file():
        raise MedrestoreError(f"its degraded partner {degraded} is missing")
    if reason := size_mismatch(target, degraded):
        raise MedrestoreError(f"its degraded partner {degraded} does not fit: {reason}")
    patients = {_patient(target), _patient(degraded)} - {""}
    if len(patients) > 1:
        raise MedrestoreError(f"its degraded partner {degraded} is of another patient, by the PatientID of both files")


def _patient(path: Path) -> str:
    header = imaging.dicom_header(path)
    return "" if header is None else str(header.get("PatientID") or "").strip()
