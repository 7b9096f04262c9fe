"""Images as physical values: read and write PNG, JPEG, TIFF, DICOM and NIfTI, windows to [0, 1] and back."""

from medrestore.imaging.field_of_view import field_of_view, inscribed_box, within_field
from medrestore.imaging.image import Image, Unit
from medrestore.imaging.read import SUFFIXES, dicom_header, frames, is_image, read, volume_grid
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
    "field_of_view",
    "frames",
    "from_unit",
    "inscribed_box",
    "is_image",
    "read",
    "to_unit",
    "volume_grid",
    "window_of",
    "within_field",
    "write",
]
