"""The segmenter: a class for every pixel of any image, IoU against hand counts, learning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from medrestore.config import build, compose
from medrestore.data.labelled import Mapped, collate_labelled
from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image
from medrestore.metrics import confusion, jaccard_from
from medrestore.tasks import SceneSegmenter


def segmenter(**changes: Any) -> SceneSegmenter:
    torch.manual_seed(0)
    return SceneSegmenter(**{"width": 8, **changes})


def batch(count: int = 4, side: int = 32) -> Mapped:
    """Vertical stripes: dark is road (0), bright is sky (10); a border without class."""
    random = torch.Generator().manual_seed(0)
    classes = (torch.rand(count, 1, side // 8, generator=random) < 0.5).repeat_interleave(8, 2).expand(-1, side, -1)
    images = (0.2 + 0.6 * classes[:, None]).expand(-1, 3, -1, -1).contiguous()
    labels = (classes * 10).long().contiguous()
    labels[:, :2] = 255
    return Mapped(images, labels, torch.arange(count))


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (5, 70), (17, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_class_for_every_pixel_of_any_size(size: tuple[int, int], channels: int) -> None:
    named = segmenter(channels=channels).predict(torch.rand(channels, *size))
    assert named.shape == size and named.dtype == torch.int64
    assert int(named.min()) >= 0 and int(named.max()) < 19


@pytest.mark.parametrize("architecture", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_networks(architecture: Any) -> None:
    model = segmenter(architecture=architecture, weights="random")
    assert model.predict(torch.rand(3, 40, 70)).shape == (40, 70)
    assert model.losses(batch())["cross_entropy"].isfinite()


def test_an_unknown_architecture_is_told() -> None:
    with pytest.raises(MedrestoreError, match=r"model\.architecture='unet' is not known; type one of small"):
        segmenter(architecture="unet")


def test_pixels_without_class_do_not_count() -> None:
    model = segmenter().eval()
    one = batch(2)
    changed = one.images.clone()
    first = model.losses(one)["cross_entropy"]
    free = Mapped(changed, one.classes.masked_fill(one.classes == 10, 255), one.key)
    alone = torch.nn.functional.cross_entropy(model.network(changed), free.classes, ignore_index=255)
    torch.testing.assert_close(model.losses(free)["cross_entropy"], alone)
    assert not torch.isclose(first, alone)


def test_rare_classes_weigh_by_their_share_of_the_pixels() -> None:
    model = segmenter(rare=0.5).eval()
    one = batch(2)
    counts = torch.ones(19, dtype=torch.float64) + torch.bincount(one.classes[one.classes != 255], minlength=19)
    weight = ((counts / counts.sum()) ** -0.5).float()
    expected = torch.nn.functional.cross_entropy(model.network(one.images), one.classes, weight, ignore_index=255)
    torch.testing.assert_close(model.losses(one)["cross_entropy"], expected)


def test_an_unknown_class_is_one_line() -> None:
    one = batch(1)
    one.classes[0, 10, 10] = 33
    with pytest.raises(MedrestoreError, match="a map holds the class 33, known are 0 to 18"):
        segmenter().losses(one)


def test_the_score_of_a_set_is_the_mean_iou_of_its_pixels() -> None:
    model = segmenter()
    random = torch.Generator().manual_seed(3)
    truths = torch.randint(0, 4, (6, 12, 9), generator=random)
    truths[:, :2] = 255
    named = torch.where(torch.rand(6, 12, 9, generator=random) < 0.6, truths.clamp(max=3), torch.tensor(5))
    rows = [model.score(a, b) for a, b in zip(named, truths, strict=True)]
    iou = jaccard_from(confusion(named, truths, 19).sum(0))[:4]
    found = model.summarise(rows, [f"g{n}" for n in range(6)])
    assert found is not None and found.value == pytest.approx(float(iou.mean()), abs=1e-12)
    assert found.interval is not None and found.interval[0] <= found.value <= found.interval[1]
    few = model.summarise(rows[:4], [f"g{n}" for n in range(4)])
    assert few is not None and few.interval is None
    assert model.summarise([], []) is None


def test_own_score_of_cases() -> None:
    model = segmenter()
    one = batch(3)
    model.predict = lambda image: (image[0] > 0.5).long() * 10  # type: ignore[method-assign]
    cases = []
    for number in range(3):
        record = Image(one.images[number], None, "intensity", None, Path("x"), None, None, {})
        known = {"labels": one.classes[number]}
        cases.append(
            Case(str(number), f"g{number}", record, one.images[number], one.images[number], None, None, known, {})
        )
    model.calibrate(cases)
    assert model.measure(cases) == 1.0 and model.usable
    for case in cases:
        case.annotations = {}
    assert math.isnan(model.measure(cases)) and not model.usable


def test_it_learns_stripes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SceneSegmenter(width=8, light=0.0, optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))
    data = batch(4)
    samples = [Mapped(data.images[n][None], data.classes[n][None], data.key[n][None]) for n in range(4)]
    trainer = pl.Trainer(
        max_epochs=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, num_sanity_val_steps=0, log_every_n_steps=1,
        check_val_every_n_epoch=30, precision="bf16-mixed",
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(samples, 4, collate_fn=collate_labelled)  # type: ignore[arg-type]
    trainer.fit(model, loader, torch.utils.data.DataLoader(samples, 1, collate_fn=collate_labelled))  # type: ignore[arg-type]
    assert float(trainer.callback_metrics["val/mean_iou"]) > 0.9


def test_the_shipped_config_is_built() -> None:
    config = compose("train", ["experiment=street_segmenter"])
    model = build(config.model)
    assert isinstance(model, SceneSegmenter) and len(model.classes) == 19
    assert sum(p.numel() for p in model.network.parameters()) < 400_000
