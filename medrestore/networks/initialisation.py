"""How weights start."""

from __future__ import annotations

from torch import nn


def normal_weights(module: nn.Module) -> None:
    """Start a convolution's weights at N(0, 0.02) and its bias at 0, as DeblurGAN and CycleGAN do.

    Args:
        module: for `network.apply(normal_weights)`; anything but a convolution is left as it is.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
