"""The critic of SRGAN (Ledig et al., arXiv:1609.04802, figure 4): one score an image of any size, no sigmoid."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.networks.frame import pad_to_multiple, require_images
from medrestore.networks.initialisation import he_weights
from medrestore.networks.normalisation import Norm, critic_norm

Head = Literal["pooled", "dense1024"]
_WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)  # of `width`; every second convolution has stride 2
_LEAST = 17  # pixels: four halvings leave two, enough for statistics of a single image
_CELLS = 6  # what four halvings leave of SRGAN's crops of 96 pixels
_DENSE = 1024


class SRGANCritic(nn.Module):
    """Eight 3x3 convolutions, four of stride 2, and a dense head: one score an image (arXiv:1609.04802, section 2.1).

    k3n64s1 without normalisation, then k3 n64s2, n128s1, n128s2, n256s1, n256s2, n512s1, n512s2, each normalised; leaky
    ReLU 0.2. The published sigmoid is part of the loss, so that any adversarial loss can be used. No convolution before
    a batch norm has a bias. Takes [0, 1], works in [-1, 1]. Weights start as He's.

    Batch norm keeps no running statistics, as in `PatchCritic`: real and fake images go in passes of their own, and
    none leaves a trace in the other's.

    Args:
        channels: of the images.
        width: channels after the first convolution.
        norm: `batch` as published, which mixes the samples of a batch; `instance`; `group`; or `none`.
        head: `pooled`, the mean over all positions and one dense unit, 4,687,745 parameters at the defaults; or
            `dense1024`, the published one that S5 had to leave out: 6 x 6 positions, which crops of 96 pixels leave and
            other sizes are averaged to, then 1024 and one dense units, 23,563,649 parameters.

    Raises:
        MedrestoreError: an unknown head.
    """

    def __init__(self, channels: int = 3, width: int = 64, norm: Norm = "batch", head: Head = "pooled") -> None:
        super().__init__()
        if head not in get_args(Head):
            raise MedrestoreError(f"model.critic.head={head!r} is not known; type pooled or dense1024")
        self.channels = channels
        layers: list[nn.Module] = []
        before = channels
        for index, factor in enumerate(_WIDTHS):
            normalised = index > 0
            biased = not (normalised and norm == "batch")
            layers += [nn.Conv2d(before, factor * width, 3, 1 + index % 2, 1, bias=biased)]
            layers += [critic_norm(norm, factor * width)] if normalised else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            before = factor * width
        self.body = nn.Sequential(*layers)
        if head == "pooled":
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1))
        else:
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(_CELLS),
                nn.Flatten(),
                nn.Linear(before * _CELLS**2, _DENSE),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Linear(_DENSE, 1),
            )
        self.apply(he_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Score `(N, C, H, W)` in [0, 1] of any H and W; returns `(N, 1)` of any real numbers.

        Raises:
            ValueError: another number of channels.
        """
        require_images("SRGANCritic", images, self.channels)
        return self.head(self.body(2 * pad_to_multiple(images, 1, _LEAST) - 1))  # (N, 8 * width, H/16, W/16) -> (N, 1)
