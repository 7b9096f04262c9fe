"""What a data source offers: items with group, role and label, and an account of everything left out."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from medrestore.data.label_maps import Scheme
from medrestore.data.screening import Screening
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

Role = Literal["target", "source"]
Part = Literal["train", "val", "test"]
Split = Literal["", "train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a collection: a file, or one slice of a volume.

    Attributes:
        key: 12 hex digits that say nothing about the patient (see `item_key`).
        group: Patient or scene, which a split never divides; the key where it is unknown.
        role: `target` is sharp, usable as truth or reference; `source` is degraded by nature, without truth.
        label: Class or other text, "" where there is none.
        source: Name of the collection; with the label a stratum of the split.
        split: Part in an official list, "" where there is none.
        path: The file, None for generated images.
        frame: Slice of a volume, else None.
        degraded: The degraded partner file of a real pair.
        mask: A file whose marked pixels are the region of interest.
        labels: A file with the class of every pixel.
        label_scheme: How that file names the classes.
        axis: Of a volume, which its slices are cut across.
    """

    key: str
    group: str
    role: Role
    label: str
    source: str
    split: Split
    path: Path | None
    frame: int | None
    degraded: Path | None
    mask: Path | None
    labels: Path | None = None
    label_scheme: Scheme = "train_ids"
    axis: int = 2


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is no item, and why; `path` is None for a generated image that could not be made."""

    path: Path | None
    reason: str

    @property
    def name(self) -> str:
        """The file's name for messages."""
        return "a generated image" if self.path is None else self.path.name

    @classmethod
    def because(cls, path: Path | None, error: MedrestoreError) -> LeftOut:
        """Make an entry of what a reader says about a file, without repeating the file's name."""
        return cls(path, str(error).removeprefix(f"cannot read {path}: "))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items of a source in a fixed order, the files left out, and notes on what was left out by rule.

    Attributes:
        items: What there is.
        left_out: Files that are no item.
        notes: Counts of what was left out by rule, and what is not known.
        licences: Of the images, where a manifest tells.
        by_rule: Files left out by rule, which the notes count.

    Raises:
        MedrestoreError: Two items have the same key.
    """

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    licences: tuple[str, ...] = ()
    by_rule: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        repeated = [key for key, count in Counter(item.key for item in self.items).items() if count > 1]
        if repeated:
            same = [str(item.path) for item in self.items if item.key == repeated[0]]
            raise MedrestoreError(f"two images have the same key {repeated[0]}: {', '.join(same)}; rename one of them")


def patients_known(items: Sequence[Item]) -> str:
    """Say whether images belong to known patients or scenes: `known`, `unknown`, or `unknown for 3 of 9 images`."""
    alone = sum(item.group == item.key for item in items)
    if alone in (0, len(items)):
        return "unknown" if alone else "known"
    return f"unknown for {alone} of {len(items)} images"


class Source(Protocol):
    """Where images come from: folders of files, or a generator of test material.

    Attributes:
        name: Of the whole, for messages.
        screening: Which of its images show enough; None = every image counts.
    """

    name: str
    screening: Screening | None

    def catalogue(self) -> Catalogue:
        """List what there is, without decoding any image."""
        ...

    def load(self, item: Item) -> Image:
        """Read the image of an item in physical units."""
        ...

    def load_degraded(self, item: Item) -> Image | None:
        """Read the degraded partner of a real pair, None where there is none."""
        ...

    def load_mask(self, item: Item) -> Tensor | None:
        """Read the item's mask, bool (1, H, W), None where there is none."""
        ...

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Return what else is known, e.g. `boxes` (k, 4) as x0, y0, x1, y1 in pixels and `label`."""
        ...


def item_key(collection: str, relative: str, frame: int | None = None, axis: int = 2) -> str:
    """Return the 12 hex digits that name an image in every table.

    Args:
        collection: Name of the root folder, or of the generator.
        relative: Path of the file below the root, with `/`.
        frame: Slice of a volume.
        axis: Of the volume, across which it is cut.
    """
    place = "" if frame is None else f"{frame}" if axis == 2 else f"{frame} across {axis}"
    # macOS stores umlauts decomposed: the same file must have the same key on every machine.
    return _digest(unicodedata.normalize("NFC", f"{collection}\n{relative}\n{place}"))


def hashed_group(group: str) -> str:
    """Return 12 hex digits for a patient or scene, so that no file we write tells who it was."""
    return _digest(unicodedata.normalize("NFC", group))


def _digest(text: str) -> str:
    # File names that are no valid UTF-8 reach us with surrogates in them.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
