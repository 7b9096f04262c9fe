"""The joint table in parts of it: by severity, by strength of the blur, and what a model does to colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Line
from medrestore.evaluation.comparison_text import digits, spread
from medrestore.evaluation.tables import heading

# In each the metric's name goes on with `<part>/<metric>`, see `severity` and `strata`.
_SPLITS = {
    "severity/natural/": "By severity: images without truth",
    "severity/synthetic/": "By severity: images with a synthetic degradation",
    "strata/": "By strength of the blur",
}
COLOURS = {
    "no_reference/ciede2000_synthetic": "to the truth, synthetic degradation ↓",
    "before_after/ciede2000": "to the photograph after surgery ↓",
    "no_reference/ciede2000_input": "to the input, without truth",
}


class _Place(NamedTuple):
    """Where a metric's value stands: which split, which of its parts, which score."""

    split: str
    part: str
    metric: str


def is_of_a_part(metric: str) -> bool:
    """Whether a metric is that of some of the images."""
    return _place(metric) is not None


def part_sections(table: Sequence[Line], models: Sequence[str], metrics: Sequence[str] | None) -> list[Section]:
    """A section for each way in which the images are cut into parts, a table for each score in it.

    Args:
        table: the joint table.
        models: names of its rows that are models.
        metrics: scores that are wanted; None = all that were taken.
    """
    shown = _shown(table, models)
    places = {metric: place for line in shown for metric in line.values if (place := _place(metric)) is not None}
    sections = []
    for split, title in _SPLITS.items():
        ours = [p for p in places.values() if p.split == split and (metrics is None or p.metric in metrics)]
        parts = list(dict.fromkeys(place.part for place in ours))
        tables = [_part_table(split, metric, parts, shown) for metric in dict.fromkeys(place.metric for place in ours)]
        if tables:
            text = "Means over the images of a part, the same for every row; the parts are told in each run's report."
            sections.append(Section(title, [text], tables))
    return sections


def colour_section(table: Sequence[Line], models: Sequence[str]) -> Section | None:
    """CIEDE2000 of the reference row and the models; None where it was not taken."""
    shown = _shown(table, models)
    columns = [metric for metric in COLOURS if any(metric in line.values for line in shown)]
    if not columns:
        return None
    rows = [[line.name, *(spread(line.values.get(metric, {}), 2) for metric in columns)] for line in shown]
    text = (
        "Mean CIEDE2000 inside the field of view, of which about 1 is just visible. To a truth, less is better. To the "
        "input it is no fault by itself, it says how much is repainted. An identity loss is there to keep the colours: "
        "judge a model without it here."
    )
    return Section("Colour difference", [text], [Table("", ["row", *(COLOURS[metric] for metric in columns)], rows)])


def _shown(table: Sequence[Line], models: Sequence[str]) -> list[Line]:
    """The models beside the reference row; the classical rows by part stand in each run's own report."""
    return [line for line in table if line.kind == "reference" or line.name in models]


def _place(metric: str) -> _Place | None:
    for split in _SPLITS:
        if metric.startswith(split):
            part, _, inner = metric.removeprefix(split).partition("/")
            return _Place(split, part, inner)
    return None


def _part_table(split: str, metric: str, parts: Sequence[str], shown: Sequence[Line]) -> Table:
    names = [f"{split}{part}/{metric}" for part in parts]
    places = max(digits(name, shown) for name in names)
    rows = [
        [line.name, *(spread(line.values.get(name, {}), places) for name in names)]
        for line in shown
        if any(name in line.values for name in names)
    ]
    return Table(heading(metric), ["row", *parts], rows)
