"""Catalogue, splits, training crops, loaders, phantoms."""

from medrestore.data.catalogue import Catalogue, Item, LeftOut, Source
from medrestore.data.folders import FolderSource
from medrestore.data.fundus import FundusSource
from medrestore.data.pairs import FolderPairs
from medrestore.data.samples import Case, Pair, Unpaired
from medrestore.data.screening import Screening

__all__ = [
    "Case",
    "Catalogue",
    "FolderPairs",
    "FolderSource",
    "FundusSource",
    "Item",
    "LeftOut",
    "Pair",
    "Screening",
    "Source",
    "Unpaired",
]
