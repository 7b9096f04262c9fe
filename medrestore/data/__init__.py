"""Catalogue, splits, training crops, loaders, phantoms."""

from medrestore.data.catalogue import Catalogue, Item, LeftOut, Source
from medrestore.data.folders import FolderPairs, FolderSource
from medrestore.data.module import RestorationData
from medrestore.data.samples import Case, Pair, Unpaired

__all__ = [
    "Case",
    "Catalogue",
    "FolderPairs",
    "FolderSource",
    "Item",
    "LeftOut",
    "Pair",
    "RestorationData",
    "Source",
    "Unpaired",
]
