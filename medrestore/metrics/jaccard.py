"""Intersection over union of two label maps (Jaccard index), from their confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages


@torch.no_grad()
def jaccard(preds: Tensor, target: Tensor, classes: int | None = None, ignore: int = 255) -> Tensor:
    """IoU of each image: of every class, or of two masks where no number of classes is given.

    Args:
        preds: label maps `(N, H, W)`, or masks of 0 and 1 (or bool) `(N, H, W)` or `(N, 1, H, W)`.
        target: of the same shape.
        classes: number of classes, labels are 0 to `classes` - 1. None = masks.
        ignore: pixels with this label in `target` do not count.

    Returns:
        Float64: `(N, classes)`, NaN for a class that is in neither map; for masks `(N,)`, NaN where both are empty.

    Raises:
        ValueError: shapes differ, or a label is unknown.
    """
    if classes is None:
        return jaccard_from(confusion(preds, target, 2, ignore))[:, 1]
    return jaccard_from(confusion(preds, target, classes, ignore))


@torch.no_grad()
def mean_jaccard(preds: Tensor, target: Tensor, classes: int, ignore: int = 255) -> Tensor:
    """IoU of each image, mean over the classes that are in either map; arguments as for `jaccard`.

    Returns:
        `(N,)` float64, NaN where every pixel is ignored.
    """
    return jaccard(preds, target, classes, ignore).nanmean(dim=1)


@torch.no_grad()
def confusion(preds: Tensor, target: Tensor, classes: int, ignore: int = 255) -> Tensor:
    """How many pixels of each class in `target` (row) have which class in `preds` (column).

    Matrices of several images may be added; `jaccard_from` makes the IoU of a whole set from the sum.

    Args:
        preds: label maps `(N, H, W)` of whole numbers, 0 to `classes` - 1 (what it says where `target` is `ignore` is
            free).
        target: of the same shape.
        classes: number of classes.
        ignore: pixels with this label in `target` do not count.

    Returns:
        `(N, classes, classes)` int64.

    Raises:
        ValueError: shapes differ, labels are no whole numbers, or a label is unknown.
    """
    if preds.ndim < 3 or preds.shape != target.shape or preds.numel() == 0:
        raise ValueError(
            f"preds and target are both (N, H, W) of one size, found {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    counted = target != ignore
    for name, labels in (("preds", preds), ("target", target)):
        if labels.is_floating_point() or labels.is_complex():
            raise ValueError(f"{name} holds labels, whole numbers, found {labels.dtype}")
        unknown = labels[counted & ((labels < 0) | (labels >= classes))]
        if len(unknown):
            raise ValueError(f"{name} has labels 0 to {classes - 1} or {ignore}, found {int(unknown[0])}")
    image = torch.arange(len(preds), device=preds.device).view(-1, *[1] * (preds.ndim - 1))
    cell = (image * classes + target.long()) * classes + preds.long()
    counts = torch.bincount(cell[counted], minlength=len(preds) * classes**2)
    return counts.view(len(preds), classes, classes)


def jaccard_from(matrix: Tensor) -> Tensor:
    """IoU of every class from confusion matrices `(..., classes, classes)`.

    Returns:
        `(..., classes)` float64, NaN for a class without row and column (0 / 0).
    """
    both = matrix.diagonal(dim1=-2, dim2=-1).double()
    return both / (matrix.sum(dim=-1) + matrix.sum(dim=-2) - both)


class Jaccard(MeanOverImages):
    """Mean over images of `mean_jaccard`; images without a counted pixel are left out.

    Args:
        classes: number of classes.
        ignore: label in the target that does not count.
    """

    higher_is_better = True

    def __init__(self, classes: int, ignore: int = 255) -> None:
        super().__init__()
        self.classes = classes
        self.ignore = ignore

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the label maps of a batch, `(N, H, W)`."""
        values = mean_jaccard(preds, target, self.classes, self.ignore)
        self.add(values[~values.isnan()])
