"""Keep the two domains of unpaired fundus photographs apart: no file, no patient in both, and not swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medrestore.data.catalogue import LeftOut
from medrestore.data.fundus_photographs import CATARACT_FROM, Domain, Photograph
from medrestore.data.identical import identical_files
from medrestore.errors import MedrestoreError

Reference = Literal["both", "sharp", "clear"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A photograph of a catalogue in the making.

    Attributes:
        photograph: What its collection says.
        path: The file.
        key: See `Item`.
        group: Patient, None where nobody knows.
    """

    photograph: Photograph
    path: Path
    key: str
    group: str | None

    @property
    def domain(self) -> Domain:
        """Which of the photographs' kinds it is."""
        return self.photograph.domain

    @property
    def clouded(self) -> bool:
        """Whether it shows an eye with cataract."""
        return self.domain == "cataract"


def check_scores(listed: Sequence[Listed]) -> None:
    """Refuse domains that look swapped by their scores of severity.

    Raises:
        MedrestoreError: With both means.
    """
    scores = {
        clouded: [
            one.photograph.severity for one in listed if one.clouded == clouded and one.photograph.severity is not None
        ]
        for clouded in (True, False)
    }
    means = {clouded: sum(found) / len(found) for clouded, found in scores.items() if found}
    # Where a domain has no score it is taken to lie where it should.
    clouded, clear = means.get(True, 10.0), means.get(False, 0.0)
    if clear > clouded or clear >= CATARACT_FROM or clouded < CATARACT_FROM:
        told = [
            f"{name} photographs {means[key]:.1f}"
            for key, name in ((True, "cataract"), (False, "reference"))
            if key in means
        ]
        raise MedrestoreError(
            f"the two domains look swapped: by their scores (0 clear, 10 worst) {' and '.join(told)} on average; "
            "exchange the two folders, or correct their roles"
        )


def of_reference(listed: Sequence[Listed], reference: Reference) -> tuple[list[Listed], list[str]]:
    """Keep the reference photographs that are asked for, and all that are clouded or of pairs.

    Returns:
        What stays, and a note for each kind that does not.

    Raises:
        MedrestoreError: No reference photograph stays.
    """
    wanted, others = [], Counter[str]()
    for one in listed:
        if one.clouded or one.photograph.degraded is not None or reference in ("both", one.domain):
            wanted.append(one)
        else:
            others[one.domain] += 1
    if others and all(one.clouded for one in wanted):
        there = " and ".join(f"{count} {domain}" for domain, count in others.items())
        raise MedrestoreError(
            f"dataset.reference={reference} leaves no reference photograph, there are {there} ones; type "
            "dataset.reference=both"
        )
    return wanted, [f"{count} {domain} photographs left out: reference={reference}" for domain, count in others.items()]


def checked_domains(listed: Sequence[Listed]) -> tuple[list[Listed], list[LeftOut], list[str]]:
    """Leave out what is there twice, and reference photographs of patients who have clouded ones.

    Files equal byte for byte are one photograph, and the patients they are listed under are one patient. Of a file in
    both domains the clouded side is kept.

    Returns:
        What stays, what does not, and notes: how many photographs each collection gives, and what the domains teach.

    Raises:
        MedrestoreError: Half of a domain or more is in the other one too.
    """
    same = identical_files(one.path for one in listed)
    by_path = {one.path: one for one in listed}
    left_out: list[LeftOut] = []
    dropped: set[Path] = set()
    patients: dict[str, str] = {}
    shared = 0
    for files in same:
        # Clouded first, then a pair, then the one that comes first.
        members = sorted(
            (by_path[path] for path in files), key=lambda one: (not one.clouded, not one.photograph.degraded)
        )
        first = members[0]
        for other in members[1:]:
            if other.clouded != first.clouded:
                shared += 1
                left_out.append(LeftOut(other.path, f"the same file is among the cataract photographs: {first.path}"))
            else:
                left_out.append(LeftOut(other.path, f"the same file as {first.path}"))
            dropped.add(other.path)
            if first.group is not None and other.group is not None:
                patients[_root(patients, other.group)] = _root(patients, first.group)
    smaller = min(sum(one.clouded for one in listed), sum(not one.clouded for one in listed))
    if shared and 2 * shared >= smaller:
        raise MedrestoreError(
            f"the two domains are the same: {shared} of {smaller} photographs are in both; name a folder of "
            "clear photographs of other patients"
        )
    kept = [
        replace(one, group=_root(patients, one.group) if one.group else None)
        for one in listed
        if one.path not in dropped
    ]
    ill = {one.group for one in kept if one.clouded and one.group is not None}
    both = [one for one in kept if not one.clouded and one.photograph.degraded is None and one.group in ill]
    left_out += [LeftOut(one.path, "its patient has cataract photographs too") for one in both]
    gone = {one.key for one in both}
    kept = [one for one in kept if one.key not in gone]
    notes = _notes(kept)
    if both:
        count = len({one.group for one in both})
        notes.append(
            f"{len(both)} reference photographs left out: their {count} patients have cataract photographs too"
        )
    if shared:
        notes.append(f"{shared} reference photographs left out: they are among the cataract photographs")
    repeats = len(dropped) - shared
    if repeats:
        notes.append(f"{repeats} photographs left out: the same file as another")
    return kept, left_out, notes


def _root(patients: Mapping[str, str], group: str) -> str:
    while group in patients and patients[group] != group:
        group = patients[group]
    return group


def _notes(kept: Sequence[Listed]) -> list[str]:
    counts = Counter((one.photograph.collection, "pairs" if one.photograph.degraded else one.domain) for one in kept)
    notes = [", ".join(f"{collection}: {count} {kind}" for (collection, kind), count in sorted(counts.items()))]
    unpaired = [one for one in kept if one.photograph.degraded is None]
    ours = {one.photograph.collection for one in unpaired if not one.clouded}
    theirs = {one.photograph.collection for one in unpaired if one.clouded}
    if ours and theirs and ours != theirs:
        reference, cataract = (", ".join(sorted(names)) for names in (ours, theirs))
        notes.append(
            f"reference photographs are from {reference}, cataract ones from {cataract}: a GAN also learns the camera; "
            "dataset.reference=clear or sharp chooses"
        )
    return notes
