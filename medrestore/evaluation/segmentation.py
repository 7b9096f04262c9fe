"""Whether a segmenter sees the same in the restored image as in the sharp one (S4, section 6.1.1)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol, SupportsFloat

import numpy as np
import torch
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.data.street_classes import IGNORE
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import SHARP, Context, Finding, Section, Segmenter, Table
from medrestore.evaluation.segmentation_pictures import Overlays, legend
from medrestore.evaluation.segmentation_rows import Counts, interval_text, set_summary
from medrestore.evaluation.statistics import Score, Summary, p_text, summarise
from medrestore.metrics.jaccard import confusion, jaccard_from

AGREEMENT = "segments/iou"  # of one image, between the segmentations of the row and of the sharp image
SET_AGREEMENT = "segments/mean_iou"  # the same of the whole set
TRUTH = "segments/labels_iou"  # of one sharp image, between its segmentation and the human labels
SET_TRUTH = "segments/labels_mean_iou"


class SceneJudge(Segmenter, Protocol):
    """A segmenter that knows how well it does on sharp images."""

    floor: float

    @property
    def own_score(self) -> SupportsFloat:
        """Mean IoU against human labels."""
        ...

    @property
    def usable(self) -> bool:
        """Whether that reaches the floor."""
        ...


class SegmentationAgreement:
    """Intersection over union of the judge's segmentations of each row's image and of the sharp image.

    The reference is what the judge sees in the sharp image, not the human labels; how far the judge itself agrees with
    those stands beside it as the row `sharp`. IoU of a class is C_cc / (row_c + column_c - C_cc) of the confusion
    matrix C, the mean is over the classes that are in either map: per image, and for the whole set from the sum of all
    matrices.

    Args:
        judge: the experiment that trains the segmenter.
        classes: names of the classes that are averaged; None = all of the judge's.
    """

    def __init__(self, judge: str = "street_segmenter", classes: Sequence[str] | None = None) -> None:
        self.judge = judge
        self.classes = None if classes is None else tuple(classes)
        self._context: Context | None = None
        self._segmenter: SceneJudge | None = None

    def begin(self, context: Context) -> None:
        """Find or train the judge, and forget what was seen before.

        Raises:
            MedrestoreError: A class is none of the judge's.
        """
        self._context = context
        self._segmenter = None if context.judge is None else context.judge(self.judge)
        self._matrices: dict[str, list[Tensor]] = defaultdict(list)
        self._groups: dict[str, list[str]] = defaultdict(list)
        self._overlays = Overlays()
        if self._segmenter is None:
            return
        names = list(self._segmenter.classes)
        unknown = [name for name in self.classes or () if name not in names]
        if unknown:
            raise MedrestoreError(
                f"{self.judge} has no class {unknown[0]!r}; type evaluation.assessments.segments.classes=[...] with "
                f"some of {', '.join(names)}"
            )
        self._counted = torch.tensor([self.classes is None or name in self.classes for name in names])

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """`segments/iou` of every row, and `segments/labels_iou` of the sharp image where there are labels.

        Raises:
            MedrestoreError: The labels have a class that the judge does not have.
        """
        judge = self._segmenter
        if judge is None or not judge.usable or case.target is None:
            return []
        reference = judge.predict(case.target)
        outside = None if case.mask is None else ~case.mask[0].bool().cpu()
        sharp = reference if outside is None else reference.masked_fill(outside, IGNORE)
        scores = self._against_labels(case, reference)
        seen = {name: judge.predict(image) for name, image in images.items()}
        for name, segments in seen.items():
            iou = self._add(name, case, segments, sharp)
            scores.append(Score(name, case.key, case.group, AGREEMENT, iou))
            if name == self._begun().shown:
                rows = list(dict.fromkeys((self._begun().reference, name)))
                pictures, maps = [images[row] for row in rows], [seen[row] for row in rows]
                self._overlays.add(case.key, iou, [*pictures, case.target], [*maps, reference])
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The section; one line where the judge is not usable, None without a judge or without sharp images."""
        judge = self._segmenter
        if judge is None:
            return None
        own = f"its own mean IoU on sharp images is {float(judge.own_score):.3f}, the floor {judge.floor:g}"
        if not judge.usable:
            text = f"unusable: {judge.description}: {own}, so that it is not asked about restored images"
            return Finding(Section("segmentation", [text], spoken=1))
        rows = [name for name in self._begun().kinds if name in self._matrices]
        if not rows:
            return None
        counts = {name: Counts(self._stacked(name), self._groups[name]) for name in self._matrices}
        reference = counts.get(self._begun().reference)
        summaries = [
            set_summary(name, self._begun().kinds[name], SET_AGREEMENT, counts[name], reference, self._counted.numpy())
            for name in rows
        ]
        if SHARP in counts:
            summaries.append(set_summary(SHARP, "truth", SET_TRUTH, counts[SHARP], None, self._counted.numpy()))
        lines = [self._said(summaries), f"Judge: {judge.description}; {own}.", *self._labels_said(summaries)]
        tables = [self._table(scores, summaries), self._by_class(counts, rows)]
        return Finding(Section("segmentation", lines, tables, self._pictures(counts[rows[0]]), spoken=1), summaries)

    def _begun(self) -> Context:
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        return self._context

    def _add(self, row: str, case: Case, segments: Tensor, truth: Tensor) -> float:
        """Keep the confusion matrix of one image; its mean IoU, NaN where nothing counts."""
        matrix = confusion(segments[None], truth[None], len(self._counted), IGNORE)[0]
        self._matrices[row].append(matrix)
        self._groups[row].append(case.group)
        return float(jaccard_from(matrix)[self._counted].nanmean())

    def _against_labels(self, case: Case, segments: Tensor) -> list[Score]:
        labels = case.annotations.get("labels")
        if not isinstance(labels, Tensor):
            return []
        height, width = segments.shape
        labels = labels.reshape(labels.shape[-2:])[:height, :width].long()
        strange = labels[(labels != IGNORE) & ((labels < 0) | (labels >= len(self._counted)))]
        if len(strange):
            raise MedrestoreError(
                f"the labels of image {case.key} have the class {int(strange[0])}, the judge {self.judge} has 0 to "
                f"{len(self._counted) - 1}; it belongs to other data, type judge=auto or judge=none"
            )
        return [Score(SHARP, case.key, case.group, TRUTH, self._add(SHARP, case, segments, labels))]

    def _stacked(self, row: str) -> np.ndarray:
        return torch.stack(self._matrices[row]).numpy()

    def _said(self, summaries: Sequence[Summary]) -> str:
        context = self._begun()
        by_row = {row.method: row for row in summaries if row.metric == SET_AGREEMENT}
        parts = [
            f"'{name}' {by_row[name].mean:.3f}{interval_text(by_row[name])}"
            for name in dict.fromkeys((context.reference, context.shown))
            if name in by_row and by_row[name].mean is not None
        ]
        number = max(row.n for row in by_row.values())
        return f"Mean IoU with the segmentation of the sharp image, {number} images: {', '.join(parts)}."

    def _labels_said(self, summaries: Sequence[Summary]) -> list[str]:
        own = next((row for row in summaries if row.metric == SET_TRUTH and row.mean is not None), None)
        if own is None:
            return ["These images have no human labels: how well the judge sees them even sharp is not known."]
        return [
            f"On the {own.n} sharp images with human labels the judge itself reaches a mean IoU of "
            f"{own.mean:.3f}{interval_text(own)}; a row can agree with the sharp image where both are wrong."
        ]

    def _table(self, scores: Sequence[Score], summaries: Sequence[Summary]) -> Table:
        ours = [score for score in scores if score.metric in (AGREEMENT, TRUTH)]
        kinds = {**self._begun().kinds, SHARP: "truth"}
        of_images = {row.method: row for row in summarise(ours, kinds, self._begun().reference)}
        rows = []
        for row in summaries:
            image = of_images[row.method]
            change = "" if row.difference is None else f"{row.difference:+.3f}"
            rows.append(
                [
                    f"{row.method} against human labels" if row.method == SHARP else row.method,
                    row.kind,
                    "not available" if row.mean is None else f"{row.mean:.3f}{interval_text(row)}",
                    change if row.p_value is None else f"{change}, {p_text(row.p_value)}",
                    "not available" if image.mean is None else f"{image.mean:.3f}{interval_text(image)}",
                    str(row.n),
                ]
            )
        return Table(
            "IoU with the segmentation of the sharp image, mean over the classes present; 95 % intervals over groups",
            ["row", "kind", "of the whole set", "difference to the reference row", "mean of the images", "images"],
            rows,
        )

    def _by_class(self, counts: Mapping[str, Counts], rows: Sequence[str]) -> Table:
        """One line a class that occurs in the sharp images, the most frequent first."""
        assert self._segmenter is not None
        names = [*rows, *([SHARP] if SHARP in counts else [])]
        values = {name: counts[name].by_class() for name in names}
        pixels = counts[rows[0]].matrices.sum(axis=(0, 2))
        body = []
        for number in np.argsort(-pixels, kind="stable").tolist():
            found = [values[name][number] for name in names]
            if not bool(self._counted[number]) or all(map(math.isnan, found)):
                continue
            share = f"{100 * pixels[number] / pixels.sum():.2f} %"
            cells = ["" if math.isnan(value) else f"{value:.3f}" for value in found]
            body.append([self._segmenter.classes[number], share, *cells])
        heads = [f"{name} against human labels" if name == SHARP else name for name in names]
        return Table("IoU by class, all images together", ["class", "of the pixels", *heads], body)

    def _pictures(self, counts: Counts) -> list[tuple[bytes, str, str]]:
        assert self._segmenter is not None
        context = self._begun()
        rows = " | ".join(dict.fromkeys((context.reference, context.shown, "sharp")))
        pictures = [
            (
                kept.data,
                f"segmentations of image {kept.key}",
                f"{kept.key}, {rank} by IoU of '{context.shown}' ({kept.iou:.3f}): {rows}; below, what the judge sees",
            )
            for rank, kept in self._overlays.chosen()
        ]
        there = np.flatnonzero(counts.matrices.sum(axis=(0, 1)) + counts.matrices.sum(axis=(0, 2)))
        if pictures:
            named = [(number, self._segmenter.classes[number]) for number in there.tolist()]
            pictures.append((legend(named), "colours of the classes", "colours of the classes"))
        return pictures
