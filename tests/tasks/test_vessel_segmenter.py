"""The segmenter of vessels: crops with a map, its losses, its threshold, its own score, learning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from medrestore.config import build, compose
from medrestore.data.catalogue import Catalogue, Item
from medrestore.data.crop_settings import CropSettings
from medrestore.data.labelled import LabelledCrops, Mapped, collate_labelled
from medrestore.data.phantoms.generated import generated_item
from medrestore.data.samples import Case
from medrestore.data.store import ImageStore
from medrestore.errors import MedrestoreError
from medrestore.evaluation.vessel_scores import overlap_scores
from medrestore.imaging import Image
from medrestore.tasks import VesselSegmenter

SIDE = 48
SETTINGS = CropSettings(crop=32, crops_per_image=2, flips=True, window="auto", fixed=False, seed=0, data_seed=0)


class Retina:
    """Photographs with dark lines on brighter ground, in a square field of view; the last one has no map."""

    name = "tiny"

    def __init__(self, count: int = 5) -> None:
        self.count = count

    def items(self) -> list[Item]:
        return [generated_item(f"k{number}", f"g{number}", self.name) for number in range(self.count)]

    def catalogue(self) -> Catalogue:
        return Catalogue(tuple(self.items()), (), ())

    def vessels(self, item: Item) -> Tensor:
        random = torch.Generator().manual_seed(int(item.key[1:]))
        drawn = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
        for place in torch.randint(4, SIDE - 4, (3,), generator=random).tolist():
            drawn[:, place : place + 3] = True
        return drawn

    def mask(self) -> Tensor:
        mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
        mask[:, 3:-3, 3:-3] = True
        return mask

    def load(self, item: Item) -> Image:
        random = torch.Generator().manual_seed(int(item.key[1:]))
        ground = torch.tensor([0.8, 0.6, 0.3])[:, None, None] + 0.03 * torch.randn(3, SIDE, SIDE, generator=random)
        pixels = (ground - 0.3 * self.vessels(item).float()).clamp(0, 1)
        return Image(pixels, None, "intensity", None, Path("x"), item.group, self.mask(), {})

    def load_degraded(self, item: Item) -> None:
        return None

    def load_mask(self, item: Item) -> None:
        return None

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        return {} if item.key == f"k{self.count - 1}" else {"vessels": self.vessels(item)}

    def case(self, item: Item) -> Case:
        image = self.load(item)
        known = dict(self.annotations(item))
        return Case(item.key, item.group, image, image.pixels, image.pixels, image.mask, None, known, {})


def segmenter(**changes: Any) -> VesselSegmenter:
    torch.manual_seed(0)
    return VesselSegmenter(**{"width": 8, **changes})


def crops(training: bool = True, source: Retina | None = None) -> LabelledCrops:
    source = source or Retina()
    return LabelledCrops(ImageStore(source, 3, 10**8), source.items(), SETTINGS, segmenter().labelled, training)


def test_only_photographs_with_a_map_are_learned_from() -> None:
    data = crops()
    assert [item.key for item in data.items] == ["k0", "k1", "k2", "k3"] and len(data) == 8
    with pytest.raises(
        MedrestoreError, match=r"of 1 sharp images of tiny none has a map of its vessels.*fundus_phantom"
    ):
        crops(source=Retina(1))


def test_whole_photographs_have_their_map_inside_the_field_of_view() -> None:
    source = Retina()
    data = crops(False, source)
    for position, item in enumerate(data.items):
        sample = data[position]
        assert torch.equal(sample.classes[0] == 1, source.vessels(item)[0] & source.mask()[0])
        assert torch.equal(sample.classes[0] == 255, ~source.mask()[0])
        assert float(sample.images[0][:, ~source.mask()[0]].abs().max()) == 0


def test_crops_turn_with_their_maps() -> None:
    data = crops()
    for index in range(8):
        sample = data[3, index]
        assert sample.images.shape == (1, 3, 32, 32) and sample.classes.shape == (1, 32, 32)
        red = sample.images[0, 0]
        assert float(red[sample.classes[0] == 1].max()) < 0.65 < float(red[sample.classes[0] == 0].min())
        assert torch.equal(sample.images, data[3, index].images)


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (5, 70)])
@pytest.mark.parametrize(("channels", "sees"), [(1, "colour"), (3, "colour"), (3, "green")])
def test_a_probability_for_every_pixel_of_any_size(size: tuple[int, int], channels: int, sees: str) -> None:
    model = segmenter(channels=channels, sees=sees)
    image = torch.rand(channels, *size)
    found = model.predict(image)
    assert found.shape == size and 0 <= float(found.min()) and float(found.max()) <= 1
    image[0] = 0
    assert torch.equal(model.predict(image), found) == (sees == "green")


def test_a_large_photograph_is_seen_smaller() -> None:
    image = torch.rand(3, 16, 1536)
    model = segmenter()
    small = model.predict(torch.nn.functional.interpolate(image[None], size=(8, 768), mode="area")[0])
    expected = torch.nn.functional.interpolate(small[None, None], size=(16, 1536), mode="bilinear")[0, 0]
    torch.testing.assert_close(model.predict(image), expected)


def test_losses_of_pixels_inside_only() -> None:
    model = segmenter().eval()
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 2, (2, 32, 32), generator=random)
    classes[:, :8] = 255
    images = torch.rand(2, 3, 32, 32, generator=random)
    scores = model.network(images)[:, 0, 8:]
    truth, found = (classes[:, 8:] == 1).float(), scores.sigmoid()
    terms = model.losses(Mapped(images, classes, torch.arange(2)))
    entropy = -(truth * found.log() + (1 - truth) * (1 - found).log()).mean()
    torch.testing.assert_close(terms["cross_entropy"], entropy)
    torch.testing.assert_close(terms["dice"], 1 - (2 * (found * truth).sum() + 1) / (found.sum() + truth.sum() + 1))
    nothing = model.losses(Mapped(images, torch.full_like(classes, 255), torch.arange(2)))
    assert all(float(term.detach()) == 0 for term in nothing.values())


def test_threshold_filters_and_own_score_of_cases() -> None:
    source = Retina(8)
    model = segmenter()
    model.predict = lambda image: 0.3 * (image[0] < 0.65)  # type: ignore[method-assign]
    cases = [source.case(item) for item in source.items()]
    assert model.threshold == 0.5 and model.filters is None and not model.usable
    model.calibrate(cases)
    assert 0 < model.threshold <= 0.3  # at one half nothing would be found
    filters = model.filters
    assert filters is not None and filters.gamma > 0 and 0 < filters.matched < 0.3
    assert model.measure(cases) == 1.0 and model.usable
    assert model.own_interval.tolist() == [1.0, 1.0]  # seven groups
    assert math.isnan(model.measure(cases[-1:])) and not model.usable  # no map, no score
    again = segmenter()
    again.load_state_dict(model.state_dict())
    assert again.threshold == model.threshold and again.filters == filters


def test_the_score_of_a_set_is_the_mean_dice() -> None:
    model = segmenter()
    random = torch.Generator().manual_seed(1)
    found, truth = torch.rand(6, 9, 9, generator=random), torch.randint(0, 2, (6, 9, 9), generator=random)
    truth[:, :2] = 255
    rows = [model.score(a, b) for a, b in zip(found, truth, strict=True)]
    dice = [
        overlap_scores((a[2:] >= 0.5).numpy(), (b[2:] == 1).numpy())["dice"] for a, b in zip(found, truth, strict=True)
    ]
    score = model.summarise([*rows, {"dice": math.nan}], [*(f"g{n}" for n in range(6)), "h"])
    assert score is not None and score.value == pytest.approx(sum(dice) / 6)
    assert score.interval is not None and score.interval[0] < score.value < score.interval[1]
    assert model.summarise([], []) is None


def test_it_learns_lines(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VesselSegmenter(width=8, optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))
    whole = crops(training=False)
    trainer = pl.Trainer(
        max_epochs=60, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, num_sanity_val_steps=0, log_every_n_steps=1,
        check_val_every_n_epoch=60,
    )  # fmt: skip
    some, each = (torch.utils.data.DataLoader(whole, size, collate_fn=collate_labelled) for size in (4, 1))  # type: ignore[arg-type]
    trainer.fit(model, some, each)
    assert float(trainer.callback_metrics["val/dice"]) > 0.9


def test_the_shipped_config_is_built() -> None:
    config = compose("train", ["experiment=vessel_segmenter"])
    model = build(config.model)
    assert isinstance(model, VesselSegmenter) and model.labelled.maps == "vessels" and model.floor == 0.7
    assert sum(p.numel() for p in model.network.parameters()) < 200_000
