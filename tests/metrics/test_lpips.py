import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.metrics import LPIPS, backbone_file, lpips
from medrestore.metrics.lpips import _network

SHAPES = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(*shape, generator=generator)
    return (target + 0.1 * torch.randn(*shape, generator=generator)).clamp(0, 1), target


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for i, shape in SHAPES.items():
        fan_in = math.prod(shape[1:])
        state[f"features.{i}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        state[f"features.{i}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return state


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    path = tmp_path / "alexnet.pth"
    torch.save(weights(1), path)
    return path


def heads() -> Iterator[Tensor]:
    import lpips as package

    state = torch.load(
        Path(package.__file__).parent / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True
    )
    return (state[f"lin{i}.model.1.weight"] for i in range(5))


def reference(preds: Tensor, target: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The distance written out: scaled input, five maps, unit length along channels, weighted squares, means, sum."""
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y = ((2 * image - 1 - mean) / deviation for image in (preds, target))
    total = torch.zeros(len(preds))
    for (i, stride, padding), head in zip(
        ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)), heads(), strict=True
    ):
        if i in (3, 6):
            x, y = (nn.functional.max_pool2d(z, 3, 2) for z in (x, y))
        w, b = state[f"features.{i}.weight"], state[f"features.{i}.bias"]
        x, y = (nn.functional.conv2d(z, w, b, stride, padding).relu() for z in (x, y))
        x_unit, y_unit = (z / (z.square().sum(1, keepdim=True).sqrt() + 1e-10) for z in (x, y))
        total += ((x_unit - y_unit).square() * head).sum(1).mean((1, 2))
    return total


def test_equals_the_formula_written_out(backbone: Path) -> None:
    preds, target = pair(2, 3, 70, 93)
    found = lpips(preds, target, weights=backbone)
    assert found.shape == (2,) and found.dtype == torch.float64
    assert found.tolist() == pytest.approx(reference(preds, target, weights(1)).tolist(), rel=1e-4)


def test_grey_is_repeated(backbone: Path) -> None:
    preds, target = pair(1, 1, 40, 50)
    expected = lpips(preds.repeat(1, 3, 1, 1), target.repeat(1, 3, 1, 1), weights=backbone)
    assert float(lpips(preds, target, weights=backbone)) == pytest.approx(float(expected), rel=1e-6)


def test_random_weights_are_the_same_every_time() -> None:
    preds, target = pair(2, 3, 64, 64)
    assert float(lpips(target, target, weights="random")[0]) == 0
    first = lpips(preds, target, weights="random")
    _network.cache_clear()
    torch.manual_seed(123)
    assert torch.equal(lpips(preds, target, weights="random"), first)
    # Pinned, not derived: another number would make the tables of earlier runs incomparable.
    assert first.tolist() == pytest.approx([0.0121479, 0.0128853], rel=1e-3)


def test_building_the_network_leaves_random_numbers_and_warnings_alone(backbone: Path) -> None:
    preds, target = pair(1, 3, 32, 32)
    before = torch.get_rng_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lpips(preds, target, weights=backbone)
    assert torch.equal(torch.get_rng_state(), before)
    assert not [warning for warning in caught if "pretrained" in str(warning.message)]


def test_imagenet_takes_the_cached_file_and_never_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    preds, target = pair(1, 3, 40, 40)
    assert backbone_file() is None
    with pytest.raises(MedrestoreError) as error:
        lpips(preds, target)
    assert str(tmp_path) in str(error.value) and "metrics.lpips_weights=" in str(error.value)
    cached = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    cached.parent.mkdir(parents=True)
    torch.save(weights(3), cached)
    assert backbone_file() == cached
    assert float(lpips(preds, target)) == pytest.approx(float(reference(preds, target, weights(3))), rel=1e-4)


def test_wrong_files_are_refused_in_one_line(tmp_path: Path) -> None:
    preds, target = pair(1, 3, 40, 40)
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    other = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, other)
    shapes = tmp_path / "shapes.pth"
    torch.save({key: value[:1] for key, value in weights(0).items()}, shapes)
    whole_object = tmp_path / "object.pth"
    torch.save(nn.Linear(1, 1), whole_object)
    for path in (tmp_path / "missing.pth", text, other, shapes, whole_object):
        with pytest.raises(MedrestoreError) as error:
            lpips(preds, target, weights=path)
        assert "\n" not in str(error.value) and path.name in str(error.value)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 31 x 31, found 3 of 30 x 40"):
        lpips(*pair(1, 3, 30, 40), weights="random")
    with pytest.raises(ValueError, match="1 or 3 channels"):
        lpips(*pair(1, 2, 40, 40), weights="random")
    assert torch.isfinite(lpips(*pair(1, 3, 31, 31), weights="random"))


def test_class_holds_no_network(backbone: Path) -> None:
    preds, target = pair(2, 3, 40, 40)
    metric = LPIPS(weights=backbone)
    metric.update(preds, target)
    assert float(metric.compute()) == pytest.approx(float(lpips(preds, target, weights=backbone).mean()), abs=1e-12)
    assert not metric.state_dict() and not list(metric.children()) and metric.higher_is_better is False
