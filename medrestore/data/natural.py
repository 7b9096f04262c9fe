"""Images that are degraded by nature: no truth, another role, and no stray kind of picture among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import PIL.Image

from medrestore.data.catalogue import Catalogue, Item, LeftOut
from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import reading

_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def degraded_by_nature(catalogue: Catalogue) -> Catalogue:
    """Make a folder's images sources without truth, and leave out the grey among colour, or the colour among grey.

    A score of one kind means nothing for the other. The kind is what the header says; the commonest is kept, colour
    where both are as many.
    """
    colours = {path: is_colour(path) for path in {item.path for item in catalogue.items} if path is not None}
    known = [colour for colour in colours.values() if colour is not None]
    usual = 2 * sum(known) >= len(known)
    odd = {path for path, colour in colours.items() if colour not in (None, usual)}
    kind, rest = ("grey", "in colour") if usual else ("in colour", "grey")
    same = len(known) - len(odd)
    left_out = [
        LeftOut(path, f"it is {kind}, {same} of the {len(known)} images of this folder are {rest}") for path in odd
    ]
    items = tuple(_natural(item) for item in catalogue.items if item.path not in odd)
    return replace(catalogue, items=items, left_out=(*catalogue.left_out, *left_out))


def _natural(item: Item) -> Item:
    return replace(item, role="source", split="", degraded=None)


def is_colour(path: Path) -> bool | None:
    """Say by the header whether a photograph is in colour; None where Pillow does not know the file (DICOM, NIfTI)."""
    try:
        with reading(path), PIL.Image.open(path) as file:
            if file.mode not in ("P", "PA"):
                return file.mode not in _GREY
            palette = file.getpalette("RGB") or []
            return any(len(set(palette[start : start + 3])) > 1 for start in range(0, len(palette), 3))
    except MedrestoreError:
        return None
