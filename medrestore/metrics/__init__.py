"""Metrics: a function that gives one value an image, and a class that only accumulates."""

from medrestore.metrics.brisque import BRISQUE, BrisqueParams, brisque
from medrestore.metrics.brisque_files import read_brisque_model
from medrestore.metrics.ciede2000 import CIEDE2000, ciede2000
from medrestore.metrics.entropy import Entropy, entropy
from medrestore.metrics.fourier_error import FourierError, fourier_error
from medrestore.metrics.jaccard import Jaccard, confusion, jaccard, jaccard_from, mean_jaccard
from medrestore.metrics.lpips import LPIPS, LpipsWeights, backbone_file, lpips
from medrestore.metrics.niqe import NIQE, NiqeParams, niqe
from medrestore.metrics.piqe import PIQE, PIQE_BANDS, PIQE_LIMITS, PiqeMasks, piqe, piqe_band, piqe_masks
from medrestore.metrics.psnr import PSNR, psnr
from medrestore.metrics.quality_models import (
    BrisqueModel,
    NiqeModel,
    read_niqe_model,
    write_niqe_model,
)
from medrestore.metrics.spectral_distance import (
    NYQUIST,
    SpectralDistance,
    radial_power,
    ring_distance,
    ring_edges,
    spectral_distance,
)
from medrestore.metrics.ssim import SSIM, ssim, ssim_map

__all__ = [
    "BRISQUE",
    "CIEDE2000",
    "LPIPS",
    "NIQE",
    "NYQUIST",
    "PIQE",
    "PIQE_BANDS",
    "PIQE_LIMITS",
    "PSNR",
    "SSIM",
    "BrisqueModel",
    "BrisqueParams",
    "Entropy",
    "FourierError",
    "Jaccard",
    "LpipsWeights",
    "NiqeModel",
    "NiqeParams",
    "PiqeMasks",
    "SpectralDistance",
    "backbone_file",
    "brisque",
    "ciede2000",
    "confusion",
    "entropy",
    "fourier_error",
    "jaccard",
    "jaccard_from",
    "lpips",
    "mean_jaccard",
    "niqe",
    "piqe",
    "piqe_band",
    "piqe_masks",
    "psnr",
    "radial_power",
    "read_brisque_model",
    "read_niqe_model",
    "ring_distance",
    "ring_edges",
    "spectral_distance",
    "ssim",
    "ssim_map",
    "write_niqe_model",
]
