"""Cut ranked groups into parts of given shares, stratum by stratum."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medrestore.data.catalogue import Item, Part

Stratum = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    size: int  # images
    stratum: Stratum
    rank: str


def cut(
    groups: Mapping[str, Sequence[Item]], shares: Mapping[Part, float], data_seed: int, fewest: int
) -> dict[str, Part]:
    """Assign whole groups to parts so that each part has its share of the images, within one group.

    In every stratum (source, label, role) a part takes groups by rank while they fit its share of that stratum; what is
    missing is filled up by the largest remainders over all strata, so that small strata give their share together.

    Args:
        groups: The images of each group. A group in several strata counts for the one with most of its images.
        shares: The fraction of all images of each part; together at most 1. The largest is served last, and where they
            are 1 together it takes the rest.
        data_seed: Decides the ranking.
        fewest: Least number of groups of each part.

    Returns:
        The part of each group; groups that the shares leave over are missing.
    """
    free = sorted((_group(name, items, data_seed) for name, items in groups.items()), key=lambda group: group.rank)
    strata: Counter[Stratum] = Counter()
    for group in free:
        strata[group.stratum] += group.size
    parts: dict[str, Part] = {}
    order = sorted(shares, key=lambda part: (shares[part], part))
    for part in order:
        rest = part == order[-1] and sum(shares.values()) > 1 - 1e-9
        taken = free if rest else _take(free, {stratum: shares[part] * size for stratum, size in strata.items()})
        parts |= {group.name: part for group in taken}
        free = [group for group in free if group.name not in parts]
    _fill_empty(parts, list(shares), [group.name for group in free], fewest)
    return parts


def _group(name: str, items: Sequence[Item], data_seed: int) -> _Group:
    strata = Counter((item.source, item.label, item.role) for item in items)
    stratum = min(strata, key=lambda key: (-strata[key], key))
    text = f"{data_seed}\n{unicodedata.normalize('NFC', name)}"
    return _Group(name, len(items), stratum, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())


def _take(free: Sequence[_Group], quotas: Mapping[Stratum, float]) -> list[_Group]:
    """Take the groups of one part: by rank while they fit each stratum's quota, then by largest remainder."""
    taken: list[_Group] = []
    waiting: dict[Stratum, list[_Group]] = defaultdict(list)
    missing = dict(quotas)
    for group in free:
        if not waiting[group.stratum] and group.size <= missing[group.stratum] + 1e-9:
            taken.append(group)
            missing[group.stratum] -= group.size
        else:
            waiting[group.stratum].append(group)
    # One group of every stratum before a second of any; equal remainders (strata of one image) by rank.
    candidates = sorted(
        ((place, group) for stratum in waiting.values() for place, group in enumerate(stratum)),
        key=lambda entry: (entry[0], -round(missing[entry[1].stratum] / entry[1].size, 9), entry[1].rank),
    )
    total = sum(missing.values())
    for _, group in candidates:
        if abs(total - group.size) < abs(total) - 1e-9:
            taken.append(group)
            total -= group.size
    return taken


def _fill_empty(parts: dict[str, Part], wanted: Sequence[Part], spare: list[str], fewest: int) -> None:
    """Give each part that has too few groups one that is spare, or else one of the part with most groups."""
    for part in wanted:
        while sum(owner == part for owner in parts.values()) < fewest:
            if not spare:
                counts = Counter(parts.values())
                richest = max(counts, key=lambda owner: (counts[owner], owner))
                spare = [name for name, owner in parts.items() if owner == richest][-1:]
            parts[spare.pop(0)] = part
