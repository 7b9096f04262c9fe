"""The judge of paper S1's third fold: a detector of abnormal tissue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from medrestore.data.labelled import Boxed, LabelledSettings
from medrestore.data.patches import patches_of
from medrestore.data.placing import to_side
from medrestore.data.samples import Case
from medrestore.data.seeding import seed_of
from medrestore.data.tissue_labels import tissue_of
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Boxes
from medrestore.evaluation.detection_statistics import auc, bootstrap_interval, group_draws, youden_threshold
from medrestore.tasks.faster_rcnn import Backbone, faster_rcnn
from medrestore.tasks.judge import AbstractJudge, MakeOptimizer, SetScore

_SMALLEST = 1.0  # pixels: narrower boxes are no boxes to torchvision
_RESAMPLES = 1000


class Tissue(NamedTuple):
    """The truth about an image: whether it is abnormal, and the boxes `(k, 4)` of what is."""

    abnormal: bool
    boxes: Tensor


class LesionDetector(AbstractJudge):
    """Faster R-CNN of normal and abnormal tissue, as paper S1 (section III.C) classifies with.

    An image's score is that of its highest abnormal box; from the threshold on it is called abnormal. The threshold is
    that of Youden on sharp validation images. Abnormal images without known boxes get one around the whole image.

    Args:
        labels: from the collection's words to `normal` and `abnormal`; see `data.tissue_labels`.
        channels: of the images; grey is repeated.
        backbone: `small` for minutes on a CPU, or `resnet18`, `resnet50` with a feature pyramid.
        weights: of the ResNet: `imagenet` (torchvision's cache; nothing is downloaded), a path, or `random`.
        side: images are scaled so that the shorter side has this many pixels.
        patches: `inside_outside` makes abnormal and normal patches by a lesion mask, where all images show a lesion.
        light: how unevenly training images are lit, see `data.placing.unevenly_lit`.
        floor: image AUC on sharp images below which it must not be asked.
        optimizer: makes the optimiser.
        gradient_clip: largest gradient norm.

    Attributes:
        labels: as given.
        threshold: of the image score.
    """

    samples: ClassVar = Boxed
    score_name: ClassVar = "auc"

    def __init__(
        self,
        labels: Mapping[str, str],
        channels: int = 3,
        backbone: Backbone = "small",
        weights: str = "imagenet",
        side: int = 256,
        patches: Literal["none", "inside_outside"] = "none",
        light: float = 0.0,
        floor: float = 0.9,
        optimizer: MakeOptimizer = AdamW,
        gradient_clip: float = 5.0,
    ) -> None:
        if backbone not in ("small", "resnet18", "resnet50"):
            raise MedrestoreError(
                f"model.backbone={backbone!r} is not known; type model.backbone=small, resnet18 or resnet50"
            )
        network = faster_rcnn(backbone, weights, side)
        super().__init__(network, LabelledSettings(side, patches, light), floor, optimizer, gradient_clip)
        self.labels = {str(word): str(meaning) for word, meaning in labels.items()}
        self.channels = channels
        self.backbone = backbone
        self.weights = "random" if backbone == "small" else weights
        self.patches = patches

    @property
    def threshold(self) -> float:
        """From this image score on an image is called abnormal; NaN until calibrated."""
        return float(self.calibrated)

    @property
    def description(self) -> str:
        """What it is and what it was trained on."""
        start = "" if self.backbone == "small" else f", {self.weights} weights"
        cut = "" if self.patches == "none" else ", patches inside and outside the lesion mask"
        return f"Faster R-CNN ({self.backbone} backbone{start}, shorter side {self.labelled.side} pixels{cut})" + (
            f", {self.trained_on}" if self.trained_on else ""
        )

    def losses(self, batch: Boxed) -> dict[str, Tensor]:
        """Objectness and box of the proposals, class and box of the detections."""
        targets = []
        for image, boxes, label in zip(batch.images, batch.boxes, batch.labels, strict=True):
            found = self._tissue(image, boxes, label).boxes
            targets.append({"boxes": found, "labels": torch.ones(len(found), dtype=torch.int64, device=found.device)})
        with self.full_precision():
            return self.network([_colour(image) for image in batch.images], targets)

    def predict(self, image: Tensor) -> Boxes:
        """Abnormal boxes in `(C, H, W)` in [0, 1], by falling score."""
        scaled, _ = to_side(image.float(), torch.zeros(0, 4), self.labelled.side)
        with self.asked():
            found = self.network([_colour(scaled.to(self.device))])[0]
        boxes, scores = found["boxes"].cpu(), found["scores"].cpu()
        height, width = image.shape[-2:]
        return Boxes(boxes * boxes.new_tensor([width / scaled.shape[-1], height / scaled.shape[-2]] * 2), scores)

    def examples(self, batch: Boxed) -> list[tuple[Tensor, Tissue]]:
        """Images of a batch with their tissue."""
        parts = zip(batch.images, batch.boxes, batch.labels, strict=True)
        return [(image, self._tissue(image, boxes, label)) for image, boxes, label in parts]

    def examples_of(self, case: Case) -> list[tuple[Tensor, Tissue]]:
        """The sharp image, or its patches; none without a label or a mask."""
        if case.target is None:
            return []
        known = case.annotations
        if self.patches == "inside_outside":
            region = known.get("region")
            cut = [] if region is None else patches_of(case.target, region, seed_of(case.key))
            return [(patch, self._tissue(patch, torch.zeros(0, 4), label)) for label, patch in cut]
        if not known.get("label"):
            return []
        boxes = torch.as_tensor(known.get("boxes", torch.zeros(0, 4))).float()
        return [(case.target, self._tissue(case.target, boxes, str(known["label"])))]

    def score(self, prediction: Boxes, truth: Tissue) -> dict[str, float]:
        """The image score, and 1 where the image is abnormal."""
        return {"score": image_score(prediction), "abnormal": float(truth.abnormal)}

    def summarise(self, rows: Sequence[Mapping[str, float]], groups: Sequence[str]) -> SetScore | None:
        """Area under the ROC curve of the image scores; None where a class is missing."""
        scores, truths = np.array([row["score"] for row in rows]), np.array([row["abnormal"] > 0 for row in rows])
        value = auc(scores, truths)
        if value is None:
            return None
        drawn = [auc(scores[draw], truths[draw]) for draw in group_draws(groups, 0, _RESAMPLES)]
        return SetScore(value, bootstrap_interval(drawn, len(set(groups))))

    @torch.no_grad()
    def calibrate(self, cases: Iterable[Case]) -> None:
        """Fix the threshold on sharp validation cases; it stays NaN where they are of one class only."""
        found = [(self.predict(image), truth) for case in cases for image, truth in self.examples_of(case)]
        scores, truths = [image_score(boxes) for boxes, _ in found], [truth.abnormal for _, truth in found]
        threshold = youden_threshold(scores, truths)
        self.calibrated.fill_(math.nan if threshold is None else threshold)

    def _tissue(self, image: Tensor, boxes: Tensor, label: str) -> Tissue:
        """What a label means; `inside` and `outside` are words of our own."""
        tissue = tissue_of(label, {"inside": "abnormal", "outside": "normal", **self.labels})
        if tissue != "abnormal":
            return Tissue(False, boxes.new_zeros(0, 4))
        height, width = image.shape[-2:]
        limits = boxes.new_tensor([width, height, width, height])
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= _SMALLEST).all(1)]
        return Tissue(True, boxes if len(boxes) else torch.cat((limits.new_zeros(2), limits[:2]))[None])


def image_score(found: Boxes) -> float:
    """The highest score of the boxes, 0 where there are none."""
    return float(found.scores.max()) if len(found.scores) else 0.0


def _colour(image: Tensor) -> Tensor:
    return image.float().expand(3, -1, -1)
