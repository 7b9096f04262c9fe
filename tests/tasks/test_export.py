"""Judges on disk: the same judge comes back, and nothing else is ever built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from medrestore.config import compose, plain
from medrestore.errors import MedrestoreError
from medrestore.tasks import LesionDetector, SceneSegmenter, load_judge, save_judge
from medrestore.tasks.stored_weights import load_backbone, stored_weights

DETECTOR: dict[str, Any] = {
    "_target_": "medrestore.tasks.LesionDetector", "labels": {"normal": "normal", "nevus": "normal", "x": "abnormal"},
    "side": 64, "floor": 0.8, "optimizer": {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1.0},
}  # fmt: skip
ABOUT = {"training_data": "cervix_phantom", "training_images": 84, "experiment": "cervix_lesion_detector"}


def built(config: dict[str, Any]) -> LesionDetector:
    torch.manual_seed(1)
    return LesionDetector(**{k: v for k, v in config.items() if k not in ("_target_", "optimizer")})


def test_a_detector_comes_back_with_threshold_and_score(tmp_path: Path) -> None:
    judge = built(DETECTOR)
    judge.calibrated.fill_(0.37)
    judge.own_score.fill_(0.85)
    save_judge(tmp_path / "judge.safetensors", judge, DETECTOR, ABOUT)
    for where in (tmp_path, tmp_path / "judge.safetensors"):
        again, about = load_judge(where)
        assert isinstance(again, LesionDetector) and again.threshold == 0.37 and again.usable and again.floor == 0.8
        assert again.labels == DETECTOR["labels"] and about["training_data"] == "cervix_phantom"
        assert "optimizer" not in about["judge"] and "Not for diagnosis" in about["notice"]
        assert again.description.endswith("trained on 84 sharp images of cervix_phantom")
        assert not again.training and not any(p.requires_grad for p in again.parameters())
        image = torch.rand(3, 64, 64)
        for a, b in zip(judge.predict(image), again.predict(image), strict=True):
            assert torch.equal(a, b)


def test_a_segmenter_comes_back(tmp_path: Path) -> None:
    config = {"_target_": "medrestore.tasks.SceneSegmenter", "width": 8, "rare": 0.5}
    judge = SceneSegmenter(width=8, rare=0.5)
    save_judge(tmp_path / "judge.safetensors", judge, config, {})
    again, _ = load_judge(tmp_path)
    image = torch.rand(3, 33, 40)
    assert isinstance(again, SceneSegmenter) and torch.equal(judge.predict(image), again.predict(image))
    assert not again.usable


def test_frozen_normalisation_of_stored_weights_comes_back(tmp_path: Path) -> None:
    """With stored ResNet weights there is no counter of batches; the judge is loaded without the weights' file."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    config = {**DETECTOR, "backbone": "resnet18", "weights": str(tmp_path / "resnet18.pth")}
    judge = built(config)
    save_judge(tmp_path / "judge.safetensors", judge, config, {})
    (tmp_path / "resnet18.pth").unlink()
    again, _ = load_judge(tmp_path)
    image = torch.rand(3, 64, 64)
    torch.testing.assert_close(judge.predict(image).scores, again.predict(image).scores)
    assert "resnet18.pth weights" in again.description


@pytest.mark.parametrize("target", ["os.system", "medrestore.networks.VGG19Features", "medrestore.tasks.AbstractJudge"])
def test_only_judges_are_built(tmp_path: Path, target: str) -> None:
    save_judge(tmp_path / "judge.safetensors", built(DETECTOR), {**DETECTOR, "_target_": target}, {})
    with pytest.raises(MedrestoreError, match="which medrestore does not have"):
        load_judge(tmp_path)


def test_what_is_no_judge_is_told(tmp_path: Path) -> None:
    with pytest.raises(MedrestoreError, match=r"no judge\.safetensors in .*; type judge=<directory"):
        load_judge(tmp_path)
    path = tmp_path / "judge.safetensors"
    path.write_bytes(b"damaged")
    with pytest.raises(MedrestoreError, match="cannot be read as a judge"):
        load_judge(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"medrestore": json.dumps({"network": {}})})
    with pytest.raises(MedrestoreError, match="is no judge of medrestore"):
        load_judge(path)
    save_judge(path, built(DETECTOR), {**DETECTOR, "backbone": "resnet18"}, {})
    with pytest.raises(MedrestoreError, match="the weights do not fit LesionDetector"):
        load_judge(path)
    save_judge(path, built(DETECTOR), {**DETECTOR, "sides": 3}, {})
    with pytest.raises(MedrestoreError, match="cannot be built from its metadata"):
        load_judge(path)


@pytest.mark.parametrize("experiment", ["cervix_lesion_detector", "street_segmenter"])
def test_shipped_configs_are_kept_as_they_are(tmp_path: Path, experiment: str) -> None:
    config = plain(compose("train", [f"experiment={experiment}"]).model)
    kind = LesionDetector if "labels" in config else SceneSegmenter
    judge = kind(**{k: v for k, v in config.items() if k not in ("_target_", "optimizer")})
    save_judge(tmp_path / "judge.safetensors", judge, config, {})
    assert type(load_judge(tmp_path)[0]) is kind


def test_weights_are_read_and_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(MedrestoreError, match=r"no resnet50 weights: looked for .*resnet50-0676ba61\.pth and download"):
        stored_weights("resnet50", "imagenet")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    layer = torch.nn.Linear(2, 2)
    torch.save(layer.state_dict(), tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth")
    stored = stored_weights("resnet50", "imagenet")
    other = torch.nn.Linear(2, 2)
    load_backbone(other, stored, "resnet50", "imagenet")
    assert torch.equal(other.weight, layer.weight)
    with pytest.raises(MedrestoreError, match="holds no resnet50: weight is missing or of another shape"):
        load_backbone(torch.nn.Linear(3, 2, bias=False), stored, "resnet50", "imagenet")
    (tmp_path / "bad.pth").write_bytes(b"bad")
    with pytest.raises(MedrestoreError, match="cannot be read as resnet18 weights"):
        stored_weights("resnet18", str(tmp_path / "bad.pth"))
