"""What networks are trained against: adversarial pairs, the gradient penalty, content terms and their weighted sum."""

from medrestore.losses.adversarial import (
    CrossEntropy,
    LeastSquares,
    Wasserstein,
    cross_entropy_critic_loss,
    cross_entropy_generator_loss,
    least_squares_critic_loss,
    least_squares_generator_loss,
    relativistic_critic_loss,
    relativistic_generator_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)
from medrestore.losses.content import L1, MSE, Charbonnier, FeatureLoss, charbonnier, feature_distance, l1, mse
from medrestore.losses.fourier import FourierLoss, fourier
from medrestore.losses.penalty import gradient_penalty
from medrestore.losses.signal_noise import PSNRLoss, psnr_loss
from medrestore.losses.smoothness import Smoothness, smoothness
from medrestore.losses.weighted import WeightedSum, WeightedTerm

__all__ = [
    "L1",
    "MSE",
    "Charbonnier",
    "CrossEntropy",
    "FeatureLoss",
    "FourierLoss",
    "LeastSquares",
    "PSNRLoss",
    "Smoothness",
    "Wasserstein",
    "WeightedSum",
    "WeightedTerm",
    "charbonnier",
    "cross_entropy_critic_loss",
    "cross_entropy_generator_loss",
    "feature_distance",
    "fourier",
    "gradient_penalty",
    "l1",
    "least_squares_critic_loss",
    "least_squares_generator_loss",
    "mse",
    "psnr_loss",
    "relativistic_critic_loss",
    "relativistic_generator_loss",
    "smoothness",
    "wasserstein_critic_loss",
    "wasserstein_generator_loss",
]
