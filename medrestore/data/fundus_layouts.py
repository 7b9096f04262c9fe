"""Recognise collections of fundus photographs: EyeQ, DeepDRiD, CSDI, HRF, CHASE_DB1, DRIVE, IDRiD, FIVES, own folders.

A collection is one function that takes the files it knows out of a tree's photographs, so a folder may hold several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from medrestore.data.catalogue import LeftOut, Role
from medrestore.data.fundus_graded import csdi, deepdrid, eyeq
from medrestore.data.fundus_photographs import (
    WORDS,
    Domain,
    Found,
    Maps,
    Photograph,
    domain_of,
    group_of,
    severity_label,
)
from medrestore.data.manifest import read_manifest
from medrestore.data.names import folders_of, part_of, split_name, stem_of
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
    for take in (eyeq, deepdrid, csdi, *(partial(_sharp, collection=known) for known in _SHARP), _hrf_pairs):
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
        domain = fallback or domain_of((tree.root.name, *folders_of(file)))
        if domain is None:
            unknown.append(LeftOut(tree.path(file), "no folder says whether it is clear or clouded"))
        else:
            group = group_of(tree.root.name, file)
            photographs.append(Photograph(file, domain, tree.root.name, group, split=part_of(file)))
    return Found(tuple(photographs), tuple(unknown))


def _with_official_split(part: Found) -> Found:
    """Keep the official parts where there is a train and a test part; else forget them."""
    if {"train", "test"} <= {one.split for one in part.photographs}:
        return part
    return replace(part, photographs=tuple(replace(one, split="") for one in part.photographs))


def _file(tree: Tree, path: Path | None) -> str:
    return "" if path is None else path.relative_to(tree.root).as_posix()
