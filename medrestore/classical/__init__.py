"""Restorers that learn nothing: the rows every trained network has to beat."""

from medrestore.classical.adaptive_unsharp import AdaptiveUnsharp
from medrestore.classical.clahe import Clahe
from medrestore.classical.dark_channel import DarkChannel
from medrestore.classical.identity import Identity
from medrestore.classical.interpolation import Bicubic, Bilinear, Lanczos, Nearest
from medrestore.classical.method import Method, MethodKind, Setting
from medrestore.classical.mitra_style import MitraStyle
from medrestore.classical.richardson_lucy import RichardsonLucy
from medrestore.classical.richardson_lucy_oracle import RichardsonLucyOracle
from medrestore.classical.tune import tune
from medrestore.classical.unsharp import Unsharp
from medrestore.classical.wavelet_contrast import WaveletContrast
from medrestore.classical.wiener import Wiener
from medrestore.classical.wiener_oracle import WienerOracle
from medrestore.classical.xiong_style import XiongStyle
from medrestore.classical.zhou_style import ZhouStyle

__all__ = [
    "AdaptiveUnsharp",
    "Bicubic",
    "Bilinear",
    "Clahe",
    "DarkChannel",
    "Identity",
    "Lanczos",
    "Method",
    "MethodKind",
    "MitraStyle",
    "Nearest",
    "RichardsonLucy",
    "RichardsonLucyOracle",
    "Setting",
    "Unsharp",
    "WaveletContrast",
    "Wiener",
    "WienerOracle",
    "XiongStyle",
    "ZhouStyle",
    "methods_for",
    "tune",
]


def methods_for(scale: int) -> list[Method]:
    """The rows of a table at a scale, the reference first.

    Args:
        scale: target size over degraded size.
    """
    if scale == 1:
        return [Identity(), Unsharp(), Wiener(), RichardsonLucy(), WienerOracle(), RichardsonLucyOracle()]
    return [Bicubic(scale), Nearest(scale), Bilinear(scale), Lanczos(scale)]
