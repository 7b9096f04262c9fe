"""Images without truth by scores that need none (S2, table 1): BRISQUE, NIQE, entropy, and how much is repainted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context, Finding, Section
from medrestore.evaluation.case_kinds import kind_of, mask_of
from medrestore.evaluation.domain_model import fit_to
from medrestore.evaluation.no_reference_pictures import Panels
from medrestore.evaluation.no_reference_tables import (
    BRISQUE,
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
from medrestore.metrics import (
    BrisqueModel,
    NiqeModel,
    brisque,
    ciede2000,
    entropy,
    niqe,
    read_brisque_model,
    read_niqe_model,
    write_niqe_model,
)

MODEL_FILE = "fitted_niqe.safetensors"
_LEVELS = 255
_FULL_RANK = 37  # blocks that the covariance of 36 features takes
_NOT_GIVEN = "parameters not given"
_TYPE = {
    NIQE: "type metrics.niqe_params=FILE.mat with LIVE's model",
    BRISQUE: "type metrics.brisque_params=DIR with the folder of LIVE's allmodel and allrange",
}


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
        self._missing: dict[str, str] = {}  # what a column without scores says
        self._why: list[str] = []
        self._brisque = self._read_brisque()
        self._models: dict[str, NiqeModel] = {}
        for metric, model in ((NIQE, self._read_niqe()), (FITTED, self._fitted(context))):
            if model is not None:
                self._models[metric] = model
        self._masked = 0
        self._seen = dict.fromkeys(self._models, 0)  # images that a model was fitted on
        self._blocks: dict[str, list[int]] = {metric: [] for metric in self._models}  # of each image
        held_against = self._models.get(FITTED, self._models.get(NIQE))
        self._panels = Panels(context.reference, context.shown, held_against)

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
        models = self._models_for(case)
        for metric, model in models.items():
            self._blocks[metric].append(_whole_blocks(before, mask, model.block))
        for name, image in {**images, NOISE_CONTROL: noisy(before, case.key, self.noise, self.seed)}.items():
            for metric, value in self._values(image[None], before[None], mask, models).items():
                scores.append(Score(name, case.key, case.group, metric, value))
        self._panels.add(case.key, images, None if mask is None else mask[0], _captions(scores))
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
        tables.insert(0, score_table(without, self._titles(), self._missing))
        claims = []
        if context.shown != context.reference:
            claims.append(change_said(rows, ours, context.shown, context.reference))
        claims += noise_said(ours, context.shown, context.reference, self.noise * _LEVELS)
        lines = [self._counted(ours), *claims, *self._why]
        pictures = self._panels.chosen()
        section = Section(title, [*lines, *self._limits()], tables, pictures, spoken=len(lines))
        return Finding(section)

    def _begun(self) -> Context:
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        return self._context

    def _read_brisque(self) -> BrisqueModel | None:
        if self.brisque_params is None:
            self._without(BRISQUE, _NOT_GIVEN, _TYPE[BRISQUE])
            return None
        try:
            return read_brisque_model(self.brisque_params)
        except MedrestoreError as error:
            self._without(BRISQUE, "parameters not usable", str(error))
            return None

    def _read_niqe(self) -> NiqeModel | None:
        if self.niqe_params is None:
            self._without(NIQE, _NOT_GIVEN, _TYPE[NIQE])
            return None
        try:
            return read_niqe_model(Path(self.niqe_params))
        except MedrestoreError as error:
            self._without(NIQE, "parameters not usable", str(error))
            return None

    def _fitted(self, context: Context) -> NiqeModel | None:
        if self.fitted_niqe is None:
            return None
        try:
            if self.fitted_niqe != "auto":
                return read_niqe_model(Path(self.fitted_niqe))
            if context.references is None:
                raise MedrestoreError(
                    "there are no sharp training images to fit it to; type "
                    "evaluation.assessments.no_reference.fitted_niqe=FILE with a model of python -m medrestore.fit_niqe"
                )
            model = fit_to(context.references)
            write_niqe_model(context.output / MODEL_FILE, model)
            return model
        except MedrestoreError as error:
            self._without(FITTED, "not fitted" if self.fitted_niqe == "auto" else "parameters not usable", str(error))
            return None

    def _without(self, metric: str, cell: str, why: str) -> None:
        self._missing[metric] = cell
        self._why.append(f"{SHORT[metric]}: {cell}; {why}")

    def _models_for(self, case: Case) -> dict[str, NiqeModel]:
        """The NIQE models that have seen neither this image nor its patient."""
        seen = {name for name, model in self._models.items() if model.seen([(case.key, case.group)])}
        for metric in seen:
            self._seen[metric] += 1
        return {metric: model for metric, model in self._models.items() if metric not in seen}

    def _values(
        self, image: Tensor, before: Tensor, mask: Tensor | None, models: Mapping[str, NiqeModel]
    ) -> dict[str, float]:
        """Every score of one image `(1, C, H, W)`."""
        values = {}
        if self._brisque is not None:
            values[BRISQUE] = float(brisque(image, params=self._brisque, mask=mask))
        for metric, model in models.items():
            values[metric] = float(niqe(image, params=model, mask=mask))
        values[ENTROPY] = float(entropy(image, mask=mask))
        values[CHANGE] = float(ciede2000(image, before, mask=mask))
        return values

    def _titles(self) -> dict[str, str]:
        titles = {BRISQUE: "BRISQUE (LIVE, natural-image scale) ↓", NIQE: f"NIQE ({self._origin(NIQE)}) ↓"}
        if self.fitted_niqe is not None:
            titles[FITTED] = f"fitted NIQE ({self._origin(FITTED)}) ↓"
        return {**titles, ENTROPY: "entropy (bits)", CHANGE: "colour change: CIEDE2000 to the input"}

    def _origin(self, metric: str) -> str:
        """What a model's images were, in a heading: LIVE's photographs, or what the model says of itself."""
        model = self._models.get(metric)
        if model is None:
            return "LIVE, natural-image scale" if metric == NIQE else "own sharp images"
        return str(model.about.get("collection", "LIVE, natural-image scale"))

    def _counted(self, scores: Sequence[Score]) -> str:
        reference = [s for s in scores if s.method == self._begun().reference and s.metric == ENTROPY]
        groups = len({score.group for score in reference})
        text = f"{len(reference)} images of {groups} groups (patients or scenes) without truth"
        if self._masked:
            text += f"; in {self._masked} of them only the field of view counts, the same for all rows"
        return f"{text}."

    def _limits(self) -> list[str]:
        lines = [
            f"{SHORT[metric]}: {count} images are not scored, because the model was fitted on them or their patients."
            for metric, count in self._seen.items()
            if count
        ]
        for metric, counts in self._blocks.items():
            if counts and median(counts) < _FULL_RANK:
                lines.append(
                    f"{SHORT[metric]}: the median image has {median(counts):.0f} whole blocks of "
                    f"{self._models[metric].block} px that count; under {_FULL_RANK} it is rough, under 2 there is "
                    f"none ({sum(count < 2 for count in counts)} images)."
                )
        model = self._models.get(FITTED)
        if model is not None:
            where = f", saved as {MODEL_FILE}" if self.fitted_niqe == "auto" else ""
            lines.append(
                f"Fitted NIQE is the distance to {self._origin(FITTED)}: {model.about.get('blocks', 'unknown')} blocks "
                f"of {model.block} px from {model.about.get('images', 'unknown')} images{where}. Only values under one "
                "model compare."
            )
        lines.append(
            "BRISQUE and LIVE's NIQE learned from photographs: smooth tissue passes for blur. Entropy describes the "
            "histogram; paper S2 calls more better, and noise raises it. Colour change is no fault by itself: it says "
            "how much a row repaints."
        )
        lines.append(f"All scores see 8 bits of the window '{self._begun().window}': another window gives other ones.")
        return lines


def _whole_blocks(image: Tensor, mask: Tensor | None, block: int) -> int:
    """How many blocks of an image `(C, H, W)` lie wholly inside its mask `(1, 1, H, W)`."""
    if min(image.shape[-2:]) < block:
        return 0
    outside = torch.zeros_like(image[None, :1]) if mask is None else (~mask).to(image)
    return int((max_pool2d(outside, block) == 0).sum())


def _captions(scores: Sequence[Score]) -> dict[str, str]:
    """Below a row's picture: its NIQE, fitted where there is one, and its change of colour."""
    values = {(score.method, score.metric): score.value for score in scores}
    captions = {}
    for name in dict.fromkeys(score.method for score in scores):
        known = [metric for metric in (FITTED, NIQE) if (name, metric) in values][:1]
        parts = [f"{SHORT[metric]} {values[name, metric]:.2f}" for metric in known]
        captions[name] = ", ".join([*parts, f"colour {values[name, CHANGE]:.1f}"])
    return captions
