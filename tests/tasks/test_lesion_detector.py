"""The detector: what it says of an image, its threshold, its own score, its training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from medrestore.callbacks import Diverged, NanGuard
from medrestore.config import build, compose
from medrestore.data.crop_settings import CropSettings
from medrestore.data.labelled import Boxed, LabelledImages, collate_labelled
from medrestore.data.loader import EpochSampler
from medrestore.data.phantoms import CervixPhantom
from medrestore.data.samples import Case
from medrestore.data.store import ImageStore
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Boxes
from medrestore.evaluation.lesions import LesionJudge
from medrestore.imaging import Image
from medrestore.tasks import LesionDetector

LABELS = {"normal": "normal", "abnormal": "abnormal"}


def detector(**changes: Any) -> LesionDetector:
    torch.manual_seed(0)
    return LesionDetector(LABELS, **{"side": 64, **changes})


def case(number: int, label: str, boxes: list[list[float]] | None = None, **known: Any) -> Case:
    pixels = torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(number))
    record = Image(pixels, None, "intensity", None, Path("x"), None, None, {})
    if boxes is not None:
        known["boxes"] = torch.tensor(boxes).reshape(-1, 4)
    return Case(f"{number:04d}", f"g{number}", record, pixels, pixels, None, None, {"label": label, **known}, {})


def brightness(model: LesionDetector) -> None:
    """Replace the network's opinion: the box is the whole image, its score the mean."""
    model.predict = lambda image: Boxes(torch.tensor([[0.0, 0, 80, 64]]), image.mean().reshape(1))  # type: ignore[method-assign]


def test_boxes_come_back_in_pixels_of_the_image_by_falling_score() -> None:
    model = detector()
    for size in ((64, 80), (128, 160), (40, 33)):
        found = model.predict(torch.rand(3, *size, generator=torch.Generator().manual_seed(1)))
        assert found.boxes.shape == (len(found.scores), 4) and len(found.scores) <= 20
        assert (found.boxes[:, [0, 2]] <= size[1] + 1e-3).all() and (found.boxes[:, [1, 3]] <= size[0] + 1e-3).all()
        assert torch.equal(found.scores, found.scores.sort(descending=True).values)
    assert model.training  # as it was


class FarCorner(torch.nn.Module):
    """Finds the right lower quarter of what it is shown."""

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        height, width = images[0].shape[-2:]
        return [{"boxes": torch.tensor([[width / 2, height / 2, width, height]]), "scores": torch.ones(1)}]


@pytest.mark.parametrize("size", [(64, 80), (128, 160), (40, 33), (97, 311)])
def test_boxes_are_scaled_back(size: tuple[int, int]) -> None:
    model = detector()
    model.network = FarCorner()
    height, width = size
    found = model.predict(torch.rand(3, *size))
    torch.testing.assert_close(found.boxes, torch.tensor([[width / 2, height / 2, width, height]]))


def test_grey_images_and_half_precision() -> None:
    model = detector(channels=1)
    grey = torch.rand(1, 64, 64)
    plain = model.predict(grey)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.predict(grey)
    assert torch.equal(plain.scores, half.scores)


def test_what_it_learns_from() -> None:
    model = detector()
    image, none = torch.rand(3, 64, 80), torch.zeros(0, 4)
    boxes = torch.tensor([[10.0, 10, 20, 30], [70, 50, 90, 90], [5, 5, 5.4, 30]])
    batch = Boxed([image] * 3, [boxes, boxes, none], ["abnormal", "normal", "abnormal"], torch.arange(3))
    known, normal, whole = (truth for _, truth in model.examples(batch))
    assert known.abnormal and known.boxes.tolist() == [[10, 10, 20, 30], [70, 50, 80, 64]]  # clipped, sliver dropped
    assert not normal.abnormal and len(normal.boxes) == 0
    assert whole.abnormal and whole.boxes.tolist() == [[0, 0, 80, 64]]
    with pytest.raises(MedrestoreError, match="'polyp' is neither normal nor abnormal"):
        model.losses(Boxed([image], [none], ["polyp"], torch.arange(1)))


def test_the_threshold_is_youdens_on_validation_images() -> None:
    model = detector()
    brightness(model)
    dark, bright = case(0, "normal"), case(1, "abnormal")
    dark.target, bright.target = torch.full((3, 8, 8), 0.2), torch.full((3, 8, 8), 0.6)
    model.calibrate([dark, bright])
    assert model.threshold == pytest.approx(0.4)
    model.own_score.fill_(1.0)
    assert model.usable
    model.calibrate([dark])
    assert math.isnan(model.threshold) and not model.usable


def test_own_score_floor_and_use() -> None:
    model = detector()
    brightness(model)
    model.calibrated.fill_(0.5)
    assert not model.usable and torch.isnan(model.own_score)
    cases = []
    for number in range(10):
        one = case(number, "abnormal" if number % 2 else "normal")
        wrong = number == 0
        one.target = torch.full((3, 8, 8), 0.9 if wrong else 0.2 + 0.5 * (number % 2))
        cases.append(one)
    assert model.measure(cases) == pytest.approx(20 / 25) and not model.usable
    assert float(model.own_interval[0]) < 0.8 <= float(model.own_interval[1])
    assert model.measure(cases[1:]) == 1.0 and model.usable
    assert math.isnan(model.measure(cases[:1])) and not model.usable


def test_it_is_the_judge_the_assessment_asks() -> None:
    assert isinstance(detector(), LesionJudge)
    assert "Faster R-CNN (small backbone, shorter side 64 pixels)" in detector().description


def test_patches_of_a_case() -> None:
    model = detector(patches="inside_outside")
    region = torch.zeros(1, 64, 80, dtype=torch.bool)
    region[:, 4:44, 4:44] = True
    (inside, abnormal), (outside, normal) = model.examples_of(case(0, "polyp", region=region))
    assert abnormal.abnormal and not normal.abnormal and inside.shape == outside.shape
    assert abnormal.boxes.tolist() == [[0, 0, *inside.shape[:0:-1]]]
    assert model.examples_of(case(0, "polyp")) == []


@pytest.mark.parametrize("backbone", ["resnet18"])
def test_resnet_with_a_pyramid(backbone: Any) -> None:
    model = detector(backbone=backbone, weights="random")
    assert len(model.predict(torch.rand(3, 64, 64)).scores) <= 20
    with pytest.raises(MedrestoreError, match=r"model\.backbone='vgg' is not known; type model\.backbone=small"):
        detector(backbone="vgg")


class Squares(torch.utils.data.Dataset):
    """Noise, with a bright square in every other image."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, where: tuple[int, int] | int) -> Boxed:
        index = where if isinstance(where, int) else where[1]
        random = torch.Generator().manual_seed(index)
        image, boxes, label = torch.rand(3, 64, 64, generator=random) * 0.3, torch.zeros(0, 4), "normal"
        if index % 2:
            top, left = torch.randint(0, 40, (2,), generator=random).tolist()
            image[:, top : top + 24, left : left + 24] += 0.6
            boxes, label = torch.tensor([[left, top, left + 24, top + 24]]).float(), "abnormal"
        return Boxed([image], [boxes], [label], torch.tensor([index]))


def fit(model: pl.LightningModule, data: Any, directory: Path, epochs: int, precision: Any = "32-true") -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=directory, num_sanity_val_steps=0, log_every_n_steps=1,
        check_val_every_n_epoch=epochs, precision=precision, use_distributed_sampler=False, callbacks=[NanGuard(10)],
    )  # fmt: skip
    sampler = EpochSampler(len(data), 4, seed=0)
    loader = torch.utils.data.DataLoader(data, 4, sampler=sampler, collate_fn=collate_labelled, drop_last=True)
    trainer.fit(model, loader, torch.utils.data.DataLoader(data, 1, collate_fn=collate_labelled))
    return trainer


def test_it_learns_bright_squares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LesionDetector(LABELS, side=64, optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3))
    data = Squares()
    batch = collate_labelled([data[index] for index in range(len(data))])
    assert isinstance(batch, Boxed)

    def loss() -> float:
        torch.manual_seed(1)  # boxes to learn from are drawn
        return float(sum(model.losses(batch).values()).detach())  # type: ignore[union-attr]

    before = loss()
    trainer = fit(model, data, tmp_path, epochs=12)
    assert loss() < before / 2
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)  # half a cosine


def test_rates_rise_then_fall(tmp_path: Path) -> None:
    model = detector(optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    rates: list[float] = []
    model.losses = lambda batch: {"none": sum(p.sum() for p in model.network.parameters()) * 0}  # type: ignore
    model.on_train_batch_end = lambda *args: rates.append(model.trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore
    fit(model, Squares(), tmp_path, epochs=20)
    expected = [min(1, (n + 1) / 2) * (1 + torch.cos(torch.tensor((n + 1) / 40 * torch.pi))) / 2 for n in range(40)]
    assert rates == pytest.approx([float(rate) for rate in expected], abs=1e-5)


def test_mixed_precision_trains(tmp_path: Path) -> None:
    model = detector()
    fit(model, Squares(), tmp_path, epochs=1, precision="bf16-mixed")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_losses_that_are_not_finite_are_left_out_then_told(tmp_path: Path) -> None:
    model = detector()
    before = [p.clone() for p in model.parameters()]
    model.losses = lambda batch: {"broken": next(model.network.parameters()).sum() * float("nan")}  # type: ignore[method-assign]
    fit(model, Squares(), tmp_path, epochs=1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(Diverged, match="the judge was not finite 10 times in a row"):
        fit(model, Squares(), tmp_path, epochs=5)


def test_the_shipped_config_on_the_phantom(tmp_path: Path) -> None:
    overrides = ["experiment=cervix_lesion_detector", "model.side=64", "dataset.size=64", "dataset.patients=2"]
    config = compose("train", overrides)
    model = build(config.model)
    assert isinstance(model, LesionDetector)
    source = CervixPhantom(patients=2, images_per_patient=2, size=64)
    settings = CropSettings(crop=32, crops_per_image=1, flips=True, window="auto", fixed=False, seed=0, data_seed=0)
    items = [item for item in source.catalogue().items if item.role == "target"]
    data = LabelledImages(ImageStore(source, 3, 10**8), items, settings, model.labelled)
    fit(model, _Indexed(data), tmp_path, epochs=1)
    boxes = [truth.boxes for _, truth in model.examples(data[0, 0])]
    assert len(boxes) == 1 and isinstance(boxes[0], Tensor)


class _Indexed(torch.utils.data.Dataset):
    """Validation asks by number, training by epoch and number."""

    def __init__(self, data: LabelledImages) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, where: Any) -> Boxed:
        return self.data[where]
