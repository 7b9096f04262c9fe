"""Using a trained generator: whole images within a memory budget."""

from medrestore.inference.tiling import restore_image

__all__ = ["restore_image"]
