"""Judges on disk: tensors and JSON, as generators; only judges of this package are ever built from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from medrestore.checkpoint import all_finite, write_weights
from medrestore.errors import MedrestoreError
from medrestore.tasks.judge import AbstractJudge
from medrestore.tasks.lesion_detector import LesionDetector
from medrestore.tasks.scene_segmenter import SceneSegmenter
from medrestore.tasks.vessel_segmenter import VesselSegmenter

FILE = "judge.safetensors"
_JUDGES: tuple[type[AbstractJudge], ...] = (LesionDetector, SceneSegmenter, VesselSegmenter)
_TRAINING = ("_target_", "optimizer", "gradient_clip")  # arguments that only a training needs


def save_judge(path: Path, module: AbstractJudge, config: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
    """Write a judge with everything needed to ask it, atomically.

    Args:
        path: the `.safetensors` file.
        module: the trained judge, calibrated and measured.
        config: its config with `_target_`, a judge of `medrestore.tasks`; `optimizer` is not kept.
        about: experiment, training data, window, split; plain JSON values. `training_data` and `training_images` are
            told by the judge's description when it is loaded.

    Returns:
        `path`.

    Raises:
        MedrestoreError: weights that are not finite, or a disk that takes no more.
    """
    if not all_finite(module.network.state_dict().values()):
        raise MedrestoreError(f"{path} is not written: its weights are not finite; type model.optimizer.lr=<a tenth>")
    kept = {key: value for key, value in config.items() if key not in _TRAINING[1:]}
    return write_weights(path, module, {"judge": kept}, about)


def load_judge(where: str | Path) -> tuple[AbstractJudge, dict[str, Any]]:
    """Load a frozen judge from its run directory or a `.safetensors` file.

    Returns:
        The judge in evaluation mode, without gradients, and its metadata.

    Raises:
        MedrestoreError: nothing there, a damaged or foreign file, or a judge this version does not know.
    """
    path = Path(where)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise MedrestoreError(f"no {FILE} in {where}; type judge=<directory of a finished judge's run>, or judge=auto")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("medrestore", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise MedrestoreError(f"{path} cannot be read as a judge ({error}); train it again") from None
    if not isinstance(metadata, dict) or "judge" not in metadata:
        raise MedrestoreError(f"{path} is no judge of medrestore; type judge=<directory of a judge's run>")
    judge = _built(metadata["judge"], path)
    # stored ResNet weights freeze a normalisation that has no counter
    wanted = {name for name in judge.state_dict() if not name.endswith("num_batches_tracked")}
    if missing := sorted(wanted - set(tensors)):
        raise MedrestoreError(f"{path}: the weights do not fit {type(judge).__name__}: {missing[0]} is missing")
    try:
        judge.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise MedrestoreError(f"{path}: the weights do not fit {type(judge).__name__}: {error}") from None
    if "training_data" in metadata:
        judge.trained_on = (
            f"trained on {metadata.get('training_images', '?')} sharp images of {metadata['training_data']}"
        )
    return judge.eval().requires_grad_(False), metadata


def _built(config: Mapping[str, Any], path: Path) -> AbstractJudge:
    package, _, name = str(config.get("_target_", "")).rpartition(".")
    kinds = {kind.__name__: kind for kind in _JUDGES}
    if package != "medrestore.tasks" or name not in kinds:
        raise MedrestoreError(f"{path} names the judge {config.get('_target_')!r}, which medrestore does not have")
    arguments = {key: value for key, value in config.items() if key not in _TRAINING}
    try:
        judge = kinds[name](**{**arguments, "weights": "random"})  # the file brings the weights
    except (TypeError, ValueError) as error:
        raise MedrestoreError(f"{path}: {name} cannot be built from its metadata: {error}") from None
    judge.weights = str(arguments.get("weights", "random"))  # type: ignore[assignment]
    return judge
