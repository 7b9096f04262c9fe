"""The files below a folder, in an order that does not depend on the file system."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medrestore import imaging
from medrestore.data.catalogue import LeftOut
from medrestore.errors import MedrestoreError

NOTHING_HERE = {"__MACOSX"}  # folders of resource forks: every file has the name of an image and is none


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below a root folder.

    Attributes:
        root: The folder, absolute, links resolved.
        images: Files that are images by name or content, masks among them; paths relative to the root, with `/`.
        others: All other files.
        left_out: Folders and links that could not be followed.
    """

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    def path(self, file: str) -> Path:
        """Return the absolute path of one of the files."""
        return self.root / file

    def found(self) -> str:
        """Say in words what lies here, by suffix, the most frequent first."""
        counts = Counter(PurePosixPath(file).suffix.lower() or "without suffix" for file in self.images + self.others)
        if not counts:
            return "no file at all"
        ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        more = f" and {len(ranked) - 6} other kinds" if len(ranked) > 6 else ""
        return ", ".join(f"{count} {suffix}" for suffix, count in ranked[:6]) + more


def scan(root: Path, argument: str = "root") -> Tree:
    """List the files below a folder; links are followed, each folder is entered once, hidden names are skipped.

    Args:
        root: The folder.
        argument: Under which name of `dataset` it was given, for messages.

    Raises:
        MedrestoreError: The folder does not exist or is a file.
    """
    if not root.is_dir():
        raise MedrestoreError(_no_folder(root, argument))
    root = root.resolve()
    images, others, left_out = [], [], []

    def refuse(error: OSError) -> None:
        left_out.append(LeftOut(Path(error.filename), f"folder cannot be opened: {error.strerror}"))

    entered: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:  # a link back: a loop, or the same files again
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted((name for name in folders if _visible(name)), key=_order)
        for name in filter(_visible, names):
            path = Path(folder, name)
            file = path.relative_to(root).as_posix()
            if not path.is_file():
                left_out.append(LeftOut(path, "link to a file that is not there"))
            elif imaging.is_image(path):
                images.append(file)
            else:
                others.append(file)
    return Tree(root, tuple(sorted(images, key=_order)), tuple(sorted(others, key=_order)), tuple(left_out))


def distinct_names(roots: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the roots' paths that tell them apart; keys must not depend on where the data lie."""
    for depth in range(1, max(len(root.parts) for root in roots)):
        names = ["/".join(root.parts[-depth:]) for root in roots]
        if len(set(names)) == len(set(roots)):
            return names
    return [str(root) for root in roots]


def _no_folder(root: Path, argument: str) -> str:
    if root.is_file():
        return f"{root} is a file, not a folder; type dataset.{argument}={root.parent}"
    above = next((parent for parent in root.absolute().parents if parent.is_dir()), None)
    there = f"; {above} is the last folder of that path that exists" if above is not None else ""
    return f"there is no folder {root}{there}; type dataset.{argument}=DIR with the folder of your images"


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in NOTHING_HERE


def _order(file: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", file), file
