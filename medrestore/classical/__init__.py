"""Restorers that learn nothing: the rows every trained network has to beat."""

from medrestore.classical.identity import Identity
from medrestore.classical.interpolation import Bicubic, Bilinear, Lanczos, Nearest
from medrestore.classical.method import Method, MethodKind, Setting
from medrestore.classical.richardson_lucy import RichardsonLucy
from medrestore.classical.richardson_lucy_oracle import RichardsonLucyOracle
from medrestore.classical.tune import tune
from medrestore.classical.unsharp import Unsharp
from medrestore.classical.wiener import Wiener
from medrestore.classical.wiener_oracle import WienerOracle

__all__ = [
    "Bicubic",
    "Bilinear",
    "Identity",
    "Lanczos",
    "Method",
    "MethodKind",
    "Nearest",
    "RichardsonLucy",
    "RichardsonLucyOracle",
    "Setting",
    "Unsharp",
    "Wiener",
    "WienerOracle",
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
