"""What a manifest or a folder layout says about each file, before any file is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medrestore.data.catalogue import LeftOut, Role, Split
from medrestore.data.label_maps import Scheme
from medrestore.data.names import is_class_map, partner_key
from medrestore.errors import MedrestoreError


@dataclass(frozen=True, slots=True)
class Entry:
    """One image file.

    Attributes:
        file: Path relative to the root, with `/`.
        group: Patient or scene; None where nothing tells.
        role: See `Item`.
        label: See `Item`.
        split: See `Item`.
        collection: Name of the collection, "" for the root's own name.
        degraded: Degraded partner of a real pair.
        mask: Mask file.
        labels: Label map.
        label_scheme: See `Item`.
        licence: What a manifest says of it, "" where nothing does.
    """

    file: str
    group: str | None = None
    role: Role = "target"
    label: str = ""
    split: Split = ""
    collection: str = ""
    degraded: Path | None = None
    mask: Path | None = None
    labels: Path | None = None
    label_scheme: Scheme = "train_ids"
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files of a root, what was left out of them, and notes."""

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def role_names(target_roles: Sequence[str], source_roles: Sequence[str]) -> dict[str, Role]:
    """Return which role a word in a manifest or a folder's name stands for, words in small letters.

    Raises:
        MedrestoreError: A word is in both lists.
    """
    roles: dict[str, Role] = {word.lower(): "source" for word in source_roles}
    for word in target_roles:
        if word.lower() in roles:
            raise MedrestoreError(
                f"{word!r} is in dataset.target_roles and in dataset.source_roles; take it out of one of them"
            )
        roles[word.lower()] = "target"
    return roles


def with_official_split(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Keep the official parts where there is a train and a test part; else forget them."""
    entries = tuple(entries)
    if {"train", "test"} <= {entry.split for entry in entries}:
        return entries
    return tuple(replace(entry, split="") for entry in entries)


def pair_masks(images: Sequence[str], masks: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Find the mask of each image by name.

    Args:
        images: Image files, relative to the root.
        masks: Mask, label and annotation files.

    Returns:
        The mask file of each image that has one, and notes: how many masks belong to nothing, how many images have
        several (the first by name is taken), how many files are maps of classes.
    """
    maps = [file for file in masks if is_class_map(file)]
    by_key: dict[tuple[str, ...], list[str]] = {}
    for file in masks:
        if not is_class_map(file):
            by_key.setdefault(partner_key(file), []).append(file)
    found = {image: by_key[partner_key(image)] for image in images if partner_key(image) in by_key}
    used = {file for files in found.values() for file in files}
    several = Counter(len(files) > 1 for files in found.values())[True]
    lonely = sum(len(files) for files in by_key.values()) - len(used)
    notes = [
        f"{several} images have more than one mask file; the first by name is taken" if several else "",
        f"{lonely} masks or labels left out: no image has their name" if lonely else "",
        f"{len(maps)} label maps left out" if maps else "",
    ]
    return {image: files[0] for image, files in found.items()}, [note for note in notes if note]
