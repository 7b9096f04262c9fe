"""Recognise collections of fundus photographs: EyeQ, DeepDRiD, CSDI, HRF, CHASE_DB1, DRIVE, IDRiD, FIVES, own folders.

A collection is one function that takes the files it knows out of a tree's photographs, so a folder may hold several.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import get_args

from medrestore.data.catalogue import LeftOut, Role, Split
from medrestore.data.fundus_photographs import (
    CATARACT_FROM,
    WORDS,
    Domain,
    Found,
    Maps,
    Photograph,
    patient_of,
    severity_label,
)
from medrestore.data.manifest import read_manifest
from medrestore.data.names import folders_of, part_of, split_name, stem_of
from medrestore.data.tables import read_table
from medrestore.data.tree import Tree


def photographs_of(tree: Tree, fallback: Domain | None = None) -> Found:
    """List the photographs of a tree: by a MANIFEST.csv in it or above it, else by the collections that are known.

    Args:
        tree: The files.
        fallback: What photographs are that nothing tells about; None lists them as left out.
    """
    maps = Maps.of(tree)
    found = _by_manifest(tree) or _by_layouts(tree, maps.photographs, fallback)
    return replace(found, photographs=tuple(maps.attach(one) for one in found.photographs))


def _by_manifest(tree: Tree) -> Found | None:
    roles: dict[str, Role] = {
        word: "source" if domain == "cataract" else "target" for domain, words in WORDS.items() for word in words
    }
    listing = read_manifest(tree, roles)
    if listing is None:
        return None
    without_clear = read_manifest(tree, {word: role for word, role in roles.items() if word not in WORDS["clear"]})
    sharp = {entry.file for entry in without_clear.entries} if without_clear is not None else set()
    photographs = []
    for entry in listing.entries:
        score = re.search(r"score=([\d.]+)", entry.label)
        severity = float(score[1]) if score else None
        photographs.append(
            Photograph(
                entry.file,
                "cataract" if entry.role == "source" else "sharp" if entry.file in sharp else "clear",
                entry.collection or tree.root.name,
                group=entry.group,
                label=entry.label if severity is None else severity_label(severity),
                split=entry.split,
                severity=severity,
                degraded=entry.degraded,
                licence=entry.licence,
            )
        )
    # Which of several masks is the vessels' is told by their folders, whatever the manifest takes first.
    return Found(tuple(photographs), listing.left_out, tuple(note for note in listing.notes if "mask" not in note))


def _by_layouts(tree: Tree, photographs: Sequence[str], fallback: Domain | None) -> Found:
    """Let each collection take its photographs; the rest is told by its folders."""
    rest = list(photographs)
    parts: list[Found] = []
    for take in (_eyeq, _deepdrid, _csdi, *(partial(_sharp, collection=known) for known in _SHARP), _hrf_pairs):
        part = take(tree, rest)
        taken = {one.file for one in part.photographs} | {_file(tree, gone.path) for gone in part.left_out}
        taken |= {_file(tree, one.degraded) for one in part.photographs if one.degraded is not None}
        rest = [file for file in rest if file not in taken]
        parts.append(_with_official_split(part))
    parts.append(_with_official_split(_by_words(tree, rest, fallback)))
    return Found(
        tuple(one for part in parts for one in part.photographs),
        tuple(gone for part in parts for gone in part.left_out),
        tuple(note for part in parts for note in part.notes),
    )


def _eyeq(tree: Tree, files: Sequence[str]) -> Found:
    """EyeQ: `Label_EyeQ_{train,test}.csv` with columns `image`, `quality`; images `<id>_{left,right}.*` anywhere.

    Quality 0 is clear, 1 (usable) counts as clouded, 2 (to be rejected) is left out. https://github.com/HzFu/EyeQ
    """
    grades: dict[str, tuple[str, Split]] = {}
    for table in _tables(tree, r"label_eyeq_.*"):
        part = split_name(stem_of(table).rsplit("_", 1)[-1])
        for row in read_table(tree.path(table), ("image", "quality")):
            grades[stem_of(row["image"])] = (row["quality"], part)
    graded = [(file, *grades[stem_of(file)]) for file in files if stem_of(file) in grades]
    domains: dict[str, tuple[Domain, str]] = {"0": ("clear", "good"), "1": ("cataract", "usable")}
    return Found(
        tuple(
            Photograph(file, domains[grade][0], "EyeQ", _named("eyeq", file), domains[grade][1], part)
            for file, grade, part in graded
            if grade in domains
        ),
        tuple(
            LeftOut(tree.path(file), f"EyeQ's quality {grade}: to be rejected")
            for file, grade, _ in graded
            if grade not in domains
        ),
    )


def _deepdrid(tree: Tree, files: Sequence[str]) -> Found:
    """DeepDRiD: `regular-fundus-{training,validation}/Images/<id>/<id>_{l,r}<n>.jpg` and a table beside `Images`.

    Of the table `image_id` and `Overall quality` are read: 1 is clear, 0 counts as clouded.
    https://github.com/deepdrdoc/DeepDRiD
    """
    quality: dict[str, str] = {}
    for table in _tables(tree, r"regular-fundus-(?:training|validation)"):
        for row in read_table(tree.path(table), ("image_id", "Overall quality")):
            quality[row["image_id"]] = row["Overall quality"]
    photographs = []
    for file in files:
        grade = quality.get(stem_of(file)) if "regular-fundus" in file else None
        if grade in ("0", "1"):
            domain: Domain = "clear" if grade == "1" else "cataract"
            part: Split = "val" if "validation" in file else "train"
            photographs.append(Photograph(file, domain, "DeepDRiD", _named("deepdrid", file), f"quality {grade}", part))
    return Found(tuple(photographs))


def _csdi(tree: Tree, files: Sequence[str]) -> Found:
    """CSDI: `original_images/*` and `CSDI_annotations.csv` (`id`, `score`), or images and `scores.csv` beside them.

    `scores.csv` has the columns `image`, `severity_0_10` and, where they are known, `patient`, `role`. Without a role,
    and outside folders that name one, a score below 3 is clear. Copies in other folders (cropped ones) are left out.
    https://github.com/PKUTHM/CSDI
    """
    photographs, left_out = [], []
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_name[PurePosixPath(file).name].append(file)
    for table in _tables(tree, r"csdi_annotations|scores"):
        rows = read_table(tree.path(table), ())
        if not rows or not ({"id", "score"} <= rows[0].keys() or {"image", "severity_0_10"} <= rows[0].keys()):
            continue
        for row in rows:
            score = _number(row.get("score") or row.get("severity_0_10", ""))
            found = [file for file in by_name[row.get("id") or row.get("image", "")] if _below(file, table)]
            if not found or score is None:
                continue
            file = next((file for file in found if "original_images" in folders_of(file)), found[0])
            left_out += [LeftOut(tree.path(one), f"a copy of {file}") for one in found if one != file]
            told = _domain(folders_of(file)) or _domain((row.get("role", ""),))
            domain: Domain = told or ("clear" if score < CATARACT_FROM else "cataract")
            patient = row.get("patient") or patient_of(stem_of(file))
            group = f"csdi {patient}" if patient else None
            photographs.append(Photograph(file, domain, "CSDI", group, severity_label(score), severity=score))
    return Found(tuple(photographs), tuple(left_out))


@dataclass(frozen=True, slots=True)
class _Collection:
    """A collection of sharp photographs, told by its files' names."""

    name: str
    file: str
    labels: Mapping[str, str] = field(default_factory=dict)


# `patient` in a file's path is the group; `label` says what the photograph shows.
_SHARP = (
    _Collection(
        "HRF",
        r"(?:.*/)?(?P<patient>\d\d_(?P<label>dr|g|h))\.\w+",
        {"dr": "diabetic retinopathy", "g": "glaucoma", "h": "healthy"},
    ),
    _Collection("CHASE_DB1", r"(?:.*/)?image_(?P<patient>\d\d)[lr]\.\w+"),
    _Collection("DRIVE", r"(?:.*/)?(?P<patient>\d\d)_(?:training|test)\.\w+"),
    # The part for grading numbers its two sets apart, with three digits.
    _Collection("IDRiD", r"(?:.*/)?(?:(?P<patient>idrid_\d\d)|idrid_\d\d\d)\.\w+"),
    _Collection("FIVES", r"(?:.*/)?(?:train|test)/original/\d+_[ADGN]\.\w+"),
)


def _sharp(tree: Tree, files: Sequence[str], collection: _Collection) -> Found:
    """HRF, CHASE_DB1, DRIVE, IDRiD, FIVES: sharp photographs, most with vessel maps; parts by folders or names."""
    photographs = []
    for file in files:
        match = re.fullmatch(collection.file, file, re.IGNORECASE)
        if match is None:
            continue
        told = match.groupdict()
        patient = told.get("patient")
        part = part_of(file) or split_name(stem_of(file).rsplit("_", 1)[-1])
        photographs.append(
            Photograph(
                file,
                "sharp",
                collection.name,
                f"{collection.name} {patient.lower()}" if patient else None,
                collection.labels.get((told.get("label") or "").lower(), ""),
                part,
            )
        )
    return Found(tuple(photographs))


def _hrf_pairs(tree: Tree, files: Sequence[str]) -> Found:
    """HRF's image quality pairs: `<n>_good.JPG` and `<n>_bad.JPG` of one eye, to be registered."""
    named = {stem_of(file).lower(): file for file in files}
    return Found(
        tuple(
            Photograph(file, "sharp", "HRF pairs", f"HRF pair {good[1]}", degraded=tree.path(named[f"{good[1]}_bad"]))
            for stem, file in named.items()
            if (good := re.fullmatch(r"(\d+)_good", stem)) and f"{good[1]}_bad" in named
        )
    )


def _by_words(tree: Tree, files: Sequence[str], fallback: Domain | None) -> Found:
    """Photographs in folders named by what they are, such as `source` and `reference`; the patient by the name."""
    photographs, unknown = [], []
    for file in files:
        domain = fallback or _domain((tree.root.name, *folders_of(file)))
        if domain is None:
            unknown.append(LeftOut(tree.path(file), "no folder says whether it is clear or clouded"))
        else:
            group = _named(tree.root.name, file)
            photographs.append(Photograph(file, domain, tree.root.name, group, split=part_of(file)))
    return Found(tuple(photographs), tuple(unknown))


def _with_official_split(part: Found) -> Found:
    """Keep the official parts where there is a train and a test part; else forget them."""
    if {"train", "test"} <= {one.split for one in part.photographs}:
        return part
    return replace(part, photographs=tuple(replace(one, split="") for one in part.photographs))


def _domain(names: Iterable[str]) -> Domain | None:
    """Return what the last of some folders' names says, None where none does."""
    told: Domain | None = None
    for name in names:
        for domain in get_args(Domain):
            if name.lower() in WORDS[domain]:
                told = domain
    return told


def _named(collection: str, file: str) -> str | None:
    patient = patient_of(stem_of(file))
    return f"{collection} {patient}" if patient else None


def _tables(tree: Tree, stem: str) -> list[str]:
    return [file for file in tree.others if re.fullmatch(rf"(?:{stem})\.csv", PurePosixPath(file).name, re.IGNORECASE)]


def _below(file: str, table: str) -> bool:
    """Say whether a file lies in the folder of a table or below it."""
    return folders_of(file)[: len(folders_of(table))] == folders_of(table)


def _file(tree: Tree, path: Path | None) -> str:
    return "" if path is None else path.relative_to(tree.root).as_posix()


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
