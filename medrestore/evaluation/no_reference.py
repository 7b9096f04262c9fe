"""Images without truth by scores that need none (S2, table 1): BRISQUE, NIQE, entropy, and how much is repainted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context, Finding, Section
from medrestore.evaluation.case_kinds import kind_of, mask_of
from medrestore.evaluation.no_reference_models import QualityModels
from medrestore.evaluation.no_reference_pictures import Panels
from medrestore.evaluation.no_reference_tables import (
    CHANGE,
    ENTROPY,
    FITTED,
    NIQE,
    SHORT,
    SYNTHETIC,
    change_said,
    colour_table,
    noise_said,
    score_table,
)
from medrestore.evaluation.noise_control import NOISE_CONTROL, noisy
from medrestore.evaluation.statistics import Score, summarise
from medrestore.metrics import ciede2000

_LEVELS = 255


class NoReference:
    """Scores every row on the images without truth, and the input plus slight noise as a control.

    Inside the field of view, the same for all rows: BRISQUE, NIQE as published, NIQE fitted to the run's own sharp
    training images, entropy, and CIEDE2000 to the input, which says how much a row repaints. On images degraded on
    purpose CIEDE2000 to the truth. What is not given is said in its column, and the others are taken.

    Args:
        niqe_params: file of a NIQE model; None where there is none.
        brisque_params: folder of LIVE's regression, or both its files; None where there is none.
        fitted_niqe: `auto` to fit one now, the file of another to compare runs under one model, None to leave it out.
        noise: standard deviation of the control's Gaussian noise, in the image's unit [0, 1].
        seed: of that noise.

    Raises:
        MedrestoreError: the noise is not a small positive number.
    """

    def __init__(
        self,
        niqe_params: str | None = None,
        brisque_params: str | Sequence[str] | None = None,
        fitted_niqe: str | None = "auto",
        noise: float = 3 / _LEVELS,
        seed: int = 0,
    ) -> None:
        if not 0 < noise < 1:
            raise MedrestoreError(
                f"noise is a standard deviation between 0 and 1, found {noise}; "
                "type evaluation.assessments.no_reference.noise=0.012"
            )
        self.niqe_params, self.brisque_params, self.fitted_niqe = niqe_params, brisque_params, fitted_niqe
        self.noise, self.seed = noise, seed
        self._context: Context | None = None

    def begin(self, context: Context) -> None:
        """Read the parameters, fit NIQE to the training images, and forget what was seen before."""
        self._context = context
        self._models = QualityModels(self.niqe_params, self.brisque_params, self.fitted_niqe, context)
        self._masked = 0
        self._panels = Panels(context.reference, context.shown, self._models.held_against)

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """`no_reference/<metric>` of every row; of the noise control too where there is no truth."""
        context, kind = self._begun(), kind_of(case)
        before = images[context.reference]
        mask = mask_of(case, before)
        if kind == "synthetic" and case.target is not None:
            truth = case.target[None]
            values = {name: float(ciede2000(image[None], truth, mask=mask)) for name, image in images.items()}
            return [Score(name, case.key, case.group, SYNTHETIC, value) for name, value in values.items()]
        if kind != "natural":
            return []
        self._masked += mask is not None and not bool(mask.all())
        scores = []
        models = self._models.usable(case, before, mask)
        control = noisy(before, case.key, self.noise, self.seed)
        if mask is not None:
            control = torch.where(mask[0], control, before)  # outside it every row is the input
        shown = {**images, NOISE_CONTROL: control}
        for name, image in shown.items():
            for metric, value in self._models.values(image[None], before[None], mask, models).items():
                scores.append(Score(name, case.key, case.group, metric, value))
        self._panels.add(case.key, shown, None if mask is None else mask[0], _captions(scores))
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The section; None where no image lacks a truth and none was degraded on purpose."""
        context = self._begun()
        ours = [score for score in scores if score.metric.startswith("no_reference/")]
        if not ours:
            return None
        rows = summarise(ours, {**context.kinds, NOISE_CONTROL: "control"}, context.reference)
        colours = colour_table(rows)
        tables = [] if colours is None else [colours]
        title = "images without truth"
        if not any(score.metric == ENTROPY for score in ours):
            line = "no test image lacks a truth: the colour difference to the truth is all that is said here"
            return Finding(Section(title, [line], tables))
        without = [row for row in rows if row.metric != SYNTHETIC]
        tables.insert(0, score_table(without, self._models.titles(), self._models.missing))
        claims = []
        if context.shown != context.reference:
            claims.append(change_said(rows, ours, context.shown, context.reference))
        claims += noise_said(ours, context.shown, context.reference, self.noise * _LEVELS)
        lines = [self._counted(ours), *claims, *self._models.why]
        pictures = self._panels.chosen()
        section = Section(title, [*lines, *self._limits()], tables, pictures, spoken=len(lines))
        return Finding(section)

    def _begun(self) -> Context:
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        return self._context

    def _counted(self, scores: Sequence[Score]) -> str:
        reference = [s for s in scores if s.method == self._begun().reference and s.metric == ENTROPY]
        groups = len({score.group for score in reference})
        text = f"{len(reference)} images of {groups} groups (patients or scenes) without truth"
        if self._masked:
            text += f"; in {self._masked} of them only the field of view counts, the same for all rows"
        return f"{text}."

    def _limits(self) -> list[str]:
        return [
            *self._models.limits(),
            "BRISQUE and LIVE's NIQE learned from photographs: smooth tissue passes for blur. Entropy describes the "
            "histogram; paper S2 calls more better, and noise raises it. Colour change is no fault by itself: it says "
            "how much a row repaints.",
            f"All scores see 8 bits of the window '{self._begun().window}': another window gives other ones.",
        ]


def _captions(scores: Sequence[Score]) -> dict[str, str]:
    """Below a row's picture: its NIQE, fitted where there is one, and its change of colour."""
    values = {(score.method, score.metric): score.value for score in scores}
    captions = {}
    for name in dict.fromkeys(score.method for score in scores):
        known = [metric for metric in (FITTED, NIQE) if (name, metric) in values][:1]
        parts = [f"{SHORT[metric]} {values[name, metric]:.2f}" for metric in known]
        captions[name] = ", ".join([*parts, f"colour {values[name, CHANGE]:.1f}"])
    return captions
