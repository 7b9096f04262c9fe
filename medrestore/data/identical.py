"""Find files that are the same byte for byte under different names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

_SAMPLE = 4096  # bytes from each end that are compared before a whole file is read


def identical_files(paths: Iterable[Path]) -> list[tuple[Path, ...]]:
    """Group the files that are equal byte for byte; only files of one size, and of equal ends, are read whole.

    Files that cannot be opened equal none.

    Returns:
        Groups of two or more paths in the order given.
    """
    groups = [list(dict.fromkeys(paths))]
    for feature in (_size, _ends, _whole):
        groups = [part for group in groups for part in _parted(group, feature)]
    return [tuple(group) for group in groups]


def _parted(paths: list[Path], feature: Callable[[Path], Hashable]) -> list[list[Path]]:
    by_feature: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            by_feature[feature(path)].append(path)
        except OSError:
            continue
    return [group for group in by_feature.values() if len(group) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
        file.seek(max(0, path.stat().st_size - _SAMPLE))
        return head, file.read(_SAMPLE)


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
