"""The judge of paper S4: names every pixel of a street scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, lraspp_mobilenet_v3_large

from medrestore.data.labelled import LabelledSettings, Mapped
from medrestore.data.samples import Case
from medrestore.data.street_classes import CLASSES, IGNORE
from medrestore.errors import MedrestoreError
from medrestore.evaluation.detection_statistics import bootstrap_interval, group_draws
from medrestore.metrics import confusion
from medrestore.networks.frame import pad_to_multiple
from medrestore.shared_batch import batch_mean, share
from medrestore.tasks.judge import AbstractJudge, MakeOptimizer, SetScore
from medrestore.tasks.small_unet import SmallUNet
from medrestore.tasks.stored_weights import load_backbone, stored_weights

Network = Literal["small", "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"]
_TORCHVISION = {
    "lraspp_mobilenet_v3_large": lraspp_mobilenet_v3_large,
    "deeplabv3_mobilenet_v3_large": deeplabv3_mobilenet_v3_large,
}
_BACKBONE = "mobilenet_v3_large"
_STRIDE = 32  # of torchvision's networks
_RESAMPLES = 1000
_COUNTS = ("both", "predicted", "true")  # pixels of a class


class SceneSegmenter(AbstractJudge):
    """Semantic segmentation of street scenes into the 19 Cityscapes classes, as paper S4 (section 6.1.1) judges with.

    Args:
        channels: of the images; grey is repeated.
        architecture: `small` for minutes on a CPU, or a torchvision network on MobileNet V3.
        weights: of torchvision's backbone: `imagenet` (its cache; nothing is downloaded), a path, or `random`.
        width: of the small network.
        rare: how much more rare classes weigh in the loss: their share of the pixels to the power -`rare`, 0 for not.
        light: how unevenly training images are lit, see `data.placing.unevenly_lit`.
        floor: mean IoU on sharp images below which it must not be asked.
        optimizer: makes the optimiser.
        gradient_clip: largest gradient norm.

    Attributes:
        classes: names of the classes, by number.
    """

    samples: ClassVar = Mapped
    score_name: ClassVar = "mean_iou"
    seen: Tensor

    def __init__(
        self,
        channels: int = 3,
        architecture: Network = "small",
        weights: str = "imagenet",
        width: int = 24,
        rare: float = 0.0,
        light: float = 0.0,
        floor: float = 0.6,
        optimizer: MakeOptimizer = AdamW,
        gradient_clip: float = 5.0,
    ) -> None:
        labelled = LabelledSettings(light=light)
        super().__init__(_network(architecture, weights, width), labelled, floor, optimizer, gradient_clip)
        self.channels = channels
        self.architecture = architecture
        self.weights = "random" if architecture == "small" else weights
        self.rare = rare
        self.classes: Sequence[str] = CLASSES
        self.register_buffer("seen", torch.ones(len(CLASSES), dtype=torch.float64))

    @property
    def description(self) -> str:
        """What it is and what it was trained on."""
        name = "small U-Net" if self.architecture == "small" else f"{self.architecture}, {self.weights} weights"
        return f"segmenter of {len(self.classes)} classes ({name})" + (
            f", {self.trained_on}" if self.trained_on else ""
        )

    def losses(self, batch: Mapped) -> dict[str, Tensor]:
        """Cross entropy of the pixels that have a class.

        Raises:
            MedrestoreError: a class is unknown.
        """
        counted = batch.classes[batch.classes != IGNORE]
        if len(counted) and (int(counted.max()) >= len(self.classes) or int(counted.min()) < 0):
            raise MedrestoreError(
                f"a map holds the class {int(counted.max())}, known are 0 to {len(self.classes) - 1} and {IGNORE} for "
                "none; bring the maps to Cityscapes' training classes"
            )
        with torch.no_grad():
            found = torch.bincount(counted, minlength=len(self.classes)).to(self.seen.dtype)
            self.seen += share()[1] * batch_mean(found)  # of the whole batch, where processes share it
        scores = self.wide(self._scores(batch.images))
        with torch.no_grad():
            weight = ((self.seen / self.seen.sum()) ** -self.rare).to(scores.dtype)
            usual = batch_mean(weight[counted].sum())
        summed = cross_entropy(scores, batch.classes, weight, ignore_index=IGNORE, reduction="sum")
        return {"cross_entropy": summed / usual}

    def predict(self, image: Tensor) -> Tensor:
        """Class of every pixel, int64 `(H, W)`, of `(C, H, W)` in [0, 1] of any size."""
        with self.asked():
            scores = self._scores(self.taken(image)[None])
        return scores[0].argmax(0).cpu()

    def examples(self, batch: Mapped) -> list[tuple[Tensor, Tensor]]:
        """Images of a batch with their maps."""
        return list(zip(batch.images, batch.classes.cpu(), strict=True))

    def examples_of(self, case: Case) -> list[tuple[Tensor, Tensor]]:
        """The sharp image with its map; nothing where there is none."""
        known = case.annotations.get("labels")
        if case.target is None or not isinstance(known, Tensor):
            return []
        height, width = case.target.shape[-2:]
        return [(case.target, known.reshape(known.shape[-2:])[:height, :width].long())]

    def score(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        """Pixels that both maps, the prediction and the truth give to each class."""
        matrix = confusion(prediction[None], truth[None], len(self.classes), IGNORE)[0]
        rows = (matrix.diagonal().tolist(), matrix.sum(0).tolist(), matrix.sum(1).tolist())
        return {
            f"{kind}/{name}": float(count)
            for kind, counts in zip(_COUNTS, rows, strict=True)
            for name, count in zip(self.classes, counts, strict=True)
        }

    def summarise(self, rows: Sequence[Mapping[str, float]], groups: Sequence[str]) -> SetScore | None:
        """Mean over the classes that occur in the truth of the IoU of all pixels of the set; None without a pixel."""
        if not rows:
            return None
        counts = np.array([[[row[f"{kind}/{name}"] for name in self.classes] for kind in _COUNTS] for row in rows])

        def mean_iou(drawn: np.ndarray) -> float | None:
            both, predicted, true = counts[drawn].sum(0)  # (n, 3, classes) -> 3 of (classes,)
            present = true > 0
            return float((both[present] / (predicted + true - both)[present]).mean()) if present.any() else None

        value = mean_iou(np.arange(len(rows)))
        if value is None:
            return None
        drawn = [mean_iou(draw) for draw in group_draws(groups, 0, _RESAMPLES)]
        return SetScore(value, bootstrap_interval(drawn, len(set(groups))))

    def calibrate(self, cases: Iterable[Case]) -> None:
        """Nothing to fix: the largest score decides."""
        self.calibrated.zero_()

    def _scores(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` -> `(N, classes, H, W)`."""
        height, width = images.shape[-2:]
        stride = SmallUNet.stride if self.architecture == "small" else _STRIDE
        whole = pad_to_multiple(images.expand(-1, 3, -1, -1), stride, 2 * stride)
        scores = self.network(whole)
        return (scores if isinstance(scores, Tensor) else scores["out"])[..., :height, :width]


def _network(architecture: str, weights: str, width: int) -> nn.Module:
    if architecture == "small":
        return SmallUNet(len(CLASSES), width)
    if architecture not in _TORCHVISION:
        raise MedrestoreError(
            f"model.architecture={architecture!r} is not known; type one of small, {', '.join(_TORCHVISION)}"
        )
    network = _TORCHVISION[architecture](weights=None, weights_backbone=None, num_classes=len(CLASSES))
    if weights != "random":
        stored = stored_weights(_BACKBONE, weights)
        body = {name.removeprefix("features."): value for name, value in stored.items()}
        load_backbone(network.backbone, body, _BACKBONE, weights)
    return network
