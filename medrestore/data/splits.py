"""Divide a catalogue into train, val and test without dividing a patient, and prove that nothing leaks."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medrestore.data.catalogue import Item, Part, hashed_group
from medrestore.data.identical import identical_files
from medrestore.data.names import split_name
from medrestore.data.quota import cut
from medrestore.data.tables import read_table, write_whole
from medrestore.errors import MedrestoreError

PARTS: tuple[Part, ...] = ("train", "val", "test")
SIZES: Mapping[Part, float | int] = {"train": 0.7, "val": 0.15, "test": 0.15}
FEWEST_GROUPS = 3


def split_items(
    items: Sequence[Item], sizes: Mapping[Part, float | int] = SIZES, data_seed: int = 0
) -> dict[str, Part]:
    """Assign images to parts by whole groups, the same way every time.

    Groups are ranked by a hash of (group, `data_seed`) inside strata (source, label, role), and each part takes its
    share of every stratum from the top of the ranking, so that more data move as few groups as the sizes allow.
    Official lists (`Item.split`) come first; where they have no validation part, it is cut from their training groups.

    Args:
        items: The catalogue's items.
        sizes: Of each part: fractions (float) or numbers (int) of images, met within one group. What they leave over
            belongs to no part.
        data_seed: Another seed, another split.

    Returns:
        The part of each key.

    Raises:
        MedrestoreError: Fewer than three groups, sizes that make no sense, or an official list that divides a group.
    """
    shares = _shares(sizes, len(items))
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    if len(groups) < FEWEST_GROUPS:
        raise MedrestoreError(
            f"a split needs {FEWEST_GROUPS} patients or scenes, found {len(groups)} in {len(items)} images; "
            "add images of others, or type dataset.groups=item to divide the files one by one, patients or not"
        )
    official: dict[str, Part | None] = {group: _official(members) for group, members in groups.items()}
    free = {group: members for group, members in groups.items() if official[group] is None}
    parts: dict[str, Part] = {group: part for group, part in official.items() if part is not None}
    trained = "train" in parts.values()
    if "val" not in parts.values() and (trained or not free):
        parts |= _val_of_official(groups, parts, shares, data_seed)
    if free:
        fewest = 0 if trained else 1  # an official test list alone leaves the training and its validation to the rest
        parts |= cut(free, shares, data_seed, fewest)
    return {item.key: parts[item.group] for item in items if item.group in parts}


def split_paired(
    items: Sequence[Item], sizes: Mapping[Part, float | int] = SIZES, data_seed: int = 0
) -> dict[str, Part]:
    """Assign images to parts for a paired scheme: `split_items` of the sharp images alone, then `with_natural`."""
    sharp = [item for item in items if item.role == "target"]
    return with_natural(items, split_items(sharp, sizes, data_seed) if sharp else {})


def split_unpaired(
    items: Sequence[Item], sizes: Mapping[Part, float | int] = SIZES, data_seed: int = 0
) -> dict[str, Part]:
    """Assign images to parts for an unpaired scheme: `split_items` of each domain, so that every part has both.

    A patient or scene of both domains lies where its sharp images lie. Sizes in numbers of images hold for each domain.
    Fewer than three groups of degraded images are all trained on: without them there is nothing to learn.
    """
    split = split_items([item for item in items if item.role == "target"], sizes, data_seed)
    parts: dict[str, Part] = {item.group: split[item.key] for item in items if item.key in split}
    sources = [item for item in items if item.role == "source"]
    known: dict[str, Part] = {item.key: parts[item.group] for item in sources if item.group in parts}
    rest = [item for item in sources if item.group not in parts]
    if len({item.group for item in rest}) < FEWEST_GROUPS:
        return {**split, **known, **{item.key: "train" for item in rest}}
    return {**split, **known, **split_items(rest, sizes, data_seed)}


def with_natural(items: Sequence[Item], split: Mapping[str, Part]) -> dict[str, Part]:
    """Add the images that are degraded by nature to a split of the sharp ones.

    For paired schemes, which cannot train on them: an image whose patient or scene has sharp images goes where those
    are, every other one is a test image. What the split names already stays.
    """
    sharp = {item.group for item in items if item.role == "target"}
    parts: dict[str, Part] = {item.group: split[item.key] for item in items if item.key in split}
    found: dict[str, Part] = dict(split)
    for item in items:
        if item.role == "target" or item.key in split:
            continue
        if item.group in parts:
            found[item.key] = parts[item.group]
        elif item.group not in sharp:
            found[item.key] = "test"
    return found


def _shares(sizes: Mapping[Part, float | int], total: int) -> dict[Part, float]:
    if set(sizes) != set(PARTS):
        raise MedrestoreError(f"a split has the sizes {', '.join(PARTS)}, got {', '.join(sizes) or 'none'}")
    shares: dict[Part, float] = {}
    for part in PARTS:
        size = sizes[part]
        if not size > 0 or (isinstance(size, float) and size >= 1):
            raise MedrestoreError(
                f"the size {size!r} of the {part} part is neither a fraction between 0 and 1 nor a number of images; "
                f"type sampling.split.{part}={SIZES[part]}"
            )
        shares[part] = size if isinstance(size, float) else size / max(total, 1)
    if sum(shares.values()) > 1 + 1e-9:
        asked = ", ".join(f"{part} {sizes[part]}" for part in PARTS)
        raise MedrestoreError(
            f"the parts ask for more than there is ({asked} of {total} images); type smaller sampling.split sizes"
        )
    return shares


def _official(members: Sequence[Item]) -> Part | None:
    """Return the official part of a group, None where the list does not name it."""
    found = {item.split: item for item in members if item.split != ""}
    if len(found) > 1:
        (one, first), (two, second) = sorted(found.items())[:2]
        raise MedrestoreError(
            f"the official list divides a patient or scene: {_named(first)} is in {one}, {_named(second)} in {two}; "
            "type sampling.split.file=FILE with another list, or dataset.groups=item if they are not of one patient"
        )
    return next((item.split for item in members if item.split != ""), None)


def _val_of_official(
    groups: Mapping[str, list[Item]], parts: Mapping[str, Part], shares: Mapping[Part, float], data_seed: int
) -> dict[str, Part]:
    """Cut the validation part from the official training groups; its share is one of all official images."""
    training = {group: groups[group] for group, part in parts.items() if part == "train"}
    if len(training) < 2:
        raise MedrestoreError(
            f"the official list has no validation part and {len(training)} training patients or scenes to cut it from; "
            "give sampling.split.file=FILE with columns group, split"
        )
    images = sum(len(members) for members in training.values())
    share = min(0.5, shares["val"] * sum(len(groups[group]) for group in parts) / images)
    return cut(training, {"val": share, "train": 1 - share}, data_seed, 1)


def check_disjoint(items: Sequence[Item], split: Mapping[str, Part]) -> None:
    """Refuse a split that divides a group, or has one and the same file in two parts.

    Raises:
        MedrestoreError: Naming two images and the remedy.
    """
    used = [item for item in items if item.key in split]
    first: dict[str, Item] = {}
    for item in used:
        other = first.setdefault(item.group, item)
        if split[other.key] != split[item.key]:
            raise MedrestoreError(
                f"a patient or scene is in two parts: {_named(other)} in {split[other.key]}, {_named(item)} in "
                f"{split[item.key]}; give both the same part in the split file (the official list, the folders), or "
                "type dataset.groups=item if they are not of one patient"
            )
    parts: dict[Path, tuple[Item, Part]] = {item.path: (item, split[item.key]) for item in used if item.path}
    for same in identical_files(parts):
        one, part = parts[same[0]]
        for two, other in (parts[path] for path in same[1:]):
            if part == other:
                continue
            raise MedrestoreError(
                f"the same file is in two parts: {_named(one)} in {part}, {_named(two)} in {other}; delete one of "
                "them, or give both the same group in MANIFEST.csv"
            )


def _named(item: Item) -> str:
    return f"{item.path} (key {item.key})" if item.path else f"key {item.key}"


def write_split(path: Path, items: Iterable[Item], split: Mapping[str, Part]) -> Path:
    """Write the record of a split, whole or not at all: columns key, group (hashed), role, split.

    Returns:
        The path.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("key", "group", "role", "split"))
    for item in items:
        if item.key in split:
            table.writerow((item.key, hashed_group(item.group), item.role, split[item.key]))
    return write_whole(path, text.getvalue())


def groups_of_parts(path: Path, parts: Sequence[Part]) -> set[tuple[str, str]]:
    """Read the key and the hashed group of every image that our own record has in some parts.

    Raises:
        MedrestoreError: The record is missing or is none of ours.
    """
    rows = read_table(path, ("key", "group", "split"))
    return {(row["key"], row["group"]) for row in rows if row["split"] in parts}


def read_split(path: Path, items: Sequence[Item]) -> dict[str, Part]:
    """Read a split: our own record, or a user's table with `key`, `file` or `group`, and `split`.

    `file` may be any end of the file's path. Images that the table does not name belong to no part.

    Returns:
        The part of each key.

    Raises:
        MedrestoreError: A missing column, an unknown part, an image with two parts, or nothing that fits the items.
    """
    rows = read_table(path, ("split",))
    names = next((name for name in ("key", "file", "group") if rows and name in rows[0]), None)
    if names is None:
        raise MedrestoreError(f"{path} has no rows with a column key, file or group; the first line must name them")
    by_name = _by_name(items, names)
    split: dict[str, Part] = {}
    for number, row in enumerate(rows, start=2):
        part = split_name(row["split"])
        if part == "":
            raise MedrestoreError(f"{path} line {number}: split {row['split']!r} is none of train, val, test")
        named = by_name.get(_normal(row[names]), [])
        files = {item.path for item in named}
        if names == "file" and len(files) > 1:
            raise MedrestoreError(
                f"{path} line {number}: {row[names]!r} fits {len(files)} files; give more of their paths"
            )
        for item in named:
            if split.setdefault(item.key, part) != part:
                raise MedrestoreError(f"{path} line {number}: {row[names]!r} is in {split[item.key]} and in {part}")
    if not split:
        raise MedrestoreError(f"{path}: none of its {len(rows)} rows names an image of this dataset by its {names}")
    return split


def _by_name(items: Sequence[Item], column: str) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if column == "key":
            found[item.key].append(item)
        elif column == "group":
            for name in {_normal(item.group), hashed_group(item.group)}:
                found[name].append(item)
        elif item.path is not None:
            parts = item.path.parts
            for start in range(len(parts)):
                found[_normal("/".join(parts[start:]).replace("//", "/"))].append(item)
    return found


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))
