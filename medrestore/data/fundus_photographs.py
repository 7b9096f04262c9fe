"""Fundus photographs as their collections tell of them, and the vessel maps and masks that belong to them by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from medrestore import imaging
from medrestore.data.catalogue import LeftOut, Split
from medrestore.data.files import read_mask, size_of
from medrestore.data.names import companions, folders_of, is_content, is_mask, stem_of
from medrestore.data.natural import is_colour
from medrestore.data.tree import Tree
from medrestore.errors import MedrestoreError

Domain = Literal["sharp", "clear", "cataract"]

# In a manifest's column `role`, or as names of folders.
WORDS: Mapping[Domain, tuple[str, ...]] = {
    "sharp": ("sharp", "target"),
    "clear": ("clear", "reference", "good"),
    "cataract": ("cataract", "blurry_cataract", "source", "degraded", "blurry", "natural", "bad"),
}
SMALLEST = 96  # pixels a side: a block of NIQE
CATARACT_FROM = 3.0  # CSDI's score of 0 to 10; what is below is normal or acceptable
_LEVELS = ((1.5, "normal"), (3.0, "acceptable"), (5.0, "mild"), (7.0, "moderate"), (float("inf"), "severe"))

_VESSELS = re.compile(r"(?:^|[^a-z])(?:vessels?|manual\d*|\dstho|\dndho|ground[ _-]?truths?)(?:[^a-z]|$)|^av$")
_FIELD = re.compile(r"(?:^|[^a-z])(?:masks?|fov|field[ _]of[ _]view)(?:[^a-z]|$)")
_STEM_ENDS = re.compile(r"(?:_(?:manual\d*|\dstho|\dndho|vessels?|mask|fov|training|test))+$")
_EYE = re.compile(r"(?P<patient>.*?\w)[_\- ](?P<eye>left|right|od|os|l|r)(?:[_\- ]?\d)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph and what its collection says of it; files are relative to the root, with `/`.

    Attributes:
        file: The photograph.
        domain: `sharp` in a collection of sharp photographs, `clear` where the collection has clouded ones too.
        collection: Its name.
        group: Patient, None where nothing tells.
        label: Severity or other text.
        split: Official part.
        severity: CSDI's score, 0 (clear) to 10.
        vessels: Vessel map.
        field: Mask of the field of view.
        degraded: Another photograph of this eye, clouded.
        licence: What a manifest says.
    """

    file: str
    domain: Domain
    collection: str
    group: str | None = None
    label: str = ""
    split: Split = ""
    severity: float | None = None
    vessels: Path | None = None
    field: Path | None = None
    degraded: Path | None = None
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Photographs of a tree, files left out, notes."""

    photographs: tuple[Photograph, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def severity_label(score: float) -> str:
    """Return the word for CSDI's score."""
    return next(word for limit, word in _LEVELS if score < limit)


def patient_of(stem: str) -> str | None:
    """Return the patient in a name such as `10_left`, None where it names no eye."""
    named = _EYE.fullmatch(stem)
    return named["patient"] if named else None


def group_of(collection: str, file: str) -> str | None:
    """Return the group of a file whose name tells the patient, None where it does not."""
    patient = patient_of(stem_of(file))
    return f"{collection} {patient}" if patient else None


def domain_of(names: Iterable[str]) -> Domain | None:
    """Return what the last of some folders' names says, None where none does."""
    told: Domain | None = None
    for name in names:
        for domain in get_args(Domain):
            if name.lower() in WORDS[domain]:
                told = domain
    return told


def unusable(path: Path) -> str:
    """Say by its header why a photograph cannot be used, "" where it can."""
    try:
        height, width = size_of(path)
    except MedrestoreError as error:
        return LeftOut.because(path, error).reason
    if min(height, width) < SMALLEST:
        return f"it has {width} x {height} pixels, at least {SMALLEST} a side are needed"
    if is_colour(path) is False:
        return "it has one colour channel, a fundus photograph has three"
    return ""


def read_photograph(path: Path, mask: Path | None, whole: bool = False) -> imaging.Image:
    """Read a photograph in three colours; its mask is the field of view.

    Args:
        path: The file.
        mask: The collection's own mask, to which the field that is found is cut.
        whole: Take all of the picture for the field of view.

    Raises:
        MedrestoreError: It cannot be read, is grey, shows no field of view, or the mask marks another thing.
    """
    image = imaging.read(path)
    pixels = image.pixels
    try:
        # All black is told as such below, not as grey.
        if pixels.shape[0] == 1 or (pixels.any() and bool((pixels == pixels[:1]).all())):
            raise MedrestoreError("it has one colour channel, a fundus photograph has three")
        field = torch.ones_like(pixels[:1], dtype=torch.bool) if whole else imaging.field_of_view(pixels)
        if mask is not None:
            cut = field & read_mask(mask)
            if 2 * int(cut.sum()) < int(field.sum()):
                raise MedrestoreError(
                    f"its mask {mask.name} marks {int(cut.sum()) / int(field.sum()):.0%} of the field of view; a "
                    "folder of vessel maps is to be called vessels"
                )
            field = cut
    except MedrestoreError as error:
        raise MedrestoreError(f"cannot read {path}: {error}") from error
    return replace(image, mask=field)


@dataclass(frozen=True, slots=True)
class Maps:
    """Vessel maps and masks of a tree, by what they share with their photograph: folders and stem."""

    tree: Tree
    photographs: tuple[str, ...]
    vessels: Mapping[tuple[str, ...], str]
    fields: Mapping[tuple[str, ...], str]

    @classmethod
    def of(cls, tree: Tree) -> Maps:
        """Sort a tree's images into photographs, vessel maps and masks."""
        vessels: dict[tuple[str, ...], str] = {}
        fields: dict[tuple[str, ...], str] = {}
        rest: list[str] = []
        for file in tree.images:
            match _kind(file):
                case "vessels":
                    vessels.setdefault(_shared(file), file)  # the first observer's comes first by name
                case "field":
                    fields.setdefault(_shared(file), file)
                case "photograph":
                    rest.append(file)
        beside = set(companions(rest))
        kept = tuple(file for file in rest if file not in beside)
        return cls(tree, kept, vessels, fields)

    def attach(self, one: Photograph) -> Photograph:
        """Add the vessel map and the mask that have a photograph's name."""
        key = _shared(one.file)
        vessels, field = self.vessels.get(key), self.fields.get(key)
        return replace(
            one,
            vessels=one.vessels or (self.tree.path(vessels) if vessels else None),
            field=one.field or (self.tree.path(field) if field else None),
        )


def _kind(file: str) -> Literal["vessels", "field", "photograph", "other"]:
    for name in (stem_of(file), *reversed(folders_of(file))):
        name = name.lower()
        stem = name == stem_of(file).lower()
        if _VESSELS.search(name):
            return "vessels"
        if _FIELD.search(name):
            return "field"
        if not stem and is_content(name):
            return "photograph"
    return "other" if is_mask(file) else "photograph"


def _shared(file: str) -> tuple[str, ...]:
    folders = [name.lower() for name in folders_of(file)]
    kept = [name for name in folders if not (is_content(name) or _VESSELS.search(name) or _FIELD.search(name))]
    return (*kept, _STEM_ENDS.sub("", stem_of(file).lower()))
