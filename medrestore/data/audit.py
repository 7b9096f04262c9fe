"""Look at every image of a collection once, and say what a training on it would meet."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medrestore.data.catalogue import Catalogue, Item, LeftOut, Part, Role, Source, hashed_group
from medrestore.data.identical import identical_files
from medrestore.data.splits import PARTS
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

_SHOWN = 10  # lines of one kind


@dataclass(frozen=True, slots=True)
class Count:
    """How many images and groups one cell of the table has; `part` is "" for images in no part."""

    part: Part | str
    role: Role
    source: str
    label: str
    images: int
    groups: int


@dataclass(frozen=True, slots=True)
class Values:
    """What the readable images of one collection and unit hold.

    Attributes:
        source: Name of the collection.
        unit: `intensity` in [0, 1], `HU` or `signal`.
        low: Smallest value of all.
        high: Largest value of all.
        images: How many images.
        constant: How many of them have one value everywhere.
    """

    source: str
    unit: str
    low: float
    high: float
    images: int
    constant: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        counts: Images and groups by part, role, collection and label.
        groups: Number of groups of each part.
        sizes: Number of images of each (height, width), the most frequent first.
        bits: Number of images of each depth.
        channels: Number of images of one and of three channels.
        values: Value ranges.
        left_out: Files that are no item, and items that could not be decoded.
        identical: Files that are equal byte for byte.
        divided: Hashed groups that lie in two parts.
        notes: What was left out by rule, unknown patients and the like.
    """

    counts: tuple[Count, ...]
    groups: dict[Part, int]
    sizes: dict[tuple[int, int], int]
    bits: dict[int, int]
    channels: dict[int, int]
    values: tuple[Values, ...]
    left_out: tuple[LeftOut, ...]
    identical: tuple[tuple[Path, ...], ...]
    divided: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the findings as plain lines of text."""
        images = sum(count.images for count in self.counts)
        lines = [f"{images} images: {', '.join(f'{self._images(part)} {part}' for part in PARTS)}"]
        lines.append(f"groups: {', '.join(f'{self.groups[part]} {part}' for part in PARTS)}")
        lines += [
            f"  {count.part or 'no part'} {count.role} {count.source}{f' [{count.label}]' if count.label else ''}: "
            f"{count.images} images, {count.groups} groups"
            for count in self.counts
        ]
        sizes = [f"{width} x {height} ({number})" for (height, width), number in self.sizes.items()]
        lines.append(f"sizes (width x height): {_some(sizes, ', ')}")
        lines.append(f"channels: {_numbers(self.channels)}; bits: {_numbers(self.bits)}")
        lines += [
            f"values of {found.source}: {found.low:g} to {found.high:g} {found.unit}"
            + (f"; {found.constant} of {found.images} images are constant" if found.constant else "")
            for found in self.values
        ]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"LEAK: the group {group} lies in more than one part" for group in self.divided]
        same = [f"identical: {' = '.join(map(str, files))}" for files in self.identical]
        left = [f"left out: {entry.path or entry.name}: {entry.reason}" for entry in self.left_out]
        return lines + _first(same) + _first(left)

    def _images(self, part: Part) -> int:
        return sum(count.images for count in self.counts if count.part == part)


def audit(
    source: Source,
    catalogue: Catalogue,
    split: Mapping[str, Part],
    progress: Callable[[Iterable[Item]], Iterable[Item]],
) -> Audit:
    """Decode every image once and count what is there.

    Args:
        source: Where the images come from.
        catalogue: Its items.
        split: The part of each key; keys may be missing.
        progress: Wraps the items, to show a progress bar.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    bits: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    ranges: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    left_out = list(catalogue.left_out)
    readable: list[Item] = []
    for item in progress(catalogue.items):
        try:
            image = source.load(item)
            source.load_degraded(item)
            source.load_mask(item)
        except MedrestoreError as error:
            left_out.append(LeftOut.because(item.path, error))
            continue
        readable.append(item)
        sizes[image.pixels.shape[1], image.pixels.shape[2]] += 1
        channels[image.pixels.shape[0]] += 1
        bits[int(image.metadata["bits"])] += 1
        ranges[item.source, image.unit].append(_range(image))
    parts: dict[str, set[Part]] = defaultdict(set)
    for item in readable:
        if item.key in split:
            parts[item.group].add(split[item.key])
    return Audit(
        counts=_counts(readable, split),
        groups={part: sum(part in found for found in parts.values()) for part in PARTS},
        sizes=dict(sizes.most_common()),
        bits=dict(sorted(bits.items())),
        channels=dict(sorted(channels.items())),
        values=tuple(_values(name, unit, found) for (name, unit), found in sorted(ranges.items())),
        left_out=tuple(left_out),
        identical=tuple(identical_files(item.path for item in catalogue.items if item.path is not None)),
        divided=tuple(sorted(hashed_group(group) for group, found in parts.items() if len(found) > 1)),
        notes=catalogue.notes,
    )


def _range(image: Image) -> tuple[float, float]:
    """Return the smallest and the largest valid value."""
    pixels = image.pixels
    if image.mask is not None and image.mask.any():
        pixels = pixels[image.mask.expand_as(pixels)]
    return float(pixels.min()), float(pixels.max())


def _values(source: str, unit: str, found: Sequence[tuple[float, float]]) -> Values:
    low, high = min(low for low, _ in found), max(high for _, high in found)
    return Values(source, unit, low, high, len(found), sum(math.isclose(low, high) for low, high in found))


def _counts(items: Sequence[Item], split: Mapping[str, Part]) -> tuple[Count, ...]:
    cells: dict[tuple[str, Role, str, str], list[Item]] = defaultdict(list)
    for item in items:
        cells[split.get(item.key, ""), item.role, item.source, item.label].append(item)
    order = [*PARTS, ""]
    ranked = sorted(cells.items(), key=lambda cell: (order.index(cell[0][0]), *cell[0][1:]))
    return tuple(Count(*cell, len(members), len({item.group for item in members})) for cell, members in ranked)


def _numbers(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{value} ({number})" for value, number in counts.items()) or "none"


def _some(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}{len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more if texts else "none"


def _first(lines: Sequence[str]) -> list[str]:
    return [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more of these"] if len(lines) > _SHOWN else list(lines)
