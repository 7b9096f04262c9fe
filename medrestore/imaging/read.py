"""Reading: the content of a file, not its name, says how."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset

from medrestore.imaging import dicom, nifti, raster, tiff
from medrestore.imaging.guard import Refusal, reading
from medrestore.imaging.image import Image

# Looked at when a folder is walked.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nii", ".nii.gz", ".gif", ".bmp")

Format = Literal["png", "jpeg", "gif", "bmp", "tiff", "dicom", "nifti"]

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
_HEAD_BYTES = 352  # the longest header looked at is NIfTI-1's


def read(path: Path, frame: int | None = None, axis: int = 2) -> Image:
    """Read one image in physical values.

    Args:
        path: PNG, JPEG, TIFF, GIF, BMP (8 and 16 bit, float TIFF), DICOM or NIfTI; recognised by content.
        frame: Page of a TIFF, frame of a DICOM or GIF (default the first), slice of a NIfTI volume (default the middle
            one).
        axis: Of a NIfTI volume, across which its slices are cut: 0, 1 or 2; ignored for other files.

    Raises:
        MedrestoreError: One line with the file and the reason, for whatever keeps it from being read.
    """
    path = Path(path)
    with reading(path):
        match _format(path):
            case "tiff":
                return tiff.decode(path, frame)
            case "dicom":
                return dicom.decode(path, frame)
            case "nifti":
                return nifti.decode(path, frame, axis)
            case simple:
                return raster.decode(path, simple, frame)


def frames(path: Path) -> int:
    """The number of pages, frames or slices that `read` can pick from; reads the header only.

    Raises:
        MedrestoreError: As `read`.
    """
    path = Path(path)
    with reading(path):
        match _format(path):
            case "tiff":
                return tiff.count(path)
            case "dicom":
                return dicom.count(path)
            case "nifti":
                return nifti.count(path)
            case simple:
                return raster.count(path, simple)


def volume_grid(path: Path) -> tuple[tuple[int, int, int], tuple[float, float, float] | None] | None:
    """The number of voxels along the axes of a NIfTI volume and their distances in mm, None for files of other formats.

    Raises:
        MedrestoreError: As `read`.
    """
    path = Path(path)
    with reading(path):
        return nifti.grid(path) if _format(path) == "nifti" else None


def dicom_header(path: Path) -> Dataset | None:
    """Read what a catalogue needs to know of a DICOM file (`dicom.header`), None for files of other formats.

    Raises:
        MedrestoreError: As `read`.
    """
    path = Path(path)
    with reading(path):
        return dicom.header(path) if _format(path) == "dicom" else None


def is_image(path: Path) -> bool:
    """Whether a file found in a folder is to be read: by its suffix, or a DICOM file by its preamble.

    Hidden files and a disc's table of contents (DICOMDIR) are not.
    """
    path = Path(path)
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    try:
        if not path.is_file():
            return False
        if path.name.lower().endswith(SUFFIXES):
            return True
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _format(path: Path) -> Format:
    if path.is_dir():
        raise Refusal("it is a folder: name a file in it")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Refusal("it is empty (0 bytes)")
    if head[128:132] == b"DICM":  # first, since the preamble may be that of a TIFF
        return "dicom"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"\x1f\x8b"):
        head = _unzipped_head(path)
    if nifti.is_header(head):
        return "nifti"
    if dicom.is_bare(head):
        return "dicom"
    raise Refusal("its content is not an image of a known kind (PNG, JPEG, TIFF, GIF, BMP, DICOM, NIfTI)")


def _unzipped_head(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        raise Refusal("its gzip compression is damaged or truncated") from None
