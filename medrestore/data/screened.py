"""Screen a collection: score its sharp images, take the threshold from the training part, drop what lies below."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medrestore.data.catalogue import Catalogue, Item, LeftOut, Part
from medrestore.data.screening import Screening
from medrestore.data.splits import PARTS
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image, to_unit, window_of
from medrestore.imaging.pixel_difference import pixel_difference

WindowSetting = str | Sequence[float]
Progress = Callable[[Iterable[Item], str], Iterable[Item]]


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in one sharp image: its size (height, width) and its pixel-difference score."""

    item: Item
    size: tuple[int, int]
    score: float


@dataclass(frozen=True, slots=True)
class Record:
    """A screening as it is kept with a run, so that whatever is decided once stays decided.

    Attributes:
        screening: The settings.
        window: The setting of the window that the images were scored in.
        threshold: An image is kept where its score is larger.
        origin: What the threshold is, in words.
        reasons: Why an image is dropped, by key; "" for those that are kept.
    """

    screening: Screening
    window: WindowSetting
    threshold: float
    origin: str
    reasons: Mapping[str, str]

    def reason(self, look: Look) -> str:
        """Say why an image is dropped, "" where it is kept."""
        shape = self.screening.shape
        if shape not in (None, look.size):
            return f"it measures {by(look.size)} pixels, not {by(shape)}"
        if look.score > self.threshold:
            return ""
        return f"its pixel difference {look.score:#.4g} is not above {self.threshold:#.4g}"

    def rule(self) -> str:
        """Say in words what an image must be to stay."""
        size = f"{by(self.screening.shape)} pixels and " if self.screening.shape else ""
        sigma = f"{self.screening.sigma:g}"
        return f"{size}a pixel difference (sigma {sigma} px) above {self.threshold:#.4g}, {self.origin}"


@dataclass(frozen=True, slots=True)
class Screened:
    """The outcome.

    Attributes:
        record: To keep.
        looks: Images that were looked at just now: those that the record did not know.
        unreadable: Images that could not be decoded, by key; nothing is decided on them.
        notes: What the screening did, in words.
    """

    record: Record
    looks: tuple[Look, ...]
    unreadable: Mapping[str, LeftOut]
    notes: tuple[str, ...]

    @property
    def dropped(self) -> set[str]:
        """Keys of the images that go."""
        return {key for key, reason in self.record.reasons.items() if reason}

    def applied(self, catalogue: Catalogue, split: Mapping[str, Part]) -> tuple[Catalogue, dict[str, Part]]:
        """Return the catalogue without the dropped images and with the notes, and the split without them."""
        dropped = self.dropped
        kept = tuple(item for item in catalogue.items if item.key not in dropped)
        parts: dict[str, Part] = {key: part for key, part in split.items() if key not in dropped}
        return replace(catalogue, items=kept, notes=(*catalogue.notes, *self.notes)), parts


def screen_items(
    items: Sequence[Item],
    split: Mapping[str, Part],
    screening: Screening,
    window: WindowSetting,
    load: Callable[[Item], Image],
    progress: Progress,
    record: Record | None = None,
) -> Screened:
    """Decide which sharp images are kept.

    Every part is judged by one threshold, which knows the training part alone. Images that are degraded by nature are
    not judged: their score would tell how much they are degraded.

    Args:
        items: Of the catalogue.
        split: The part of each key, made of all items.
        screening: The settings.
        window: Setting of the window that maps images to [0, 1].
        load: Reads an image.
        progress: Wraps the items, to show a progress bar.
        record: What was decided before: it stands, and images that it does not know are judged by its threshold.

    Raises:
        MedrestoreError: No training image to take a threshold from, or a part is left without images.
    """
    known = {} if record is None else record.reasons
    window = window if record is None else record.window
    # Training images first: where memory ends, it is theirs.
    order: dict[str, int] = {part: place for place, part in enumerate(PARTS)}
    fresh = [item for item in items if item.role == "target" and item.key not in known]
    fresh.sort(key=lambda item: order.get(split.get(item.key, ""), len(order)))
    looks, unreadable = _look(progress(fresh, "screening"), screening.sigma, window, load)
    if record is None:
        trained = [look for look in looks if split.get(look.item.key) == "train"]
        record = Record(screening, window, *_threshold(trained, screening), {})
        _check_parts(looks, split, record)
    reasons = {**known, **{look.item.key: record.reason(look) for look in looks}}
    if known and all(reasons.get(item.key, "") for item in items):
        raise MedrestoreError(
            f"the screening of the run leaves none of {len(items)} images; it keeps {record.rule()}; "
            "type dataset.screen=false to take them all"
        )
    record = replace(record, reasons=reasons)
    return Screened(record, tuple(looks), unreadable, _notes(items, looks, record))


def _look(
    items: Iterable[Item], sigma: float, window: WindowSetting, load: Callable[[Item], Image]
) -> tuple[list[Look], dict[str, LeftOut]]:
    looks: list[Look] = []
    unreadable: dict[str, LeftOut] = {}
    for item in items:
        try:
            image = load(item)
        except MedrestoreError as error:
            unreadable[item.key] = LeftOut.because(item.path, error)
            continue
        unit = to_unit(image.pixels, window_of(image, window))
        looks.append(Look(item, (unit.shape[1], unit.shape[2]), pixel_difference(unit, sigma)))
    return looks, unreadable


def _threshold(trained: Sequence[Look], screening: Screening) -> tuple[float, str]:
    """Return the threshold that the training images give, and what it is in words."""
    scores = [look.score for look in trained if screening.shape in (None, look.size)]
    if not scores:
        there = f"{len(trained)} readable ones: {said(Counter(look.size for look in trained))}" if trained else "none"
        wanted = f" of {by(screening.shape)} pixels" if trained else " that can be read"
        raise MedrestoreError(
            f"the screening finds no training image{wanted} to take its threshold from, but {there}; "
            f"type {'dataset.screening.size=null' if trained else 'dataset.screen=false'}"
        )
    of = f"of {len(scores)} training images"
    if screening.threshold == "mean":
        return math.fsum(scores) / len(scores), f"the mean {of}"
    return float(np.quantile(scores, screening.threshold)), f"the {screening.threshold:g} quantile {of}"


def _check_parts(looks: Sequence[Look], split: Mapping[str, Part], record: Record) -> None:
    for part in PARTS:
        members = [look for look in looks if split.get(look.item.key) == part]
        if members and all(record.reason(look) for look in members):
            raise MedrestoreError(
                f"the screening leaves none of {len(members)} images in the {part} part; it keeps {record.rule()}; "
                "type a smaller dataset.screening.threshold, such as 0.2"
            )


def _notes(items: Sequence[Item], looks: Sequence[Look], record: Record) -> tuple[str, ...]:
    reasons = [record.reasons[item.key] for item in items if item.key in record.reasons]
    dropped = sum(reason != "" for reason in reasons)
    notes = [f"screening left out {dropped} of {len(reasons)} images; it keeps {record.rule()}"]
    natural = sum(item.role == "source" for item in items)
    if natural:
        notes.append(f"{natural} images are degraded by nature: a screening would judge how much, so they all stay")
    sizes = Counter(look.size for look in looks)
    if len(sizes) > 1 and record.screening.shape is None:
        (height, width), _ = sizes.most_common(1)[0]
        notes.append(
            f"images of {len(sizes)} sizes are screened together, {said(sizes)}: coarser pixels score higher; "
            f"type 'dataset.screening.size=[{height},{width}]' to keep one size"
        )
    return tuple(notes)


def by(size: tuple[int, int] | None) -> str:
    """A size (height, width) in words, width first."""
    height, width = size or (0, 0)
    return f"{width} x {height}"


def said(sizes: Counter[tuple[int, int]]) -> str:
    """The most frequent sizes in words."""
    return ", ".join(f"{by(size)} ({count})" for size, count in sizes.most_common(4))
