"""Images as physical values: read and write PNG, JPEG, TIFF, DICOM and NIfTI, windows to [0, 1] and back."""

from medrestore.imaging.image import Image, Unit
from medrestore.imaging.read import SUFFIXES, dicom_header, frames, is_image, read
from medrestore.imaging.window import WINDOWS, Window, from_unit, to_unit
from medrestore.imaging.window_choice import chosen_window, window_of
from medrestore.imaging.write import destination, write

__all__ = [
    "SUFFIXES",
    "WINDOWS",
    "Image",
    "Unit",
    "Window",
    "chosen_window",
    "destination",
    "dicom_header",
    "frames",
    "from_unit",
    "is_image",
    "read",
    "to_unit",
    "window_of",
    "write",
]
