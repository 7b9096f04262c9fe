"""Against the golden values that lie beside the repository; skipped where they do not."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from medrestore.metrics import (
    brisque,
    entropy,
    fourier_error,
    jaccard,
    lpips,
    mean_jaccard,
    niqe,
    piqe,
    piqe_band,
    piqe_masks,
    psnr,
    ssim,
    ssim_map,
)
from medrestore.metrics.brisque import brisque_features
from medrestore.metrics.niqe import niqe_blocks, niqe_model_of, niqe_sharp_rows
from medrestore.metrics.quality_models import NiqeModel

CASES = (
    "retina_fov_gauss2",
    "camera_noise10",
    "ihc_jpeg20",
    "coins_box5",
    "phantom_gauss1.5_noise4",
    "ct_small_gauss1",
)


@cache
def shared() -> Path:
    for folder in Path(__file__).resolve().parents:
        reference = folder / "shared" / "reference"
        if (reference / "metrics_public.json").is_file():
            return reference
    pytest.skip("no shared/reference/metrics_public.json in a folder above the repository")


@cache
def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, shared() / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@cache
def golden(name: str) -> dict:
    cases = json.loads((shared() / "metrics_public.json").read_text())["cases"]
    return next(case for case in cases if case["name"] == name)


@cache
def images(name: str) -> tuple[Tensor, Tensor]:
    """Degraded and reference image, `(1, C, H, W)`; skipped when another decoder makes other bytes."""
    make = module("make_images")
    reference, degraded = make.CASES[name]()
    if golden(name)["sha256"] != {"ref": make.sha(reference), "deg": make.sha(degraded)}:
        pytest.skip("the reference images come out differently on this machine (decoder or NumPy)")
    first, second = (torch.from_numpy(array).double() / 255 for array in (degraded, reference))
    if first.ndim == 2:
        return first[None, None], second[None, None]
    return first.permute(2, 0, 1)[None], second.permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded AlexNet, saved as torchvision would."""
    from torchvision.models import alexnet

    network = alexnet(weights=None)
    module("lpips_seeded").seed_backbone(network.features)
    path = tmp_path_factory.mktemp("weights") / "seeded.pth"
    torch.save({key: value for key, value in network.state_dict().items() if key.startswith("features.")}, path)
    return path


@pytest.mark.parametrize("name", CASES)
def test_psnr(name: str) -> None:
    expected = golden(name)["full_reference"]["psnr"]
    assert float(psnr(*images(name))) == pytest.approx(expected["value"], abs=expected["tolerance"]["abs"])


@pytest.mark.parametrize("name", CASES)
def test_ssim(name: str) -> None:
    expected = golden(name)["full_reference"]["ssim"]
    assert float(ssim(*images(name))) == pytest.approx(expected["value"], abs=expected["tolerance"]["abs"])


@pytest.mark.parametrize("name", CASES)
def test_ssim_map(name: str) -> None:
    expected = golden(name)["full_reference"]["ssim_map"]
    found = ssim_map(*images(name))[0].mean(0)
    assert list(found.shape) == expected["shape"]
    for place, value in expected["at"].items():
        row, column = map(int, place.split(","))
        assert float(found[row, column]) == pytest.approx(value, abs=1e-4)
    for name_, value in (("min", found.min()), ("max", found.max()), ("mean_full_map", found.mean())):
        assert float(value) == pytest.approx(expected[name_], abs=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_lpips(name: str, backbone: Path) -> None:
    expected = golden(name)["full_reference"]["lpips_seeded_alex"]
    found = float(lpips(*images(name), weights=backbone))
    assert found == pytest.approx(expected["value"], rel=expected["tolerance"]["rel"])


@pytest.mark.parametrize("name", CASES)
def test_piqe(name: str) -> None:
    for kind, image in zip(("deg", "ref"), images(name), strict=True):
        expected = golden(name)["no_reference"][kind]["piqe"]
        for precision in (image, image.float()):
            found = float(piqe(precision))
            assert found == pytest.approx(expected["value"], abs=expected["tolerance"]["abs"])
            assert piqe_band(found) == expected["band"]
        counts = [int(mask[..., ::16, ::16].sum()) for mask in piqe_masks(image)]
        assert counts == [expected[f"{kind}_blocks"] for kind in ("active", "artefact", "noise")]


@cache
def fitted() -> NiqeModel:
    """The model of the reference's own fit, on six pictures of scikit-image."""
    from skimage import data

    rows = []
    for name in ("brick", "grass", "gravel", "moon", "camera", "coffee"):
        picture = torch.from_numpy(getattr(data, name)() / 255)
        image = picture[None, None] if picture.ndim == 2 else picture.permute(2, 0, 1)[None]
        rows.append(niqe_sharp_rows(image, 96, 0.75))
    return niqe_model_of(torch.cat(rows), 96, 0.75, {"blocks": sum(map(len, rows))})


def test_niqe_fit() -> None:
    expected = json.loads((shared() / "metrics_public.json").read_text())["niqe_fit"]
    model, tolerance = fitted(), expected["tolerance"]["rel"]
    assert model.about["blocks"] == expected["blocks_kept"]
    assert model.mean.tolist() == pytest.approx(expected["mu"], rel=tolerance)
    assert model.covariance.diagonal().tolist() == pytest.approx(expected["cov_diag"], rel=tolerance)
    assert float(model.covariance.trace()) == pytest.approx(expected["cov_trace"], rel=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_niqe(name: str) -> None:
    live = shared() / "params" / "live_niqe.mat"
    for kind, image in zip(("deg", "ref"), images(name), strict=True):
        expected = golden(name)["no_reference"][kind]
        blocks = niqe_blocks(image, 96)
        assert blocks.features.shape[1] == expected["niqe_live"]["blocks"]
        first = expected["niqe_features_block0"]
        assert blocks.features[0, 0].tolist() == pytest.approx(first["value"], rel=1e-4)
        assert float(blocks.sharpness[0, 0]) == pytest.approx(first["sharpness"], rel=1e-4)
        for key, model in (("niqe_live", live), ("niqe_fitted", fitted())):
            found = float(niqe(image.float(), params=model))
            if blocks.features.shape[1] < 2:
                assert found != found  # never a number
            else:
                assert found == pytest.approx(expected[key]["value"], rel=expected[key]["tolerance"]["rel"])
        if "blocks with NaN features left out of the mean too" in expected["niqe_live"].get("other_conventions", {}):
            other = expected["niqe_live"]["other_conventions"]["blocks with NaN features left out of the mean too"]
            assert float(niqe(image, params=live, drop_flat=True)) == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_brisque(name: str) -> None:
    for kind, image in zip(("deg", "ref"), images(name), strict=True):
        expected = golden(name)["no_reference"][kind]
        features = expected["brisque_features"]["value"]
        assert brisque_features(image)[0].tolist() == pytest.approx(features, rel=1e-4, abs=1e-6)
        found = float(brisque(image.float(), params=shared() / "params"))
        tolerance = expected["brisque_live"]["tolerance"]["abs"]
        assert found == pytest.approx(expected["brisque_live"]["value"], abs=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_entropy(name: str) -> None:
    for kind, image in zip(("deg", "ref"), images(name), strict=True):
        expected = golden(name)["no_reference"][kind]["entropy"]
        assert float(entropy(image.float())) == pytest.approx(expected["value"], abs=expected["tolerance"]["abs"])


@pytest.mark.parametrize("name", CASES)
def test_fourier_error(name: str) -> None:
    expected = golden(name)["full_reference"]["fourier_error"]
    assert float(fourier_error(*images(name))) == pytest.approx(expected["value"], rel=expected["tolerance"]["rel"])
    grey = expected["other_conventions"]["channels averaged before the FFT"]
    assert float(fourier_error(*images(name), grey=True)) == pytest.approx(grey, rel=expected["tolerance"]["rel"])


@pytest.mark.parametrize("name", CASES)
def test_jaccard(name: str) -> None:
    preds, target = (_grey(image) for image in images(name))
    expected = golden(name)["segmentation"]["iou_binary"]
    value = torch.nan if expected["value"] is None else expected["value"]
    assert float(jaccard(preds >= 128, target >= 128)) == pytest.approx(value, abs=1e-6, nan_ok=True)
    expected = golden(name)["segmentation"]["iou_3class"]
    labels = [(grey >= 85).long() + (grey >= 170) for grey in (preds, target)]
    each = [torch.nan if value is None else value for value in expected["per_class"]]
    assert jaccard(*labels, classes=3)[0].tolist() == pytest.approx(each, abs=1e-6, nan_ok=True)
    assert float(mean_jaccard(*labels, classes=3)) == pytest.approx(expected["mean"], abs=1e-6)


def _grey(image: Tensor) -> Tensor:
    """MATLAB's rgb2gray of whole levels, `(1, H, W)`."""
    levels = (image * 255).round()
    if levels.shape[1] == 1:
        return levels[:, 0]
    weights = torch.tensor([0.298936, 0.587043, 0.114021], dtype=levels.dtype)
    return torch.floor((levels * weights[:, None, None]).sum(dim=1) + 0.5)
