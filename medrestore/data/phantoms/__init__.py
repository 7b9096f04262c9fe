"""Generated test material: seeded images with patients, truth and labels, no download."""

from medrestore.data.phantoms.cervix import CervixPhantom

__all__ = ["CervixPhantom"]
