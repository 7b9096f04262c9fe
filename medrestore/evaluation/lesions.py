"""Fold three of paper S1: does restoring change what a frozen detector of abnormal tissue says?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from medrestore.data.patches import patches_of
from medrestore.data.samples import Case
from medrestore.data.seeding import seed_of
from medrestore.data.tissue_labels import tissue_of
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import SHARP, Context, Detector, Finding, Section
from medrestore.evaluation.detection_statistics import match_boxes
from medrestore.evaluation.lesion_rows import Answer, summaries_of
from medrestore.evaluation.lesion_tables import NATURAL, TRUTH, answers_table, paired_table, said, verdict
from medrestore.evaluation.statistics import Score
from medrestore.metrics import piqe

_TITLE = "Lesion detection (fold 3)"


@runtime_checkable
class LesionJudge(Detector, Protocol):
    """A detector that knows how good it is on sharp images.

    Attributes:
        patches: `inside_outside` where it judges patches by a lesion mask, else `none`.
        floor: own score below which it must not be asked.
        own_score: its image AUC on sharp images that training never saw.
        usable: whether that reaches the floor.
    """

    patches: str
    floor: float
    own_score: Tensor
    usable: bool


class LesionDetection:
    """Asks a frozen detector about the sharp image and about every row's image of cases labelled normal or abnormal.

    Args:
        judge: name of the judge's experiment.
    """

    def __init__(self, judge: str = "cervix_lesion_detector") -> None:
        self.judge_name = judge
        self._judge: LesionJudge | None = None
        self._context: Context | None = None
        self._answers: dict[str, dict[str, list[Answer]]] = {TRUTH: {}, NATURAL: {}}
        self._quality: dict[str, dict[str, list[float]]] = {TRUTH: {}, NATURAL: {}}
        self._seen = 0
        self._unknown: list[str] = []

    def begin(self, context: Context) -> None:
        """Find or train the judge.

        Raises:
            MedrestoreError: it cannot be had on these data, or is no detector of lesions.
        """
        self._context = context
        self._judge = None if context.judge is None else context.judge(self.judge_name)
        if self._judge is not None and not isinstance(self._judge, LesionJudge):
            raise MedrestoreError(
                f"the judge of {self.judge_name} is a {type(self._judge).__name__}, no detector of lesions; "
                "type judge=auto, or judge=none"
            )

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Ask about the sharp image and every row's: `score_normal` or `score_abnormal`, PIQE before and after."""
        judge, context = self._judge, self._context
        if judge is None or context is None or not judge.usable:
            return []
        self._seen += 1
        name = TRUTH if case.target is not None else NATURAL
        rows = images if case.target is None else {SHARP: case.target, **images}
        scores: list[Score] = []
        for row, image in rows.items():
            answers = self._answers_about(judge, case, image)
            self._answers[name].setdefault(row, []).extend(answers)
            scores += [
                Score(row, a.key, a.group, f"{name}/score_{'abnormal' if a.abnormal else 'normal'}", a.score)
                for a in answers
            ]
            if answers and row in (SHARP, context.reference, context.shown):
                value = float(piqe(image[None]))
                self._quality[name].setdefault(row, []).append(value)
                scores.append(Score(row, case.key, case.group, f"{name}/piqe", value))
        return scores

    def _answers_about(self, judge: LesionJudge, case: Case, image: Tensor) -> list[Answer]:
        """The judge's answers about one version of a case: one, one a patch, or none where nothing is known."""
        known = case.annotations
        if judge.patches == "inside_outside":
            region = known.get("region")
            if region is None:
                return []
            parts = patches_of(image, _of_size(region, image, case), seed_of(case.key))
            return [
                _answer(judge, f"{case.key}-{label}", case.group, patch, label == "inside", None)
                for label, patch in parts
            ]
        try:
            tissue = tissue_of(str(known.get("label", "")), judge.labels)
        except MedrestoreError as error:
            self._unknown.append(str(error))
            return []
        if tissue is None:
            return []
        boxes = known.get("boxes")
        if boxes is not None:
            boxes = torch.as_tensor(boxes).float() * _zoom(image, case)
            boxes = boxes if tissue == "abnormal" else boxes[:0]
        return [_answer(judge, case.key, case.group, image, tissue == "abnormal", boxes)]

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """Tables and sentences; None with `judge=none`."""
        judge, context = self._judge, self._context
        if judge is None or context is None:
            return None
        own = f"{float(judge.own_score):.3f}" if math.isfinite(float(judge.own_score)) else "not measured"
        if not judge.usable:
            line = f"unusable: on sharp images the judge's AUC is {own}, its floor {judge.floor:g}; no scores"
            if float(judge.own_score) >= judge.floor:
                line = "unusable: its sharp validation images were of one class, so it has no threshold; no scores"
            return Finding(Section(_TITLE, [line, f"judge: {judge.description}"], spoken=1))
        unknown = []
        if self._unknown:
            kinds_of = len(set(self._unknown))
            unknown = [f"{kinds_of} labels unknown to the judge, their images left out; the first: {self._unknown[0]}"]
        found = {name: rows for name, rows in self._answers.items() if any(rows.values())}
        if not found:
            needs = "a lesion mask" if judge.patches == "inside_outside" else "a label that means normal or abnormal"
            line = f"not done: none of the {self._seen} images has {needs}; the judge belongs to other data"
            return Finding(Section(_TITLE, [line, *unknown], spoken=1))
        kinds = {SHARP: "truth", **context.kinds}
        verdicts, lines, tables, summaries = [], [], [], []
        for name, rows in found.items():
            ordered = {row: rows[row] for row in kinds if rows.get(row)}
            numbers = summaries_of(ordered, kinds, context.reference, judge.threshold, name)
            summaries += numbers
            verdicts += verdict(name, ordered, numbers, context, judge.threshold)
            lines += said(name, ordered[context.reference])
            tables += [
                answers_table(name, ordered, numbers, self._quality[name]),
                paired_table(name, ordered, context.reference, judge.threshold),
            ]
        lines += [
            f"judge: {judge.description}; its AUC on sharp images it never saw: {own} (floor {judge.floor:g}); "
            f"abnormal from score {judge.threshold:.3f} on, fixed on sharp validation images",
            "95 % intervals: Wilson where every group has one image, else by bootstrap over groups; mAP has one class; "
            "PIQE takes noise for sharpness: a lower one is no proof",
            *unknown,
        ]
        return Finding(Section(_TITLE, [*verdicts, *lines], tables, spoken=len(verdicts)), summaries)


def _answer(judge: LesionJudge, key: str, group: str, image: Tensor, abnormal: bool, truths: Tensor | None) -> Answer:
    found = judge.predict(image)
    hits = match_boxes(found.boxes, truths if truths is not None else found.boxes[:0])
    score = float(found.scores.max()) if len(found.scores) else 0.0
    known = None if truths is None else len(truths)
    return Answer(key, group, abnormal, score, found.scores.double().numpy(), hits, known)


def _zoom(image: Tensor, case: Case) -> int:
    """How much larger a row's image is than the file that the annotations belong to."""
    return max(1, round(image.shape[-1] / case.image.pixels.shape[-1]))


def _of_size(region: Tensor, image: Tensor, case: Case) -> Tensor:
    zoom = _zoom(image, case)
    return region.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2) if zoom > 1 else region
