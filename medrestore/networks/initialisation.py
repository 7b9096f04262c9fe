"""How weights start."""

from __future__ import annotations

from torch import nn


def normal_weights(module: nn.Module) -> None:
    """Start weights as DeblurGAN, CycleGAN and Pix2Pix do.

    A convolution's at N(0, 0.02), a batch normalisation's at N(1, 0.02), every bias at 0.

    Args:
        module: for `network.apply(normal_weights)`; anything else is left as it is.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def he_weights(module: nn.Module, scale: float = 1.0) -> None:
    """Start a convolution or linear layer so that leaky ReLU 0.2 keeps the scale of what flows (arXiv:1502.01852).

    Args:
        module: for `network.apply(he_weights)`; anything else is left as it is. Biases start at 0.
        scale: multiplies the weights.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        module.weight.data.mul_(scale)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
