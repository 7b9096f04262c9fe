"""The models behind no-reference scores: which are there, what each has seen, and what it says of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context
from medrestore.evaluation.domain_model import GIVE_ONE, fit_to
from medrestore.evaluation.no_reference_tables import BRISQUE, CHANGE, ENTROPY, FITTED, NIQE, SHORT
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
_FULL_RANK = 37  # blocks that the covariance of 36 features takes
_NOT_GIVEN, _NOT_USABLE = "parameters not given", "parameters not usable"
_TYPE = {
    NIQE: "type metrics.niqe_params=FILE.mat with LIVE's model",
    BRISQUE: "type metrics.brisque_params=DIR with the folder of LIVE's allmodel and allrange",
}


class QualityModels:
    """BRISQUE's and NIQE's parameters, as far as they are given or can be fitted; the others are said to be missing.

    Args:
        niqe_params: file of a NIQE model; None where there is none.
        brisque_params: folder of LIVE's regression, or both its files; None where there is none.
        fitted_niqe: `auto` to fit NIQE to the run's sharp training images, the file of a model, None to leave it out.
        context: of the evaluation; a fitted model is saved in its output folder.

    Attributes:
        missing: what the cells of a column without scores say, by metric.
        why: a line for each of them.
    """

    def __init__(
        self,
        niqe_params: str | None,
        brisque_params: str | Sequence[str] | None,
        fitted_niqe: str | None,
        context: Context,
    ) -> None:
        self.missing: dict[str, str] = {}
        self.why: list[str] = []
        self._fitted_niqe = fitted_niqe
        self._brisque = self._read_brisque(brisque_params)
        self._niqe: dict[str, NiqeModel] = {}
        for metric, model in ((NIQE, self._read_niqe(niqe_params)), (FITTED, self._fitted(context))):
            if model is not None:
                self._niqe[metric] = model
        self._seen = dict.fromkeys(self._niqe, 0)  # images that a model was fitted on
        self._blocks: dict[str, list[int]] = {metric: [] for metric in self._niqe}  # of each image

    @property
    def held_against(self) -> NiqeModel | None:
        """The NIQE model that regions are held against: the fitted one, or else the published one."""
        return self._niqe.get(FITTED, self._niqe.get(NIQE))

    def usable(self, case: Case, before: Tensor, mask: Tensor | None) -> dict[str, NiqeModel]:
        """The NIQE models that have seen neither this image nor its patient; its blocks are counted.

        Args:
            case: the image.
            before: `(C, H, W)` in [0, 1], as it came.
            mask: bool `(1, 1, H, W)`, or None.
        """
        seen = {name for name, model in self._niqe.items() if model.seen([(case.key, case.group)])}
        for metric in seen:
            self._seen[metric] += 1
        models = {metric: model for metric, model in self._niqe.items() if metric not in seen}
        for metric, model in models.items():
            self._blocks[metric].append(_whole_blocks(before, mask, model.block))
        return models

    def values(
        self, image: Tensor, before: Tensor, mask: Tensor | None, models: Mapping[str, NiqeModel]
    ) -> dict[str, float]:
        """Every score of one image `(1, C, H, W)`, and its colour difference to the input of the same shape."""
        values = {}
        if self._brisque is not None:
            values[BRISQUE] = float(brisque(image, params=self._brisque, mask=mask))
        for metric, model in models.items():
            values[metric] = float(niqe(image, params=model, mask=mask))
        values[ENTROPY] = float(entropy(image, mask=mask))
        values[CHANGE] = float(ciede2000(image, before, mask=mask))
        return values

    def titles(self) -> dict[str, str]:
        """Heading of every column."""
        titles = {BRISQUE: "BRISQUE (LIVE, natural-image scale) ↓", NIQE: f"NIQE ({self._origin(NIQE)}) ↓"}
        if self._fitted_niqe is not None:
            titles[FITTED] = f"fitted NIQE ({self._origin(FITTED)}) ↓"
        return {**titles, ENTROPY: "entropy (bits)", CHANGE: "colour change: CIEDE2000 to the input"}

    def limits(self) -> list[str]:
        """What the models could not score, and what the fitted one is."""
        lines = [
            f"{SHORT[metric]}: {count} images are not scored, because the model was fitted on them or their patients."
            for metric, count in self._seen.items()
            if count
        ]
        for metric, counts in self._blocks.items():
            if counts and median(counts) < _FULL_RANK:
                lines.append(
                    f"{SHORT[metric]}: the median image has {median(counts):.0f} whole blocks of "
                    f"{self._niqe[metric].block} px that count; under {_FULL_RANK} it is rough, under 2 there is "
                    f"none ({sum(count < 2 for count in counts)} images)."
                )
        model = self._niqe.get(FITTED)
        if model is not None:
            where = f", saved as {MODEL_FILE}" if self._fitted_niqe == "auto" else ""
            lines.append(
                f"Fitted NIQE is the distance to {self._origin(FITTED)}: {model.about.get('blocks', 'unknown')} blocks "
                f"of {model.block} px from {model.about.get('images', 'unknown')} images{where}. Only values under one "
                "model compare."
            )
        return lines

    def _read_brisque(self, params: str | Sequence[str] | None) -> BrisqueModel | None:
        if params is None:
            self._without(BRISQUE, _NOT_GIVEN, _TYPE[BRISQUE])
            return None
        try:
            return read_brisque_model(params)
        except MedrestoreError as error:
            self._without(BRISQUE, _NOT_USABLE, str(error))
            return None

    def _read_niqe(self, params: str | None) -> NiqeModel | None:
        if params is None:
            self._without(NIQE, _NOT_GIVEN, _TYPE[NIQE])
            return None
        try:
            return read_niqe_model(Path(params))
        except MedrestoreError as error:
            self._without(NIQE, _NOT_USABLE, str(error))
            return None

    def _fitted(self, context: Context) -> NiqeModel | None:
        if self._fitted_niqe is None:
            return None
        try:
            if self._fitted_niqe != "auto":
                return read_niqe_model(Path(self._fitted_niqe))
            if context.references is None:
                raise MedrestoreError(f"there are no sharp training images to fit it to; {GIVE_ONE}")
            model = fit_to(context.references)
            write_niqe_model(context.output / MODEL_FILE, model)
            return model
        except MedrestoreError as error:
            self._without(FITTED, "not fitted" if self._fitted_niqe == "auto" else _NOT_USABLE, str(error))
            return None

    def _without(self, metric: str, cell: str, why: str) -> None:
        self.missing[metric] = cell
        self.why.append(f"{SHORT[metric]}: {cell}; {why}")

    def _origin(self, metric: str) -> str:
        """What a model's images were, in a heading: LIVE's photographs, or what the model says of itself."""
        model = self._niqe.get(metric)
        if model is None:
            return "LIVE, natural-image scale" if metric == NIQE else "own sharp images"
        return str(model.about.get("collection", "LIVE, natural-image scale"))


def _whole_blocks(image: Tensor, mask: Tensor | None, block: int) -> int:
    """How many blocks of an image `(C, H, W)` lie wholly inside its mask `(1, 1, H, W)`."""
    if min(image.shape[-2:]) < block:
        return 0
    outside = torch.zeros_like(image[None, :1]) if mask is None else (~mask).to(image)
    return int((max_pool2d(outside, block) == 0).sum())
