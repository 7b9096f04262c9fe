"""Recognise how a collection lies on disk where no manifest says it.

A known collection is one function `name(tree) -> Listing | None` (None: not this layout) and one line in `recognise`.
Everything else is read by its folders' names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from medrestore.data.catalogue import LeftOut, Role, Split
from medrestore.data.listing import Entry, Listing, pair_masks, with_official_split
from medrestore.data.names import (
    companions,
    folders_of,
    is_content,
    is_mask,
    may_be_shown,
    name_patients,
    part_of,
    split_name,
    suffix_of,
)
from medrestore.data.street_layouts import street
from medrestore.data.tables import read_rows, read_table
from medrestore.data.tree import Tree

FEWEST_PATIENT_FOLDERS = 3  # below that, folders with numbers may be anything, and no split could be made of them
TYPES = ("Type_1", "Type_2", "Type_3")  # of the transformation zone, folders and columns of the Kaggle set


def recognise(tree: Tree, roles: Mapping[str, Role]) -> Listing:
    """List the images of a tree by the first layout that fits; more known collections are added here.

    Args:
        tree: The files.
        roles: Which role a folder's name stands for (see `role_names`).
    """
    return annocerv(tree) or kaggle_cervix(tree) or street(tree) or by_folders(tree, roles)


def annocerv(tree: Tree) -> Listing | None:
    """AnnoCerv: `Case <n>/C<n>Aceto (<k>).jpg`, its annotation as `.png` beside it, one Swede score a case.

    Only photographs after acetic acid are taken; iodine (`Iod`) and green-filter (`Green`) photographs are counted.
    https://github.com/iclx/AnnoCerv
    """
    name = re.compile(r"(?:.*/)?Case ?(\d+)/C\d+ ?(Aceto|Iod|Green)\b.*", re.IGNORECASE)
    found = {file: match for file in tree.images if (match := name.fullmatch(file))}
    if not found:
        return None
    stains = Counter(match[2].lower() for match in found.values())
    aceto = [file for file, match in found.items() if match[2].lower() == "aceto"]
    drawings = {file[: -len(".png")]: file for file in aceto if suffix_of(file) == ".png"}
    photographs = [file for file in aceto if suffix_of(file) != ".png"]
    scores, notes = _swede_scores(tree)
    entries = []
    for file in photographs:
        case = int(found[file][1])
        drawing = drawings.pop(file[: -len(suffix_of(file))], None)
        entries.append(
            Entry(
                file,
                group=f"annocerv case {case}",
                label=f"swede={scores[case]}" if case in scores else "",
                mask=tree.path(drawing) if drawing else None,
            )
        )
    others = len(tree.images) - len(found)
    notes += [
        f"AnnoCerv: {stains['iod']} iodine and {stains['green']} green-filter images left out",
        f"AnnoCerv: {len(drawings)} annotations left out: their photograph is not there" if drawings else "",
        f"AnnoCerv: {others} images with other names left out" if others else "",
    ]
    return Listing(tuple(entries), notes=tuple(note for note in notes if note))


def _swede_scores(tree: Tree) -> tuple[dict[int, int], list[str]]:
    """Read `swede_scores.csv`: the score alone, line by line from case 1 on, or case and score."""
    tables = [file for file in tree.others if PurePosixPath(file).name == "swede_scores.csv"]
    if not tables:
        return {}, ["AnnoCerv: there is no swede_scores.csv, so no labels"]
    rows = read_rows(tree.path(tables[0]))
    if rows and not rows[0][-1].isdigit():  # a header
        rows = rows[1:]
    if all(len(row) == 1 and row[0].isdigit() for row in rows):
        return {number: int(score) for number, (score,) in enumerate(rows, start=1)}, []
    if all(len(row) == 2 and row[0].isdigit() and row[1].isdigit() for row in rows):
        return {int(case): int(score) for case, score in rows}, []
    return {}, ["AnnoCerv: swede_scores.csv has neither one nor two columns of whole numbers, so no labels"]


def kaggle_cervix(tree: Tree) -> Listing | None:
    """Kaggle "Intel & MobileODT Cervical Cancer Screening": `{train,additional_Type_<t>_v2}/Type_<t>/<n>.jpg`, `test`.

    The label is the type of the transformation zone, corrected by `fixed_labels*.csv`; files of `removed_files.csv` are
    left out. Numbers repeat between folders and say nothing about patients.
    """
    images = [file for file in tree.images if not is_mask(file)]
    types = {file: folders_of(file)[-1] for file in images if folders_of(file)[-1:] in {(kind,) for kind in TYPES}}
    if len(set(types.values())) < 2:
        return None
    labels = types | _test_types(tree, images)
    removed = {file for name, kind, _ in _corrections(tree, r"removed_files.*") for file in _meant(types, name, kind)}
    for name, kind, new in _corrections(tree, r"fixed_labels.*"):
        labels.update({file: new for file in _meant(types, name, kind) if new in TYPES})
    masks, notes = pair_masks(images, [file for file in tree.images if is_mask(file)])
    entries = [
        Entry(
            file,
            label=labels.get(file, ""),
            split=_kaggle_part(file),
            mask=tree.path(masks[file]) if file in masks else None,
        )
        for file in images
        if file not in removed
    ]
    left_out = tuple(LeftOut(tree.path(file), "in removed_files.csv") for file in images if file in removed)
    return Listing(with_official_split(entries), left_out, tuple(notes))


def _kaggle_part(file: str) -> Split:
    return "train" if file.lower().startswith("additional") or "/additional" in file.lower() else part_of(file)


def _corrections(tree: Tree, table: str) -> list[tuple[str, str, str]]:
    """Read `filename, old_label, new_label`; the file names may carry folders in Windows form."""
    files = [file for file in tree.others if re.fullmatch(rf"{table}\.csv", PurePosixPath(file).name)]
    rows = [row for file in files for row in read_table(tree.path(file), ("filename",))]
    return [
        (row["filename"].replace("\\", "/").rsplit("/", 1)[-1], row.get("old_label", ""), row.get("new_label", ""))
        for row in rows
    ]


def _meant(types: Mapping[str, str], name: str, kind: str) -> list[str]:
    """Return the files a correction means: among the additional ones where it is there, else in the training part."""
    named = [file for file, folder in types.items() if PurePosixPath(file).name == name and kind in ("", folder)]
    return [file for file in named if "additional" in file.lower()] or named


def _test_types(tree: Tree, images: list[str]) -> dict[str, str]:
    """Read the types of the test images: `image_name` and one column of 0 or 1 a type."""
    types = {}
    for file in tree.others:
        stage = re.fullmatch(r"solution_stg([12])_release\.csv", PurePosixPath(file).name)
        if stage is None:
            continue
        rows = read_table(tree.path(file), ("image_name", *TYPES))
        ones = {row["image_name"]: kind for row in rows for kind in TYPES if row[kind] == "1"}
        folder = "test" if stage[1] == "1" else "test_stg2"
        for image in images:
            if folder in folders_of(image) and PurePosixPath(image).name in ones:
                types[image] = ones[PurePosixPath(image).name]
    return types


def by_folders(tree: Tree, roles: Mapping[str, Role]) -> Listing:
    """Read any collection by the names of its folders.

    Folders of a split (`train`, `test`), of a role and of mere content (`images`) are set aside. Of the levels that are
    left, the uppermost with at least three folders named like patients gives the group; levels named like classes give
    the label. Masks are attached to the image of the same name.
    """
    images = [file for file in tree.images if not is_mask(file)]
    masks, notes = pair_masks(images, [file for file in tree.images if is_mask(file)])
    beside = {file for file in companions(images) if folders_of(file)[-1].lower() not in roles}
    if beside:
        folders = ", ".join(sorted({folders_of(file)[-1] for file in beside}))
        notes.append(
            f"{len(beside)} files left out: in {folders} they have the names of files in the folder images beside"
        )
        images = [file for file in images if file not in beside]
    trails = {
        file: tuple(
            name for name in folders_of(file) if not (is_content(name) or split_name(name) or name.lower() in roles)
        )
        for file in images
    }
    patients, classes = _levels(list(trails.values()))
    entries = [
        Entry(
            file,
            group=_patient(trail, patients, classes),
            role=_role((tree.root.name, *folders_of(file)), roles),
            label=_label(trail, classes),
            split=part_of(file),
            mask=tree.path(masks[file]) if file in masks else None,
        )
        for file, trail in trails.items()
    ]
    return Listing(with_official_split(entries), notes=tuple(notes))


def _patient(trail: tuple[str, ...], level: int | None, classes: list[int]) -> str | None:
    """Return the folders down to the patient, without classes: a patient may have images in several of them."""
    if level is None or len(trail) <= level:
        return None
    return "/".join(name for place, name in enumerate(trail[: level + 1]) if place not in classes)


def _label(trail: tuple[str, ...], classes: list[int]) -> str:
    """Return the folders that are classes; a name with a number among them may be a patient's and is not shown."""
    return "/".join(trail[level] for level in classes if level < len(trail) and may_be_shown(trail[level]))


def _role(names: tuple[str, ...], roles: Mapping[str, Role]) -> Role:
    for name in reversed(names):
        if name.lower() in roles:
            return roles[name.lower()]
    return "target"


def _levels(trails: list[tuple[str, ...]]) -> tuple[int | None, list[int]]:
    """Return the level of folders that are patients, and the levels that are classes."""
    patients, classes = None, []
    for level in range(max((len(trail) for trail in trails), default=0)):
        reaching = [trail for trail in trails if len(trail) > level]
        names = sorted({trail[level] for trail in reaching})
        if name_patients(names):
            folders = {trail[: level + 1] for trail in reaching}
            if patients is None and len(folders) >= FEWEST_PATIENT_FOLDERS:
                patients = level
        elif len(names) > 1:
            classes.append(level)
    return patients, classes


def folder_group(file: str) -> str:
    """Return the folder an image lies in, without `images`, `train` and the like: its group where that is asked for."""
    return "/".join(name for name in folders_of(file) if not (is_content(name) or split_name(name)))


def folder_label(file: str) -> str:
    """Return the name of the folder an image lies in, without `images`, `train` and the like."""
    return folder_group(file).rsplit("/", 1)[-1]
