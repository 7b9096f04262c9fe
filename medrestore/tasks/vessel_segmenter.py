"""The judge of paper S2: finds the vessels of a fundus photograph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate
from torch.optim import AdamW

from medrestore.data.labelled import LabelledSettings, Mapped
from medrestore.data.samples import Case
from medrestore.data.street_classes import IGNORE
from medrestore.data.vessel_truth import LONGEST, Fundus, at_working_size, reference_of
from medrestore.evaluation.statistics import interval
from medrestore.evaluation.vessel_maps import FilterSettings, fit_filters
from medrestore.evaluation.vessel_scores import best_threshold, overlap_scores
from medrestore.networks.frame import pad_to_multiple
from medrestore.shared_batch import batch_mean, share
from medrestore.tasks.judge import AbstractJudge, MakeOptimizer, SetScore
from medrestore.tasks.small_unet import SmallUNet

_MOST = 64  # photographs that the threshold is fixed on
_THRESHOLDS = np.linspace(0.02, 0.98, 49)


class VesselSegmenter(AbstractJudge):
    """Probability of vessel for every pixel, by a small U-Net trained on sharp photographs inside the field of view.

    S2 shows segmentations as pictures and names no method. Trained with binary cross entropy and Dice; the threshold is
    the one with the largest mean Dice on sharp validation photographs, on which gamma and the thresholds of two filters
    are fixed as well (`evaluation.vessel_maps`). What is larger than 768 pixels is made smaller, then its answer
    larger.

    Args:
        channels: of the images; grey is repeated.
        sees: all three colours, or `green` alone, in which vessels have the most contrast.
        weights: only `random`: nobody's weights are taken over.
        width: of the network.
        light: how unevenly training images are lit, see `data.placing.unevenly_lit`.
        floor: mean Dice on sharp images below which it must not be asked.
        optimizer: makes the optimiser.
        gradient_clip: largest gradient norm.
    """

    samples: ClassVar = Mapped
    score_name: ClassVar = "dice"
    fitted: Tensor

    def __init__(
        self,
        channels: int = 3,
        sees: Literal["colour", "green"] = "colour",
        weights: Literal["random"] = "random",
        width: int = 16,
        light: float = 0.0,
        floor: float = 0.7,
        optimizer: MakeOptimizer = AdamW,
        gradient_clip: float = 5.0,
    ) -> None:
        labelled = LabelledSettings(light=light, maps="vessels")
        super().__init__(SmallUNet(1, width), labelled, floor, optimizer, gradient_clip)
        self.channels = channels
        self.sees = sees
        self.weights = weights
        self.register_buffer("fitted", torch.full((3,), math.nan, dtype=torch.float64))

    @property
    def description(self) -> str:
        """What it is and what it was trained on."""
        seen = "the green channel" if self.sees == "green" else "all colours"
        return f"segmenter of vessels (small U-Net on {seen})" + (f", {self.trained_on}" if self.trained_on else "")

    @property
    def threshold(self) -> float:
        """Probability from which on a pixel is called vessel; 1/2 before it is fixed."""
        return float(self.calibrated) if bool(torch.isfinite(self.calibrated)) else 0.5

    @property
    def filters(self) -> FilterSettings | None:
        """What was fixed for the filters; None before."""
        return FilterSettings(*self.fitted.tolist()) if bool(torch.isfinite(self.fitted).all()) else None

    def losses(self, batch: Mapped) -> dict[str, Tensor]:
        """Cross entropy and 1 - Dice of all pixels of the batch inside the field of view."""
        scores = self.wide(self._scores(batch.images))
        inside = (batch.classes != IGNORE).to(scores.dtype)
        truth = (batch.classes == 1).to(scores.dtype)
        found = scores.sigmoid() * inside
        entropy = (binary_cross_entropy_with_logits(scores, truth, reduction="none") * inside).sum()
        # of the whole batch, where processes share it
        both, either = (share()[1] * batch_mean(part) for part in ((found * truth).sum(), found.sum() + truth.sum()))
        return {
            "cross_entropy": entropy / batch_mean(inside.sum()).clamp(min=1 / share()[1]),
            "dice": 1 - (2 * both + 1) / (either + 1),
        }

    def predict(self, image: Tensor) -> Tensor:
        """Probability of vessel, float32 `(H, W)`, of `(C, H, W)` in [0, 1] of any size."""
        size = image.shape[-2:]
        images = self.taken(image)[None]
        if max(size) > LONGEST:
            few = [max(1, round(side * LONGEST / max(size))) for side in size]
            images = interpolate(images, size=few, mode="area")
        with self.asked():
            found = self._scores(images).sigmoid()[:, None]
        if found.shape[-2:] != size:
            found = interpolate(found, size=size, mode="bilinear", align_corners=False)
        return found[0, 0].cpu()

    def examples(self, batch: Mapped) -> list[tuple[Tensor, Tensor]]:
        """Images of a batch with their maps."""
        return list(zip(batch.images, batch.classes.cpu(), strict=True))

    def examples_of(self, case: Case) -> list[tuple[Tensor, Tensor]]:
        """The sharp photograph with its map; nothing where there is none."""
        fundus = _fundus(case)
        return [] if fundus is None else [(fundus.image, fundus.classes.long())]

    def score(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        """Dice inside the field of view; NaN where neither map has a vessel."""
        counted = (truth != IGNORE).numpy()
        found = (prediction >= self.threshold).numpy()[counted]
        return {"dice": overlap_scores(found, (truth == 1).numpy()[counted])["dice"]}

    def summarise(self, rows: Sequence[Mapping[str, float]], groups: Sequence[str]) -> SetScore | None:
        """Mean Dice of the photographs; None without one."""
        known = [(row["dice"], group) for row, group in zip(rows, groups, strict=True) if math.isfinite(row["dice"])]
        if not known:
            return None
        values = [value for value, _ in known]
        return SetScore(math.fsum(values) / len(values), interval(values, [group for _, group in known]))

    def calibrate(self, cases: Iterable[Case]) -> None:
        """Fix the threshold, and what the filters need, on at most 64 sharp photographs with vessels."""
        seen = (fundus for case in cases if (fundus := _fundus(case)) is not None)
        known = list(islice((fundus for fundus in seen if bool((fundus.classes == 1).any())), _MOST))
        if not known:
            return
        insides = [fundus.inside.numpy() for fundus in known]
        responses = [self.predict(fundus.image).numpy()[inside] for fundus, inside in zip(known, insides, strict=True)]
        truths = [(fundus.classes == 1).numpy()[inside] for fundus, inside in zip(known, insides, strict=True)]
        self.calibrated.fill_(best_threshold(responses, truths, _THRESHOLDS))
        filters = fit_filters(known)
        if filters is not None:
            self.fitted.copy_(torch.tensor([filters.gamma, filters.frangi, filters.matched]))

    def _scores(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` -> `(N, H, W)` before the sigmoid."""
        height, width = images.shape[-2:]
        images = images[:, 1:2] if self.sees == "green" and images.shape[1] == 3 else images
        stride = SmallUNet.stride
        return self.network(pad_to_multiple(images.expand(-1, 3, -1, -1), stride, 2 * stride))[:, 0, :height, :width]


def _fundus(case: Case) -> Fundus | None:
    """A case's sharp photograph; None where its vessels are not known."""
    if case.target is None:
        return None
    size = (case.target.shape[-2], case.target.shape[-1])
    vessels = reference_of(case.annotations, size, f"image {case.key}")
    return None if vessels is None else at_working_size(case.target, case.mask, vessels)
