"""The papers' training schemes, one final class a file."""

from medrestore.schemes.cycle_feature import CycleFeature
from medrestore.schemes.history_pool import HistoryPool
from medrestore.schemes.paired_regression import PairedRegression
from medrestore.schemes.paired_wgan import PairedWGAN
from medrestore.schemes.pix2pix import Pix2Pix
from medrestore.schemes.restorer import AbstractRestorer
from medrestore.schemes.two_stage_sr import TwoStageSR

__all__ = [
    "AbstractRestorer",
    "CycleFeature",
    "HistoryPool",
    "PairedRegression",
    "PairedWGAN",
    "Pix2Pix",
    "TwoStageSR",
]
