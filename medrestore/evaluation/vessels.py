"""Whether restored photographs show the vessels that are there, and no others: the vessel study of S2 as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, SupportsFloat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.data.vessel_truth import Fundus, at_working_size, reference_of
from medrestore.evaluation.assessment import SHARP, Context, Finding, Section
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.evaluation.vessel_maps import (
    FilterSettings,
    eroded,
    frangi_response,
    inverted_green,
    matched_response,
)
from medrestore.evaluation.vessel_pictures import COLOURS_SAID, VesselPictures
from medrestore.evaluation.vessel_scores import vessel_scores
from medrestore.evaluation.vessel_tables import score_table, tracking_table
from medrestore.evaluation.vessel_tracking import course_of, track

_JUDGE, _FRANGI, _MATCHED = "", "frangi_", "matched_"  # before a score's name
_TITLES = {_JUDGE: "the judge", _FRANGI: "Frangi's filter", _MATCHED: "the matched filter"}
_TRACKED = (_JUDGE, _FRANGI)


class VesselJudge(Protocol):
    """A segmenter of vessels that knows how well it does on sharp photographs. See `medrestore.tasks`."""

    floor: float
    description: str

    @property
    def threshold(self) -> float:
        """A pixel is called vessel from this probability on; fixed on sharp validation photographs."""
        ...

    @property
    def filters(self) -> FilterSettings | None:
        """What was fixed for the two filters on the same photographs."""
        ...

    @property
    def own_score(self) -> SupportsFloat:
        """Dice on sharp photographs that it never saw."""
        ...

    @property
    def usable(self) -> bool:
        """Whether that reaches the floor."""
        ...

    def predict(self, image: Tensor) -> Tensor:
        """Probability of vessel, `(H, W)`, of `(C, H, W)` in [0, 1]."""
        ...


class _Segmenting(NamedTuple):
    """One way to find vessels: what goes before its scores' names, its response, its threshold."""

    prefix: str
    respond: Callable[[Fundus], NDArray]
    threshold: float


class VesselAgreement:
    """Vessels found in every row's image and in the sharp one, held against the reference map of the sharp image.

    Three segmentations: the judge, a small network that learned on sharp images, and two filters that learned nothing.
    Each has one threshold for all rows, fixed on sharp validation images. Scores are those of `vessel_scores`, and for
    the judge and Frangi's filter those of `vessel_tracking`; images that measure more than 768 pixels are made smaller
    before, and only what lies 3 pixels inside the field of view counts.

    Args:
        judge: the experiment that trains the segmenter.
    """

    def __init__(self, judge: str = "vessel_segmenter") -> None:
        self.judge = judge
        self._context: Context | None = None
        self._segmenter: VesselJudge | None = None

    def begin(self, context: Context) -> None:
        """Find or train the judge, and forget what was seen before."""
        self._context = context
        judge = self._segmenter = None if context.judge is None else context.judge(self.judge)
        self._sharp = self._known = self._segments = 0
        self._pictures = VesselPictures()
        fitted = None if judge is None else judge.filters
        filters = FilterSettings() if fitted is None else fitted
        self._fitted = fitted is not None
        self._ways = [
            _Segmenting(_FRANGI, lambda seen: frangi_response(inverted_green(seen), filters.gamma), filters.frangi),
            _Segmenting(_MATCHED, lambda seen: matched_response(inverted_green(seen)), filters.matched),
        ]
        if judge is not None and judge.usable:
            learned = _Segmenting(_JUDGE, lambda seen: judge.predict(seen.image).numpy(), judge.threshold)
            self._ways.insert(0, learned)

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """All scores of every row and of the sharp image; none where no reference is known, or it has no vessel.

        Raises:
            MedrestoreError: the reference does not fit the image.
        """
        if case.target is None:
            return []
        self._sharp += 1
        size = (case.target.shape[-2], case.target.shape[-1])
        known = reference_of(case.annotations, size, f"image {case.key}")
        sharp = at_working_size(case.target, case.mask, known)
        inside = eroded(sharp.inside.numpy())
        if sharp.vessels is None or not (sharp.vessels.numpy() & inside).any():
            return []
        self._known += 1
        rows = {SHARP: sharp, **{name: at_working_size(image, case.mask, None) for name, image in images.items()}}
        return self._scores(case, rows, sharp.vessels.numpy() & inside, inside)

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The section; None where no sharp image was seen, one line where none has a reference."""
        if not self._sharp:
            return None
        if not self._known:
            text = f"none of the {self._sharp} sharp images has a reference map of its vessels: nothing to compare with"
            return Finding(Section("vessels", [text]))
        context = self._begun()
        ours = [score for score in scores if score.metric.startswith("vessels/")]
        summaries = summarise(ours, {SHARP: "truth", **context.kinds}, context.reference)
        tables = []
        for way in self._ways:
            prefix, title = f"vessels/{way.prefix}", _TITLES[way.prefix]
            tables.append(score_table(summaries, prefix, f"Vessels by {title}"))
            if way.prefix in _TRACKED:
                tables.append(tracking_table(summaries, prefix, f"Following vessels in the map of {title}"))
        lines = [*self._judge_said(), self._said(summaries), *self._explained()]
        return Finding(Section("vessels", lines, tables, self._drawn(), spoken=2))

    def _begun(self) -> Context:
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        return self._context

    def _scores(
        self, case: Case, rows: Mapping[str, Fundus], true: NDArray[np.bool_], inside: NDArray[np.bool_]
    ) -> list[Score]:
        """Scores of all rows of one case; its picture is drawn by the first way to find vessels."""
        course = course_of(true)
        self._segments += len(course.segments)
        scores: list[Score] = []
        for way in self._ways:
            found: dict[str, Tensor] = {}
            by_row: dict[str, dict[str, float]] = {}
            for name, seen in rows.items():
                response = way.respond(seen)
                found[name] = torch.from_numpy((response >= way.threshold) & inside)
                values = by_row[name] = vessel_scores(response, way.threshold, true, inside)
                if way.prefix in _TRACKED:
                    tracking = track(response, way.threshold, course, inside)
                    values["followed"] = tracking.followed
                    values["broken"], values["invented"] = float(tracking.broken), float(tracking.invented)
                scores += [
                    Score(name, case.key, case.group, f"vessels/{way.prefix}{metric}", value)
                    for metric, value in values.items()
                ]
            if way is self._ways[0]:
                shown = by_row[self._begun().shown]
                drawn = self._drawn_rows()
                self._pictures.add(
                    case.key,
                    shown["dice"],
                    1 - shown["precision"],
                    [rows[name].image for name in drawn],
                    [found[name] for name in drawn],
                    torch.from_numpy(true),
                )
        return scores

    def _drawn_rows(self) -> list[str]:
        context = self._begun()
        return list(dict.fromkeys((context.reference, context.shown, SHARP)))

    def _judge_said(self) -> list[str]:
        judge = self._segmenter
        if judge is None:
            return ["no judge was asked: vessels are those of two filters"]
        own = f"its own Dice on sharp images is {float(judge.own_score):.3f}, the floor {judge.floor:g}"
        if not judge.usable:
            return [f"unusable: {judge.description}: {own}; it is not asked, vessels are those of two filters"]
        return [f"Judge: {judge.description}; {own}."]

    def _said(self, summaries: Sequence[Summary]) -> str:
        """Dice never without precision, so that invented vessels cannot pass for found ones."""
        prefix = f"vessels/{self._ways[0].prefix}"
        table = {(row.method, row.metric): row for row in summaries}
        parts = []
        for name in self._drawn_rows():
            dice, precision = (table.get((name, f"{prefix}{metric}")) for metric in ("dice", "precision"))
            if dice is not None and dice.mean is not None:
                bounds = "" if dice.low is None or dice.high is None else f" [{dice.low:.3f}, {dice.high:.3f}]"
                sure = math.nan if precision is None or precision.mean is None else precision.mean
                parts.append(f"'{name}' {dice.mean:.3f}{bounds} at precision {sure:.3f}")
        without = "" if self._known == self._sharp else f"; {self._sharp - self._known} more have no reference map"
        title = _TITLES[self._ways[0].prefix]
        return f"Vessel Dice by {title}, {self._known} sharp images with a reference{without}: {'; '.join(parts)}."

    def _explained(self) -> list[str]:
        fixed = (
            "the judge's sharp validation images"
            if self._fitted
            else "photographs of HRF and CHASE_DB1, because no judge fixed them on these data"
        )
        return [
            "More vessels is not better: what is called vessel and is none lowers precision, and is invented.",
            f"Thresholds, and the gamma of Frangi's filter, are the same for all rows and were fixed on {fixed}.",
            f"The reference has {self._segments} segments between branchings and tips, each of at least 10 pixels. "
            "Followed is the share of all minimal paths between their ends within 3 pixels of the vessel. Broken is a "
            "segment of which more than 3 pixels in a row are not found; invented is a found one, of at least 10 "
            "pixels, of which more than half lies more than 3 pixels from every vessel.",
        ]

    def _drawn(self) -> list[tuple[bytes, str, str]]:
        rows = " | ".join(self._drawn_rows())
        title = _TITLES[self._ways[0].prefix]
        return [
            (
                kept.data,
                f"vessels of image {kept.key}",
                f"{kept.key}, {kept.why} of '{self._begun().shown}': {rows}; below, vessels by {title}: {COLOURS_SAID}",
            )
            for kept in self._pictures.chosen()
        ]
