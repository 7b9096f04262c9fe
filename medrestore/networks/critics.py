"""Critics: networks that score images, without a sigmoid."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from medrestore.networks.frame import pad_to_multiple, require_images
from medrestore.networks.initialisation import normal_weights
from medrestore.networks.normalisation import Norm, critic_norm


class PatchCritic(nn.Module):
    """Scores overlapping patches of 70 x 70 pixels (PatchGAN: Isola et al., arXiv:1611.07004; DeblurGAN's width).

    4x4 convolutions: `layers` of stride 2, one of stride 1, one to a single channel; leaky ReLU 0.2; no normalisation
    after the first. With padding 2, as in DeblurGAN, 256 x 256 pixels become 35 x 35 scores; 2,764,737 parameters. With
    padding 1, batch norm and a condition of three channels, as in Pix2Pix, 30 x 30 scores; 2,768,705 parameters.
    It has no sigmoid, so that every adversarial loss can use it. Inside it works in [-1, 1]; the gradient penalty is
    therefore taken with respect to values in [0, 1].

    Batch norm keeps no running statistics: a critic is never evaluated on its own, each pass (real, fake, the penalty's
    mixture) is normalised by its own batch, and none leaves a trace in the others.

    Args:
        channels: of the images.
        width: channels after the first convolution, doubled by each further one up to eight times.
        layers: of stride 2.
        norm: `instance`; `group` (of up to eight groups of channels); `batch` mixes the samples of a batch, which the
            gradient penalty forbids (arXiv:1704.00028, section 4); or `none`.
        padding: of every convolution, 2 or 1.
        condition_channels: of the image that each image is judged beside; 0 = it is judged alone, as in DeblurGAN.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        layers: int = 3,
        norm: Norm = "instance",
        padding: Literal[1, 2] = 2,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        if padding not in (1, 2):
            raise ValueError(f"padding={padding!r} is not known; type 1 or 2")
        self.channels = channels
        self.condition_channels = condition_channels
        # with padding 1 the two convolutions of stride 1 shrink what is left by a pixel each
        self.least = 1 if padding == 2 else 3 * 2**layers
        widths = [width * min(2**layer, 8) for layer in range(layers + 1)]
        body: list[nn.Module] = [nn.Conv2d(channels + condition_channels, width, 4, stride=2, padding=padding)]
        body += [nn.LeakyReLU(0.2, inplace=True)]
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            stride = 2 if index < layers else 1
            # batch norm has a bias of its own
            body += [nn.Conv2d(before, after, 4, stride, padding, bias=norm != "batch"), critic_norm(norm, after)]
            body += [nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*body, nn.Conv2d(widths[-1], 1, 4, padding=padding))
        self.apply(normal_weights)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score `(N, C, H, W)` in [0, 1] of any H and W; returns a map `(N, 1, H', W')` of any real numbers.

        Args:
            images: target or restored.
            condition: `(N, condition_channels, H, W)` in [0, 1], the degraded images; None without condition channels.

        Raises:
            ValueError: another number of channels, or a condition too many or too few.
        """
        require_images("PatchCritic", images, self.channels)
        if (condition is not None) != (self.condition_channels > 0):
            raise ValueError(
                f"PatchCritic has condition_channels={self.condition_channels} and was given "
                f"{'no' if condition is None else 'a'} condition"
            )
        if condition is not None:
            require_images("PatchCritic as condition", condition, self.condition_channels)
            images = torch.cat([condition, images], dim=1)  # (N, condition_channels + C, H, W)
        return self.body(2 * pad_to_multiple(images, 1, self.least) - 1)


class FeatureCritic(nn.Module):
    """Scores overlapping patches of 63 x 63 pixels and hands out what its layers saw: the critic of paper S2.

    S2 compares images by "all convolutional layers" of the critics that are being trained. Five 3x3 convolutions, four
    of stride 2; the paper leaves the channels open, so they are those of the 70 x 70 PatchGAN: 64, 128, 256, 512, 1.
    Padding 1, normalisation after the second to the fourth, leaky ReLU 0.2, the last convolution of stride 1 without a
    sigmoid: 256 x 256 pixels become 16 x 16 scores; 1,555,585 parameters with `instance` or `none`. Every convolution
    has a bias. Takes [0, 1], works in [-1, 1]. Weights start at N(0, 0.02), biases at 0.

    Args:
        channels: of the images.
        width: channels after the first convolution, doubled by each of the next three.
        norm: `instance`; `group` (of up to eight groups of channels), which keeps an image's contrast between channels;
            `batch`, which mixes the samples of a batch; or `none`.

    Attributes:
        layers: how many feature maps `features` returns.
    """

    layers = 5

    def __init__(self, channels: int = 3, width: int = 64, norm: Norm = "instance") -> None:
        super().__init__()
        self.channels = channels
        widths = [channels, *(width * 2**layer for layer in range(self.layers - 1))]
        stages: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            normalised = critic_norm(norm, after) if index else nn.Identity()
            stages.append(nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), normalised, nn.LeakyReLU(0.2, inplace=True)))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.apply(normal_weights)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the output of every layer after its activation, the scores last.

        Args:
            images: `(N, C, H, W)` in [0, 1] of any H and W.

        Returns:
            `layers` maps `(N, C', H', W')`: four of half the size of the one before, rounded up, then the scores
            `(N, 1, H', W')` of any real numbers.

        Raises:
            ValueError: another number of channels.
        """
        require_images("FeatureCritic", images, self.channels)
        maps = [2 * images - 1]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return [*maps[1:], self.head(maps[-1])]

    def forward(self, images: Tensor) -> Tensor:
        """Score `(N, C, H, W)` in [0, 1]; returns the last of `features`."""
        return self.features(images)[-1]
