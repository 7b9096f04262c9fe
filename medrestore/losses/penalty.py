"""The gradient penalty of WGAN-GP as published (Gulrajani et al., arXiv:1704.00028)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from medrestore.shared_batch import own_slice, share

# Under the root, where a gradient of exactly 0 would have an infinite slope; moves a norm of 1 by 5e-13.
_EPSILON = 1e-12


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Mean over the batch of (||grad D(x_hat)|| - 1)^2 on lines between real and fake (arXiv:1704.00028, eq. 3).

    The norm is taken per sample over all its elements (public deblurring codes take it per pixel, which is another
    penalty), with one mixing number a sample. A critic that returns a map is averaged over its positions first, as
    `wasserstein_critic_loss` averages it, so that the penalised function is the one whose distance is estimated. Two
    sided. Computed in float32 also under autocast and for half-precision images.

    Args:
        critic: `(N, C, H, W)` -> N scores or N maps of scores; it must not mix samples.
        real: target images `(N, C, H, W)` in [0, 1].
        fake: restored images of the same shape; no gradient reaches them.
        generator: draws the mixing numbers, those of the whole batch where processes share it; None for torch's global
            state.

    Returns:
        A scalar that can be differentiated with respect to the critic's weights.

    Raises:
        ValueError: real and fake differ in shape.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} differ in shape")
    count = len(real)
    # a compiled critic cannot be differentiated twice
    eager = critic.forward if isinstance(critic, nn.Module) else critic
    device = generator.device if generator is not None else real.device
    whole = torch.rand((share()[1] * count, *[1] * (real.ndim - 1)), generator=generator, device=device)
    mixing = own_slice(whole).to(real.device)
    with torch.autocast(real.device.type, enabled=False):
        mixed = (mixing * _wide(real) + (1 - mixing) * _wide(fake)).detach().requires_grad_(True)
        scores = eager(mixed).reshape(count, -1).mean(dim=1)
        (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
        norm = (gradient.reshape(count, -1).square().sum(dim=1) + _EPSILON).sqrt()
        return (norm - 1).square().mean()


def _wide(images: Tensor) -> Tensor:
    """At least float32: a double keeps its precision."""
    return images.to(torch.promote_types(images.dtype, torch.float32))
