"""Downstream judges: what restored images are good for, asked of frozen networks trained on sharp ones."""

from medrestore.tasks.export import load_judge, save_judge
from medrestore.tasks.judge import AbstractJudge, SetScore
from medrestore.tasks.lesion_detector import LesionDetector
from medrestore.tasks.scene_segmenter import SceneSegmenter
from medrestore.tasks.vessel_segmenter import VesselSegmenter

__all__ = [
    "AbstractJudge",
    "LesionDetector",
    "SceneSegmenter",
    "SetScore",
    "VesselSegmenter",
    "load_judge",
    "save_judge",
]
