"""Adversarial losses in pairs: what the critic minimises and what the generator minimises.

Scores are of any shape, without a sigmoid; a map of scores is averaged over its positions and over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.shared_batch import batch_mean


def wasserstein_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Negative estimate of the Wasserstein distance: mean D(fake) - mean D(real) (arXiv:1704.00028).

    Args:
        real_scores: the critic's scores of target images.
        fake_scores: its scores of restored images.

    Returns:
        A scalar. It means something only with a critic of bounded slope, see `gradient_penalty`.
    """
    return fake_scores.mean() - real_scores.mean()


def wasserstein_generator_loss(fake_scores: Tensor) -> Tensor:
    """The generator's side of the Wasserstein distance: -mean D(fake) (arXiv:1704.00028).

    Args:
        fake_scores: the critic's scores of restored images.
    """
    return -fake_scores.mean()


def least_squares_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Half the squared distance of real scores to 1 and of fake scores to 0 (LSGAN, arXiv:1611.04076, eq. 9).

    Args:
        real_scores: the critic's scores of target images.
        fake_scores: its scores of restored images.
    """
    return ((real_scores - 1).square().mean() + fake_scores.square().mean()) / 2


def least_squares_generator_loss(fake_scores: Tensor) -> Tensor:
    """Squared distance of fake scores to 1, not halved, as in CycleGAN (arXiv:1703.10593, section 4).

    Args:
        fake_scores: the critic's scores of restored images.
    """
    return (fake_scores - 1).square().mean()


def cross_entropy_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Binary cross-entropy on logits: -log s(D(real)) - log(1 - s(D(fake))) (arXiv:1406.2661, eq. 1).

    Args:
        real_scores: the critic's scores of target images, before any sigmoid.
        fake_scores: its scores of restored images.
    """
    return F.softplus(-_wide(real_scores)).mean() + F.softplus(_wide(fake_scores)).mean()


def cross_entropy_generator_loss(fake_scores: Tensor) -> Tensor:
    """The non-saturating generator loss -log s(D(fake)) (arXiv:1406.2661, section 3).

    Args:
        fake_scores: the critic's scores of restored images, before any sigmoid.
    """
    return F.softplus(-_wide(fake_scores)).mean()


def relativistic_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Cross entropy of how much more real than the other kind's average each image looks (arXiv:1807.00734).

    -log s(D(real) - mean D(fake)) - log(1 - s(D(fake) - mean D(real))), the relativistic average as in ESRGAN; of a
    batch that processes share the averages are those of the whole batch.

    Args:
        real_scores: the critic's scores of target images, before any sigmoid.
        fake_scores: its scores of restored images.
    """
    real, fake = _wide(real_scores), _wide(fake_scores)
    return cross_entropy_critic_loss(real - batch_mean(fake.mean()), fake - batch_mean(real.mean()))


def relativistic_generator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The critic's loss with the roles exchanged (arXiv:1809.00219, 3.2); arguments as there."""
    return relativistic_critic_loss(fake_scores, real_scores)


def _wide(scores: Tensor) -> Tensor:
    """In at least float32: the differences that a mean of half precision loses are what is learned from."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


@dataclass(frozen=True)
class Wasserstein:
    """`wasserstein_critic_loss` and `wasserstein_generator_loss` as one choice in a config."""

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """What the critic minimises."""
        return wasserstein_critic_loss(real_scores, fake_scores)

    def generator(self, fake_scores: Tensor) -> Tensor:
        """What the generator minimises."""
        return wasserstein_generator_loss(fake_scores)


@dataclass(frozen=True)
class LeastSquares:
    """`least_squares_critic_loss` and `least_squares_generator_loss` as one choice in a config."""

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """What the critic minimises."""
        return least_squares_critic_loss(real_scores, fake_scores)

    def generator(self, fake_scores: Tensor) -> Tensor:
        """What the generator minimises."""
        return least_squares_generator_loss(fake_scores)


@dataclass(frozen=True)
class CrossEntropy:
    """`cross_entropy_critic_loss` and `cross_entropy_generator_loss` as one choice in a config."""

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """What the critic minimises."""
        return cross_entropy_critic_loss(real_scores, fake_scores)

    def generator(self, fake_scores: Tensor) -> Tensor:
        """What the generator minimises."""
        return cross_entropy_generator_loss(fake_scores)
