"""Metrics: a function that gives one value an image, and a class that only accumulates."""

from medrestore.metrics.fourier_error import FourierError, fourier_error
from medrestore.metrics.jaccard import Jaccard, confusion, jaccard, jaccard_from, mean_jaccard
from medrestore.metrics.lpips import LPIPS, LpipsWeights, backbone_file, lpips
from medrestore.metrics.piqe import PIQE, PIQE_BANDS, PIQE_LIMITS, PiqeMasks, piqe, piqe_band, piqe_masks
from medrestore.metrics.psnr import PSNR, psnr
from medrestore.metrics.ssim import SSIM, ssim, ssim_map

__all__ = [
    "LPIPS",
    "PIQE",
    "PIQE_BANDS",
    "PIQE_LIMITS",
    "PSNR",
    "SSIM",
    "FourierError",
    "Jaccard",
    "LpipsWeights",
    "PiqeMasks",
    "backbone_file",
    "confusion",
    "fourier_error",
    "jaccard",
    "jaccard_from",
    "lpips",
    "mean_jaccard",
    "piqe",
    "piqe_band",
    "piqe_masks",
    "psnr",
    "ssim",
    "ssim_map",
]
