"""What the names of files and folders say: masks and labels, parts of an official split, classes, patients."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from medrestore.data.catalogue import Split

_MASK_WORDS = (
    r"masks?|labels?|annotations?|annots?|manual\d*|ground[ _-]?truths?|gts?|seg|segs|segmentations?|"
    r"semantic|instances?|panoptic|polygons?|colou?rmaps?"
)
_MASK_FOLDER = re.compile(rf"(?:^|[^a-z])(?:{_MASK_WORDS})(?:[^a-z]|$)")
_MASK_STEM = re.compile(rf"[_\-. ](?:{_MASK_WORDS}|\d(?:st|nd|rd)ho)$")
_CLASS_MAP = re.compile(r"(?:^|[^a-z])(?:labels?|semantic|instances?|panoptic|polygons?|colou?rmaps?)(?:[^a-z]|$)")

_SPLIT = re.compile(
    r"(?:[a-z]\. ?)?(?P<part>train|training|val|valid|validation|dev|test|testing)(?:[ _-]?(?:set|data|images?|stg\d))?"
)
_PARTS: dict[str, Split] = {"train": "train", "val": "val", "dev": "val", "test": "test"}

_IMAGES = re.compile(r"images?|imgs?|image_\d+")
_CONTENT = re.compile(
    r"images?|imgs?|image_\d+|pictures?|photos?|originals?|raw|data|dataset|files?|inputs?|frames|slices|"
    r"jpe?gs?|pngs?|tiffs?|dcm|dicom|nifti|\d+k|(?:fold|part|batch|chunk|set)[ _-]?\d+|v?\d+(?:\.\d+)+|"
    r"(?:\d+\. ?)?original[ _]images"
)
_CLASS = re.compile(r"(?:type|class|grade|stage|level|category|score|severity|cin|bi-?rads)[ _-]?\d")


def suffix_of(file: str) -> str:
    """Return the suffix in small letters, `.nii.gz` as one."""
    name = PurePosixPath(file).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else PurePosixPath(name).suffix


def stem_of(file: str) -> str:
    """Return the file name without its suffix."""
    name = PurePosixPath(file).name
    return name[: len(name) - len(suffix_of(name))]


def folders_of(file: str) -> tuple[str, ...]:
    """Return the folders between the root and a file."""
    return PurePosixPath(file).parts[:-1]


def is_mask(file: str) -> bool:
    """Say whether a name is that of a mask, a label map or an annotation rather than of an image."""
    return _mask_name(file) != ""


def is_class_map(file: str) -> bool:
    """Say whether a mask file is a label map: it numbers the classes of a scene and marks no region."""
    return bool(_CLASS_MAP.search(_mask_name(file)))


def _mask_name(file: str) -> str:
    """Return the name that makes a file a mask, "" for images.

    The deepest folder that says something decides: `A. Segmentation/1. Original Images` holds images.
    """
    stem = _plain(stem_of(file))
    if _MASK_STEM.search(stem):
        return stem
    for name in map(_plain, reversed(folders_of(file))):
        if is_content(name):
            return ""
        if _MASK_FOLDER.search(name):
            return name
    return ""


def partner_key(file: str) -> tuple[str, ...]:
    """Return what an image and its mask have in common: folders without `images` or `masks`, stem without `_mask`."""
    kept = [
        name for name in map(_plain, folders_of(file)) if not (_CONTENT.fullmatch(name) or _MASK_FOLDER.search(name))
    ]
    return (*kept, _MASK_STEM.sub("", _plain(stem_of(file))))


def split_name(name: str) -> Split:
    """Return the part that a folder or a cell of a table names, "" where it names none."""
    found = _SPLIT.fullmatch(_plain(name.strip()))
    if not found:
        return ""
    return next(part for start, part in _PARTS.items() if found["part"].startswith(start))


def part_of(file: str) -> Split:
    """Return the part of an official split that a file's folders name, the deepest first, "" where they name none."""
    for name in reversed(folders_of(file)):
        if part := split_name(name):
            return part
    return ""


def is_content(name: str) -> bool:
    """Say whether a folder's name only tells that images lie in it (`images`, `data`, `fold_1`)."""
    return bool(_CONTENT.fullmatch(_plain(name)))


def name_patients(names: Sequence[str]) -> bool:
    """Say whether folders side by side are patients or scenes rather than classes.

    Patients have numbers in their names (`case 12`, `p07`, a date, a UID) or are very many; classes are words
    (`normal`), `Type_1` and the like, or single digits.
    """
    if all(re.fullmatch(r"\d", name) for name in names):
        return False
    return 2 * sum(map(is_numbered, names)) > len(names) or len(names) > 20


def is_numbered(name: str) -> bool:
    """Say whether a name has a number that is not that of a class."""
    return bool(re.search(r"\d", name)) and not _CLASS.match(_plain(name))


def may_be_shown(name: str) -> bool:
    """Say whether a folder's name can stand in a table as a label: not where its number may be a patient's."""
    return not is_numbered(name) or len(name) == 1


def companions(files: Sequence[str]) -> list[str]:
    """Return the files that go with others: in a folder beside `images`, all with the names of files in `images`."""
    by_folder: dict[tuple[str, ...], dict[str, str]] = {}
    for file in files:
        by_folder.setdefault(folders_of(file), {})[_plain(stem_of(file))] = file
    parents = {folder[:-1]: set(stems) for folder, stems in by_folder.items() if _is_images(folder)}
    found: list[str] = []
    for folder, stems in by_folder.items():
        if not folder or _is_images(folder) or split_name(folder[-1]):
            continue
        if stems.keys() <= parents.get(folder[:-1], set()):
            found += stems.values()
    return found


def _is_images(folder: tuple[str, ...]) -> bool:
    return bool(folder) and bool(_IMAGES.fullmatch(_plain(folder[-1])))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()
