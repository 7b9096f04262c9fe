"""Metrics: a function that gives one value an image, and a class that only accumulates."""

from medrestore.metrics.lpips import LPIPS, LpipsWeights, backbone_file, lpips
from medrestore.metrics.psnr import PSNR, psnr
from medrestore.metrics.ssim import SSIM, ssim, ssim_map

__all__ = ["LPIPS", "PSNR", "SSIM", "LpipsWeights", "backbone_file", "lpips", "psnr", "ssim", "ssim_map"]
