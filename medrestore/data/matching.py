"""Match the files of two folders by name."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

from medrestore.data.names import suffix_of


def match_by_name(targets: Iterable[str], partners: Iterable[str]) -> dict[str, str]:
    """Return the partner of each target that has one.

    Args:
        targets: Paths relative to their folder, with `/`.
        partners: Paths relative to another folder.

    Returns:
        For a target the partner of the same path, else of the same path but for the suffix, else of the same name where
        that is unique on both sides.
    """
    ours, theirs = set(targets), set(partners)
    matched: dict[str, str] = {}
    for name_of in (_path, _without_suffix, _stem):
        named = _unique(ours - matched.keys(), name_of)
        free = _unique(theirs - set(matched.values()), name_of)
        matched |= {target: free[name] for name, target in named.items() if name in free}
    return matched


def _unique(files: Iterable[str], name_of: Callable[[str], str]) -> dict[str, str]:
    """Return the file of each name that only one file has."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        found[name_of(file)].append(file)
    return {name: members[0] for name, members in found.items() if len(members) == 1}


def _path(file: str) -> str:
    return unicodedata.normalize("NFC", file)


def _without_suffix(file: str) -> str:
    return _path(file[: len(file) - len(suffix_of(file))])


def _stem(file: str) -> str:
    return _without_suffix(file).rsplit("/", 1)[-1]
