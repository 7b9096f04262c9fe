"""Collections of fundus photographs whose quality or cataract somebody graded: EyeQ, DeepDRiD, CSDI.

Each function takes the files it knows out of a tree's photographs, see `fundus_layouts`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from medrestore.data.catalogue import LeftOut, Split
from medrestore.data.fundus_photographs import (
    CATARACT_FROM,
    Domain,
    Found,
    Photograph,
    domain_of,
    group_of,
    patient_of,
    severity_label,
)
from medrestore.data.names import folders_of, split_name, stem_of
from medrestore.data.tables import read_table
from medrestore.data.tree import Tree


def eyeq(tree: Tree, files: Sequence[str]) -> Found:
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
            Photograph(file, domains[grade][0], "EyeQ", group_of("eyeq", file), domains[grade][1], part)
            for file, grade, part in graded
            if grade in domains
        ),
        tuple(
            LeftOut(tree.path(file), f"EyeQ's quality {grade}: to be rejected")
            for file, grade, _ in graded
            if grade not in domains
        ),
    )


def deepdrid(tree: Tree, files: Sequence[str]) -> Found:
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
            photographs.append(
                Photograph(file, domain, "DeepDRiD", group_of("deepdrid", file), f"quality {grade}", part)
            )
    return Found(tuple(photographs))


def csdi(tree: Tree, files: Sequence[str]) -> Found:
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
            told = domain_of(folders_of(file)) or domain_of((row.get("role", ""),))
            domain: Domain = told or ("clear" if score < CATARACT_FROM else "cataract")
            patient = row.get("patient") or patient_of(stem_of(file))
            group = f"csdi {patient}" if patient else None
            photographs.append(Photograph(file, domain, "CSDI", group, severity_label(score), severity=score))
    return Found(tuple(photographs), tuple(left_out))


def _tables(tree: Tree, stem: str) -> list[str]:
    return [file for file in tree.others if re.fullmatch(rf"(?:{stem})\.csv", PurePosixPath(file).name, re.IGNORECASE)]


def _below(file: str, table: str) -> bool:
    """Say whether a file lies in the folder of a table or below it."""
    return folders_of(file)[: len(folders_of(table))] == folders_of(table)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
