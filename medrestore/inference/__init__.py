"""Using a trained generator: whole images within a memory budget."""

from medrestore.inference.tiling import restore_image
from medrestore.inference.within_memory import TileDeviation, WithinMemory, tile_deviation

__all__ = ["TileDeviation", "WithinMemory", "restore_image", "tile_deviation"]
