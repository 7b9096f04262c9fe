"""Degradations: kernels <- application <- seeded samplers."""

from medrestore.degradations.apply import blur
from medrestore.degradations.cataract import Cataract
from medrestore.degradations.downsample import Downsample
from medrestore.degradations.focal import FocalBlur
from medrestore.degradations.identity import Identity
from medrestore.degradations.motion import MotionBlur
from medrestore.degradations.parameters import Degradation, Frame, Parameters
from medrestore.degradations.patchwise import PatchwiseMotionBlur
from medrestore.degradations.rotation import CameraRotationBlur
from medrestore.degradations.sensor import Sensor
from medrestore.degradations.varying import blur_varying

__all__ = [
    "CameraRotationBlur",
    "Cataract",
    "Degradation",
    "Downsample",
    "FocalBlur",
    "Frame",
    "Identity",
    "MotionBlur",
    "Parameters",
    "PatchwiseMotionBlur",
    "Sensor",
    "blur",
    "blur_varying",
]
