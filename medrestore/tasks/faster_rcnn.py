"""Faster R-CNN (Ren et al., arXiv:1506.01497) in torchvision's implementation: full size, or for minutes on a CPU."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from medrestore.networks.normalisation import BatchNorm
from medrestore.tasks.stored_weights import load_backbone, stored_weights

Backbone = Literal["small", "resnet18", "resnet50"]
_CLASSES = 2  # background and abnormal
_RATIOS = (0.5, 1.0, 2.0)
_KEPT = 20  # boxes an image
_WIDTH, _POOL, _HIDDEN = 96, 5, 128  # of the small detector


def faster_rcnn(backbone: Backbone, weights: str, side: int) -> FasterRCNN:
    """Build a detector of one class for images `(3, H, W)` in [0, 1] whose shorter side is about `side`.

    Args:
        backbone: `small`, or a ResNet with a feature pyramid.
        weights: of the ResNet: `imagenet`, a path, or `random`; with stored ones its normalisation is frozen.
        side: in pixels; anchors reach from an eighth of it to the whole.

    Raises:
        MedrestoreError: the weights are not there, or of another network.
    """
    sizes = tuple(side // part for part in (8, 4, 2, 1))
    if backbone == "small":
        return FasterRCNN(
            _Small(),
            min_size=side,
            max_size=4 * side,
            rpn_anchor_generator=AnchorGenerator((sizes,), (_RATIOS,)),
            rpn_pre_nms_top_n_train=400,
            rpn_post_nms_top_n_train=100,
            rpn_pre_nms_top_n_test=200,
            rpn_post_nms_top_n_test=50,
            rpn_batch_size_per_image=128,
            box_roi_pool=MultiScaleRoIAlign(["0"], _POOL, 2),
            box_head=TwoMLPHead(_WIDTH * _POOL**2, _HIDDEN),
            box_predictor=FastRCNNPredictor(_HIDDEN, _CLASSES),
            box_score_thresh=0.0,
            box_detections_per_img=_KEPT,
            box_batch_size_per_image=48,
        )
    stored = None if weights == "random" else stored_weights(backbone, weights)
    norm = BatchNorm if stored is None else FrozenBatchNorm2d
    body = resnet_fpn_backbone(
        backbone_name=backbone, weights=None, norm_layer=norm, trainable_layers=5 if stored is None else 3
    )
    if stored is not None:
        load_backbone(body.body, stored, backbone, weights)
    levels = tuple((side // part,) for part in (16, 8, 4, 2, 1))
    return FasterRCNN(
        body,
        num_classes=_CLASSES,
        min_size=side,
        max_size=4 * side,
        rpn_anchor_generator=AnchorGenerator(levels, (_RATIOS,) * len(levels)),
        box_score_thresh=0.0,
        box_detections_per_img=_KEPT,
    )


class _Small(nn.Module):
    """Six convolutions to one map of stride 16, 96 channels; the first one sees every pixel, for fine patterns."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = _WIDTH
        widths = (24, 40, 64, _WIDTH)
        steps = [_block(before, after, 2) for before, after in pairwise(widths)]
        first = [nn.PixelUnshuffle(2), _block(12, widths[0], 1)]
        self.layers = nn.Sequential(*first, *steps, _block(_WIDTH, _WIDTH, 1), _block(_WIDTH, _WIDTH, 1))

    def forward(self, images: Tensor) -> Tensor:
        """`(N, 3, H, W)` -> `(N, 96, H/16, W/16)`."""
        return self.layers(images.contiguous(memory_format=torch.channels_last))


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.ReLU(inplace=True)
    )
