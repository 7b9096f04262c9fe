"""Scores by how severe the degradation is: thirds of a number, or the words of a grade."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.case_kinds import kind_of
from medrestore.evaluation.no_reference_tables import (
    BRISQUE,
    CHANGE,
    ENTROPY,
    FITTED,
    NIQE,
    SHORT,
    SYNTHETIC,
    cell_text,
)
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.evaluation.strata import thirds
from medrestore.evaluation.tables import heading

NATURAL = (FITTED, NIQE, BRISQUE, ENTROPY, CHANGE)
MADE = ("psnr", "ssim", "lpips", SYNTHETIC, "vessels/dice")
_STRENGTH = "strength"  # in the description of a synthetic degradation
_WORDS = ("clear", "normal", "acceptable", "mild", "moderate", "severe")  # grades of known order come first


class Part(NamedTuple):
    """Images of like severity.

    Attributes:
        name: `weak`, `middle`, `strong`, or the word of the grade.
        title: the same with its range and counts.
        keys: its images.
    """

    name: str
    title: str
    keys: frozenset[str]


class Severity:
    """Means of every score in parts of like severity: of the images without truth, and of those degraded on purpose.

    The severity of an image without truth is `annotations["severity"]`, a number (CSDI's score, a phantom's strength)
    or a word; else the word in `annotations["label"]`. That of a synthetic one is the `strength` its degradation was
    drawn with. Numbers are cut into thirds, words are parts as they are. Real pairs are too few to be cut.

    Args:
        natural: scores of images without truth, as they are named in `scores.csv`; those that were not taken are
            passed over.
        synthetic: the same of images degraded on purpose.
    """

    def __init__(self, natural: Sequence[str] = NATURAL, synthetic: Sequence[str] = MADE) -> None:
        self.natural, self.synthetic = tuple(natural), tuple(synthetic)
        self._context: Context | None = None

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._graded: dict[str, tuple[float | str, str]] = {}  # severity and group by key
        self._strengths: dict[str, tuple[float | str, str]] = {}
        self._unknown = 0

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Note how severe the case is; no score of its own."""
        kind = kind_of(case)
        if kind == "natural":
            severity = severity_of(case)
            if severity is None:
                self._unknown += 1
            else:
                self._graded[case.key] = severity, case.group
        elif kind == "synthetic":
            strength = case.description.get(_STRENGTH)
            if isinstance(strength, int | float):
                self._strengths[case.key] = float(strength), case.group
        return []

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """A table for every score, rows by parts; None where no severity is known."""
        context = self._context
        if context is None:
            raise RuntimeError("begin(context) comes before the first case")
        if not self._graded and not self._strengths:
            return None
        lines: list[str] = []
        tables: list[Table] = []
        named: list[Summary] = []
        spoken = 0
        for what, word, graded, metrics in (
            ("images without truth", "natural", self._graded, self.natural),
            ("images with a synthetic degradation", "synthetic", self._strengths, self.synthetic),
        ):
            if not graded:
                continue
            parts = parts_of(graded)
            if len(parts) < 2:
                lines.append(f"{what}: {len(graded)} images of one severity make no parts")
                continue
            found, summaries = self._tables(parts, metrics, scores, context, what)
            tables += found
            named += [row._replace(metric=f"severity/{word}/{part}/{row.metric}") for part, row in summaries]
            said = self._gain(parts, metrics, summaries, context, what)
            lines[spoken:spoken] = said
            spoken += len(said)
            lines.append(f"{what}: {'; '.join(part.title for part in parts)}.")
        if self._unknown:
            lines.append(f"The severity of {self._unknown} images without truth is not known.")
        return Finding(Section("by severity", lines, tables, spoken=spoken), named)

    def _tables(
        self, parts: Sequence[Part], metrics: Sequence[str], scores: Sequence[Score], context: Context, what: str
    ) -> tuple[list[Table], list[tuple[str, Summary]]]:
        keys = frozenset().union(*(part.keys for part in parts))
        taken = {score.metric for score in scores if score.key in keys and math.isfinite(score.value)}
        ours = [score for score in scores if score.method in context.kinds and score.metric in taken & set(metrics)]
        summaries = [
            (part.name, row)
            for part in parts
            for row in summarise(
                [score for score in ours if score.key in part.keys], context.kinds, context.reference
            )
        ]  # fmt: skip
        found = {(name, row.metric, row.method): row for name, row in summaries}
        tables = []
        for metric in metrics:
            rows = [
                (method, *(cell_text(found.get((part.name, metric, method)), _digits(metric)) for part in parts))
                for method in context.kinds
                if any((part.name, metric, method) in found for part in parts)
            ]
            if rows:
                caption = f"{_name(metric)} of {what} by severity: mean [95 % interval over groups], difference to the "
                tables.append(Table(f"{caption}reference row", ("row", *(part.title for part in parts)), rows))
        return tables, summaries

    def _gain(
        self,
        parts: Sequence[Part],
        metrics: Sequence[str],
        summaries: Sequence[tuple[str, Summary]],
        context: Context,
        what: str,
    ) -> list[str]:
        """What the shown row changes in each part, in the first metric that was taken."""
        if context.shown == context.reference:
            return []
        changes = {
            (name, row.metric): row.difference
            for name, row in summaries
            if row.method == context.shown and row.difference is not None
        }
        for metric in metrics:
            said = [
                f"{part.name} {changes[part.name, metric]:+.{_digits(metric)}f}"
                for part in parts
                if (part.name, metric) in changes
            ]
            if said:
                return [f"'{context.shown}' against '{context.reference}', {_name(metric)}, {what}: {', '.join(said)}."]
        return []


def severity_of(case: Case) -> float | str | None:
    """How severe a case without truth is, a number or a word; None where nothing tells."""
    for known in (case.annotations.get("severity"), case.annotations.get("label")):
        if isinstance(known, str) and known:
            return known
        if isinstance(known, int | float) or (isinstance(known, Tensor) and known.numel() == 1):
            number = float(known)
            if math.isfinite(number):
                return number
    return None


def parts_of(graded: Mapping[str, tuple[float | str, str]]) -> list[Part]:
    """Cut images into parts of like severity: thirds where numbers are known, else one for each word.

    Args:
        graded: severity and group by key. Where some have a number, those with a word alone are a part of none.
    """
    numbers = {key: (value, group) for key, (value, group) in graded.items() if not isinstance(value, str)}
    if numbers:
        return [
            Part(one.name, f"{one.name}, {one.low:.2f} to {one.high:.2f} ({_counted(one.keys, one.groups)})", one.keys)
            for one in thirds(numbers)
        ]
    words = sorted({str(value) for value, _ in graded.values()}, key=_order)
    parts = []
    for word in words:
        keys = frozenset(key for key, (value, _) in graded.items() if value == word)
        groups = len({graded[key][1] for key in keys})
        parts.append(Part(word, f"{word} ({_counted(keys, groups)})", keys))
    return parts


def _counted(keys: frozenset[str], groups: int) -> str:
    return f"{len(keys)} images, {groups} groups"


def _order(word: str) -> tuple[int, str]:
    lower = word.lower()
    return (_WORDS.index(lower) if lower in _WORDS else len(_WORDS), lower)


def _name(metric: str) -> str:
    return SHORT.get(metric) or heading(metric)


def _digits(metric: str) -> int:
    return 3 if metric.rpartition("/")[2] in ("ssim", "lpips", "dice") else 2
