"""Read a MANIFEST.csv: one row a file, in the root of the images or in a folder above it."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from medrestore.data.catalogue import LeftOut, Role
from medrestore.data.label_maps import Scheme
from medrestore.data.listing import Entry, Listing, with_official_split
from medrestore.data.names import folders_of, is_numbered, split_name, stem_of
from medrestore.data.tables import read_table
from medrestore.data.tree import Tree

NAME = "MANIFEST.csv"
Row = dict[str, str]


def read_manifest(tree: Tree, roles: Mapping[str, Role], keep_groups: bool = False) -> Listing | None:
    """List the images of a tree as the nearest manifest that names files of it says.

    Columns: `file` (relative to the manifest), and where they are there `role`, `group`, `label`, `dataset`, `split`,
    `licence` and `degraded` (the degraded partner of a real pair, relative to the manifest). Rows of role `mask` with
    the group and the stem of an image become its mask, rows of role `label` its label map: training classes, or
    Cityscapes' label ids in a folder `semantic` or `labelids`, never a coloured copy in a folder `colormaps`. Rows of
    roles that are not in `roles` are counted.

    Args:
        tree: The files.
        roles: Which role a word of the column `role` stands for (see `role_names`); an empty cell is a target.
        keep_groups: Take the groups as they are, even where they are nothing but the classes.

    Returns:
        The listing, or None where no manifest names a file below the root.

    Raises:
        MedrestoreError: The manifest in the root itself has no column `file`.
    """
    roles = {"": "target", "target": "target", "source": "source", **roles}
    for folder in (tree.root, *tree.root.parents):
        path = folder / NAME
        if not path.is_file():
            continue
        # A manifest further up may belong to something else altogether: only the root's own must have our columns.
        rows = _rows_below(tree.root, path, needed=("file",) if folder == tree.root else ())
        if rows:
            return _listing(tree, path, rows, roles, keep_groups)
    return None


def _rows_below(root: Path, manifest: Path, needed: tuple[str, ...]) -> dict[str, Row]:
    """Return the rows of files below the root, by their path relative to it; of two rows of a file the first."""
    rows: dict[str, Row] = {}
    for row in read_table(manifest, needed):
        file = _relative(root, manifest, row.get("file", ""))
        if file is not None:
            rows.setdefault(file, row)
    return rows


def _relative(root: Path, manifest: Path, cell: str) -> str | None:
    """Return a manifest's path relative to the root, None where it lies elsewhere."""
    if not cell:
        return None
    path = PurePosixPath(os.path.normpath(_beside(manifest, cell)).replace(os.sep, "/"))
    return path.relative_to(root.as_posix()).as_posix() if path.is_relative_to(root.as_posix()) else None


def _beside(manifest: Path, cell: str) -> Path:
    return manifest.parent / cell.replace("\\", "/")


def _listing(tree: Tree, path: Path, rows: Mapping[str, Row], roles: Mapping[str, Role], keep_groups: bool) -> Listing:
    images = {file: row for file, row in rows.items() if row.get("role", "").lower() in roles}
    partners = {_relative(tree.root, path, row.get("degraded", "")) for row in images.values()}
    images = {file: row for file, row in images.items() if file not in partners}
    there = set(tree.images)
    present = {file: row for file, row in rows.items() if file in there}
    masks, notes = _companions(tree, present, images, "mask")
    maps, more = _companions(tree, present, images, "label")
    entries = [
        Entry(
            file,
            group=row.get("group") or None,
            role=roles[row.get("role", "").lower()],
            label=row.get("label", ""),
            split=split_name(row.get("split", "")),
            collection=row.get("dataset", ""),
            degraded=_beside(path, row["degraded"]) if row.get("degraded") else None,
            mask=masks.get(file),
            labels=(labels := maps.get(file)),
            label_scheme="train_ids" if labels is None else _scheme(labels),
            licence=row.get("licence", ""),
        )
        for file, row in sorted(images.items())
        if file in there
    ]
    wanted = {file for file, row in rows.items() if file in images or row.get("role", "").lower() in ("mask", "label")}
    left_out = [LeftOut(tree.path(file), _absence(tree, file)) for file in sorted(wanted - there)]
    left_out += [LeftOut(tree.path(file), f"not in {NAME}") for file in tree.images if file not in {*rows, *partners}]
    notes += [*more, *_other_roles(rows, roles)]
    if not keep_groups:
        entries, unusable = _without_class_groups(entries)
        notes += unusable
    return Listing(with_official_split(entries), tuple(left_out), tuple(notes))


def _absence(tree: Tree, file: str) -> str:
    return "no image by its name" if file in tree.others else f"listed in {NAME} but missing"


def _companions(
    tree: Tree, rows: Mapping[str, Row], images: Mapping[str, Row], role: Literal["mask", "label"]
) -> tuple[dict[str, Path], list[str]]:
    """Find the mask or the label map of each image: the same collection, group and stem."""
    word = "masks" if role == "mask" else "label maps"

    def identity(file: str, row: Row) -> tuple[str, str, str]:
        return row.get("dataset", ""), row.get("group", ""), stem_of(file).lower()

    by_identity: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for file, row in sorted(rows.items()):
        if row.get("role", "").lower() == role and not _is_coloured(file):
            by_identity[identity(file, row)].append(file)
    found = {file: by_identity[key] for file, row in images.items() if (key := identity(file, row)) in by_identity}
    several = sum(len(files) > 1 for files in found.values())
    lonely = sum(map(len, by_identity.values())) - len({mask for files in found.values() for mask in files})
    notes = [
        f"{several} images have more than one {role} file; the first by name is taken" if several else "",
        f"{lonely} {word} left out: no image that is used has their group and name" if lonely else "",
    ]
    return {file: tree.path(files[0]) for file, files in found.items()}, [note for note in notes if note]


def _other_roles(rows: Mapping[str, Row], roles: Mapping[str, Role]) -> list[str]:
    coloured = sum(row.get("role", "").lower() == "label" and _is_coloured(file) for file, row in rows.items())
    known = {*roles, "mask", "label"}
    counts = Counter(row["role"] for row in rows.values() if row.get("role", "").lower() not in known)
    notes = [f"{coloured} coloured copies of label maps left out"] if coloured else []
    return notes + [f"{count} files of role {role!r} left out" for role, count in sorted(counts.items())]


def _is_coloured(file: str) -> bool:
    return any(re.fullmatch(r"colou?r_?(?:maps?|masks?|labels?)", name.lower()) for name in folders_of(file))


def _scheme(labels: Path) -> Scheme:
    folder = labels.parent.name.lower()
    return "cityscapes_ids" if folder == "semantic" or "labelid" in folder else "train_ids"


def _without_class_groups(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Drop the groups of a collection where they only repeat the classes: then nobody knows the patients.

    That is so where each group has one label, its name contains that label, no two groups share a label (a group spans
    its whole class), and the groups are fewer than three or no label has a number in it. Two real patients look
    different, and stay whole. Labels with numbers may be patients: the manifest is believed, and a note asks.
    """
    collections: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        collections[entry.collection].append(entry)
    unusable, notes = set(), []
    for name, members in sorted(collections.items()):
        labels: dict[str | None, set[str]] = defaultdict(set)
        for entry in members:
            labels[entry.group].add(entry.label)
        pairs = [(group, label) for group, found in labels.items() for label in found]
        repeats = all(group and label and label.lower() in group.lower() for group, label in pairs)
        if not repeats or len(pairs) > len(labels) or len({label for _, label in pairs}) < len(labels):
            continue
        if len(members) == len(labels):
            continue  # one image a group: nothing to gain
        if len(labels) < 3 or not any(map(is_numbered, {label for _, label in pairs})):
            unusable.add(name)
            notes.append(f"{name or NAME}: the groups in {NAME} are only the classes and are not used")
        else:
            notes.append(f"{name or NAME}: the groups look like classes; if they are, type dataset.groups=item")
    return [replace(entry, group=None) if entry.collection in unusable else entry for entry in entries], notes
