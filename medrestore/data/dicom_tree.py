"""DICOM files of a tree: what each one is by its header, and which of them are no slices to train on.

Trees are told by their headers, never by how deep a file lies: NBIA Data Retriever, `tcia_utils`, IDC, flat series.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydicom.dataset import Dataset

from medrestore import imaging
from medrestore.data.catalogue import LeftOut, hashed_group
from medrestore.data.listing import Entry
from medrestore.data.tables import read_table
from medrestore.data.tree import Tree
from medrestore.errors import MedrestoreError
from medrestore.imaging.dicom import frames_of
from medrestore.imaging.guard import reading

SMALLEST = 64  # pixels: a section below is a thumbnail, and holds no training crop
_SECTIONS = frozenset({"CT", "MR", "PT"})  # modalities whose images are slices of a body
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds below it
_LOCALISER = re.compile(r"scout|topogram|localizer|localiser|surview|scanogram", re.IGNORECASE)
_REPORT = re.compile(r"dose (?:report|info)|patient protocol|screen ?save", re.IGNORECASE)
# Derived images that are slices in the values of their modality all the same: other planes, thicker slices.
_RESLICED = frozenset({"AXIAL", "CORONAL", "SAGITTAL", "OBLIQUE", "MPR", "REFORMATTED"})
_NO_SLICE = frozenset({"MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VRT", "VOLUME RENDERED", "SCREEN SAVE"})


@dataclass(frozen=True, slots=True)
class Header:
    """What is asked of a DICOM file's header.

    Attributes:
        patient: The group, a hash of the PatientID; None where there is none.
        series: SeriesInstanceUID, "" where there is none.
        modality: In capitals, "" where there is none.
        image_type: ImageType in capitals.
        description: SeriesDescription.
        sop_class: SOPClassUID.
        colour: More than one sample a pixel, or a palette of colours.
        size: Height and width; None for a file without an image.
        frames: How many images it holds.
    """

    patient: str | None
    series: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    sop_class: str
    colour: bool
    size: tuple[int, int] | None
    frames: int


@dataclass(frozen=True, slots=True)
class Slices:
    """The entries that stay, the headers of the DICOM files among them, and what was said of the others.

    `left_out` are refused one by one, `by_rule` are no slices, which the notes count.
    """

    entries: tuple[Entry, ...]
    headers: Mapping[str, Header]
    left_out: tuple[LeftOut, ...]
    by_rule: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def _look(path: Path, modality: str) -> tuple[Header | None, str]:
    """Read the header of a DICOM file (None for other formats), and say why the file is no slice, "" where it is one.

    Raises:
        MedrestoreError: It cannot be read, or it is a CT whose values are not known in HU.
    """
    found = imaging.dicom_header(path)
    if found is None:
        return None, f"files that are no DICOM (dataset.modality={modality})" if modality else ""
    with reading(path):
        header = _header(found)
        reason = _no_slice(header, modality)
        return header if reason else replace(header, frames=frames_of(found)), reason


def _header(found: Dataset) -> Header:
    patient, photometric = _text(found, "PatientID"), _text(found, "PhotometricInterpretation")
    kinds = found.get("ImageType") or ()
    sizes = [found.get(name) for name in ("Rows", "Columns")]
    return Header(
        patient=f"patient {hashed_group(patient)}" if patient else None,
        series=_text(found, "SeriesInstanceUID"),
        modality=_text(found, "Modality").upper(),
        image_type=tuple(str(kind).upper() for kind in ([kinds] if isinstance(kinds, str) else kinds)),
        description=_text(found, "SeriesDescription"),
        sop_class=_text(found, "SOPClassUID"),
        colour=bool(photometric) and not photometric.startswith("MONOCHROME"),
        size=(sizes[0], sizes[1]) if all(isinstance(size, int) for size in sizes) else None,
        frames=0,
    )


def _text(dataset: Dataset, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def dicom_slices(tree: Tree, entries: Sequence[Entry], modality: str, guessed_labels: bool) -> Slices:
    """Read the header of every DICOM file once, and leave out what is no slice.

    Of slices (CT, MR, PT) these are left out with a count: localisers, secondary captures and dose reports, derived
    images that are not mere reformations, colour, and sizes below 64 pixels; of every modality files without an image.
    Files that cannot be read, and the odd sizes of a series, are listed one by one.

    Args:
        tree: The files.
        entries: Those that may become items.
        modality: Keep this modality alone, and of it DICOM files alone; "" for any.
        guessed_labels: Whether labels are names of folders, which may be names of patients.
    """
    headers: dict[str, Header] = {}
    left_out: list[LeftOut] = []
    by_rule: list[LeftOut] = []
    kept: list[Entry] = []
    present: Counter[str] = Counter()
    for entry in entries:
        try:
            header, reason = _look(tree.path(entry.file), modality)
        except MedrestoreError as error:
            left_out.append(LeftOut.because(tree.path(entry.file), error))
            continue
        if header is not None:
            present[header.series] += 1
        if reason:
            by_rule.append(LeftOut(tree.path(entry.file), reason))
            continue
        kept.append(entry)
        if header is not None:
            headers[entry.file] = header
    odd = _odd_sizes(headers)
    left_out += [LeftOut(tree.path(file), reason) for file, reason in odd.items()]
    kept = [entry for entry in kept if entry.file not in odd]
    headers = {file: header for file, header in headers.items() if file not in odd}
    series, notes = _retrieved(tree, present, modality)
    kept = [
        replace(entry, collection=entry.collection or series.get(headers[entry.file].series, ""))
        if entry.file in headers
        else entry
        for entry in kept
    ]
    if guessed_labels:
        kept = _without_names(kept, headers)
    reasons = Counter(entry.reason for entry in by_rule)
    notes += [f"{count} {reason} left out" for reason, count in sorted(reasons.items())]
    return Slices(tuple(kept), headers, tuple(left_out), tuple(by_rule), tuple([*_counted(headers), *notes]))


def _no_slice(header: Header, modality: str) -> str:
    """Say what a file is, in the plural, that is no slice; "" for slices and for photographs."""
    if header.size is None and header.modality in {"", *_SECTIONS}:
        return ""  # damaged or cut short: it is refused by its name
    if modality and header.modality != modality:
        return f"files of modality {header.modality or 'unknown'} (dataset.modality={modality})"
    if header.size is None:
        return f"DICOM files without an image ({header.modality})"  # reports and plans
    if header.modality not in _SECTIONS:
        return ""
    if "LOCALIZER" in header.image_type or _LOCALISER.search(header.description):
        return "localisers (scouts, topograms)"
    if header.sop_class.startswith(_SECONDARY_CAPTURE) or _REPORT.search(header.description):
        return "secondary captures and dose reports"
    # Some converters call every slice derived; a further value says what was made of it.
    further = {kind for kind in header.image_type[2:] if kind}
    derived = header.image_type[:1] == ("DERIVED",) and further and not _RESLICED & further
    if derived or _NO_SLICE & set(header.image_type):
        return "derived images (projections, maps, renderings)"
    if header.colour:
        return f"colour images of modality {header.modality}"
    if min(header.size) < SMALLEST:
        return f"slices below {SMALLEST} pixels"
    return ""


def _odd_sizes(headers: Mapping[str, Header]) -> dict[str, str]:
    """Return the files that differ in size from most of their series, with the reason; of equal counts the larger."""
    series: dict[str, list[str]] = defaultdict(list)
    for file, header in headers.items():
        if header.modality in _SECTIONS:
            series[header.series or str(PurePosixPath(file).parent)].append(file)
    odd: dict[str, str] = {}
    for files in series.values():
        sizes = Counter(headers[file].size or (0, 0) for file in files)
        usual = max(sizes, key=lambda size: (sizes[size], size))
        odd |= {
            file: f"it has {_by(headers[file].size)} pixels, {sizes[usual]} of its series have {_by(usual)}"
            for file in files
            if headers[file].size != usual
        }
    return odd


def _by(size: tuple[int, int] | None) -> str:
    height, width = size or (0, 0)
    return f"{width} x {height}"


def _retrieved(tree: Tree, present: Mapping[str, int], modality: str) -> tuple[dict[str, str], list[str]]:
    """Read NBIA's `metadata.csv`: the collection of each series, and a note where files it lists are not here.

    Series are matched by their UID, not by `File Location`, whose spaces may be underscores on disk.
    """
    collections: dict[str, str] = {}
    notes = []
    for file in tree.others:
        if PurePosixPath(file).name != "metadata.csv":
            continue
        rows = read_table(tree.path(file), ())
        rows = [row for row in rows if row.get("Series UID") and modality in ("", row.get("Modality"))]
        collections |= {row["Series UID"]: row.get("Collection", "") for row in rows}
        listed = sum(int(row["Number of Images"]) for row in rows if row.get("Number of Images", "").isdigit())
        here = sum(present[row["Series UID"]] for row in rows if row["Series UID"] in present)
        if here < listed:
            notes.append(f"{file} lists {listed} images in {len(rows)} series, {here} of them are here")
    return collections, notes


def _without_names(entries: Sequence[Entry], headers: Mapping[str, Header]) -> list[Entry]:
    """Take labels away that all belong to one of several patients: the folder is hers, and no class."""
    patients: dict[str, set[str | None]] = defaultdict(set)
    for entry in entries:
        patients[entry.label].add(headers[entry.file].patient if entry.file in headers else entry.group)
    several = len(set().union(*patients.values())) > 1
    own = {label for label, found in patients.items() if several and len(found) < 2}
    return [replace(entry, label="") if entry.file in headers and entry.label in own else entry for entry in entries]


def _counted(headers: Mapping[str, Header]) -> list[str]:
    """Say how many images and series of each modality there are."""
    lines = []
    for modality in sorted({header.modality for header in headers.values()}):
        members = [header for header in headers.values() if header.modality == modality]
        images = sum(header.frames for header in members)
        series = len({header.series for header in members})
        patients = len({header.patient for header in members})
        lines.append(
            f"DICOM {modality or 'of unknown modality'}: {images} images in {series} series of {patients} patients"
        )
    return lines
