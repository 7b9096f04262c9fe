"""Degradations: kernels <- application <- seeded samplers."""

from medrestore.degradations.apply import blur
from medrestore.degradations.downsample import Downsample
from medrestore.degradations.focal import FocalBlur
from medrestore.degradations.identity import Identity
from medrestore.degradations.motion import MotionBlur
from medrestore.degradations.parameters import Degradation, Parameters
from medrestore.degradations.sensor import Sensor

__all__ = ["Degradation", "Downsample", "FocalBlur", "Identity", "MotionBlur", "Parameters", "Sensor", "blur"]
