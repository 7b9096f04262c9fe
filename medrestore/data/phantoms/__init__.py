"""Generated test material: seeded images with patients, truth and labels, no download."""

from medrestore.data.phantoms.brain import BrainPhantom
from medrestore.data.phantoms.cervix import CervixPhantom
from medrestore.data.phantoms.ct import CTPhantom
from medrestore.data.phantoms.fundus import FundusPhantom
from medrestore.data.phantoms.street import StreetPhantom

__all__ = ["BrainPhantom", "CTPhantom", "CervixPhantom", "FundusPhantom", "StreetPhantom"]
