"""The generator of DeblurGAN and CycleGAN: two strides down, residual blocks, two strides up."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from medrestore.networks.blocks import Block
from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images
from medrestore.networks.initialisation import normal_weights
from medrestore.networks.normalisation import Dropout, InstanceNorm

Upsampling = Literal["transposed", "resize"]


class ResnetGenerator(nn.Module):
    """Residual generator with instance normalisation (Kupyn et al., arXiv:1711.07064; Zhu et al., arXiv:1703.10593).

    7x7 convolution, two 3x3 convolutions of stride 2, `blocks` residual blocks of two convolutions, two upsamplings,
    7x7 convolution, tanh. Two convolutions a block as in the papers' figures; 11,378,179 parameters as published.
    Takes and returns [0, 1], works in [-1, 1]. Weights start at N(0, 0.02), biases at 0.

    Args:
        channels: of the images.
        width: channels after the first convolution.
        blocks: residual blocks.
        global_residual: add tanh's output to the input (DeblurGAN's "ResOut") instead of returning it.
        dropout: probability inside the blocks while training (0.5 in DeblurGAN); off in evaluation mode.
        upsampling: `transposed` convolutions as published, or nearest `resize` and a convolution against checkerboards.

    Attributes:
        scale: 1, the output is as large as the input.
        context: None, instance normalisation sees the whole image.
    """

    scale = 1
    context = None

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        global_residual: bool = True,
        dropout: float = 0.0,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        self.channels = channels
        self.global_residual = global_residual
        self.body = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normalised(nn.Conv2d(channels, width, 7), width),
            *_normalised(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), 2 * width),
            *_normalised(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), 4 * width),
            *(_ResidualBlock(4 * width, dropout) for _ in range(blocks)),
            *_normalised(_upsample(4 * width, 2 * width, upsampling), 2 * width),
            *_normalised(_upsample(2 * width, width, upsampling), width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, channels, 7),
            nn.Tanh(),
        )
        self.apply(normal_weights)

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore `(N, C, H, W)` in [0, 1] of any H and W.

        Raises:
            ValueError: another number of channels.
        """
        require_images("ResnetGenerator", degraded, self.channels)
        height, width = degraded.shape[-2:]
        # stride 4, and at least 8 pixels so that the blocks have two rows to reflect
        signed = 2 * pad_to_multiple(degraded, 4, least=8) - 1
        restored = self.body(signed)
        if self.global_residual:
            restored = signed + restored
        return clamp_unit((restored[..., :height, :width] + 1) / 2)


class _ResidualBlock(Block):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(width, width, 3), width),
            Dropout(dropout) if dropout else nn.Identity(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            InstanceNorm(width),
        )

    def compute(self, features: Tensor) -> Tensor:
        return features + self.body(features)


def _normalised(convolution: nn.Module, width: int) -> tuple[nn.Module, ...]:
    return convolution, InstanceNorm(width), nn.ReLU(inplace=True)


def _upsample(width: int, out: int, upsampling: Upsampling) -> nn.Module:
    if upsampling == "transposed":
        return nn.ConvTranspose2d(width, out, 3, stride=2, padding=1, output_padding=1)
    if upsampling == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(width, out, 3))
    raise ValueError(f"upsampling={upsampling!r} is not known; type transposed or resize")
