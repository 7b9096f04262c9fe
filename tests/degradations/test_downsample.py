from typing import Literal, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from medrestore.degradations import Downsample, Sensor
from medrestore.degradations.downsample import Kind
from medrestore.errors import MedrestoreError

KINDS = get_args(Kind)


def shrink(image: torch.Tensor, scale: int, kind: Kind) -> torch.Tensor:
    operator = Downsample(scale, kind)
    return operator.apply(image, operator.sample(torch.Generator().manual_seed(0)))


def random_image(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


@pytest.mark.parametrize("kind", ["bicubic", "bilinear"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_inside_equals_pillow(kind: Literal["bicubic", "bilinear"], scale: int) -> None:
    image = random_image(1, 48, 60).float()
    resample = Image.Resampling.BICUBIC if kind == "bicubic" else Image.Resampling.BILINEAR
    expected = Image.fromarray(image[0].numpy()).resize((60 // scale, 48 // scale), resample)
    found = shrink(image, scale, kind)
    assert found.shape == (1, 48 // scale, 60 // scale)
    assert found[0, 2:-2, 2:-2].numpy() == pytest.approx(np.asarray(expected)[2:-2, 2:-2], abs=1e-5)


def test_area_is_the_mean_of_blocks() -> None:
    image = random_image(3, 12, 18)
    expected = image.numpy().reshape(3, 4, 3, 6, 3).mean(axis=(2, 4))
    assert shrink(image, 3, "area").numpy() == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_constants_and_ramps_keep_their_place(kind: Kind, scale: int) -> None:
    constant = torch.full((2, 24, 36), -500.0, dtype=torch.float64)
    assert shrink(constant, scale, kind).numpy() == pytest.approx(np.full((2, 24 // scale, 36 // scale), -500.0))
    ramp = torch.arange(72, dtype=torch.float64).expand(1, 72, 72)
    centres = np.arange(72 // scale) * scale + (scale - 1) / 2
    found = shrink(ramp, scale, kind)[0, 10].numpy()
    assert found[4:-4] == pytest.approx(centres[4:-4], abs=1e-9)
    found = shrink(ramp.transpose(1, 2), scale, kind)[0, :, 10].numpy()
    assert found[4:-4] == pytest.approx(centres[4:-4], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_flips_commute(kind: Kind, scale: int) -> None:
    image = random_image(1, 24, 36)
    for dim in (-1, -2):
        assert torch.allclose(shrink(image.flip(dim), scale, kind), shrink(image, scale, kind).flip(dim), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_crop_with_margin_equals_the_whole_image(kind: Kind, scale: int) -> None:
    image, margin = random_image(1, 96, 96), Downsample(scale, kind).margin
    assert margin % scale == 0
    crop = shrink(image[:, 48 - margin : 72 + margin, 36 - margin : 60 + margin], scale, kind)
    trim = margin // scale
    crop = crop[:, trim : crop.shape[1] - trim, trim : crop.shape[2] - trim]
    whole = shrink(image, scale, kind)[:, 48 // scale : 72 // scale, 36 // scale : 60 // scale]
    assert torch.allclose(crop, whole, atol=1e-12, rtol=0)


def test_fine_stripes_do_not_alias() -> None:
    stripes = (torch.arange(96, dtype=torch.float64) % 2).expand(1, 96, 96)
    for kind in KINDS:
        inside = shrink(stripes, 4, kind)[0, 4:-4, 4:-4]
        assert float((inside - 0.5).abs().max()) < 0.02


def test_scale_one_is_identity_and_batches_work() -> None:
    image = random_image(2, 3, 8, 12)
    assert torch.equal(shrink(image, 1, "bicubic"), image)
    assert torch.equal(shrink(image, 2, "gaussian")[1], shrink(image[1], 2, "gaussian"))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(MedrestoreError, match="scale"):
        Downsample(0)
    with pytest.raises(MedrestoreError, match="kind"):
        Downsample(2, "nearest")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MedrestoreError, match="9 x 8 does not divide by scale=2"):
        shrink(random_image(1, 9, 8), 2, "area")


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (
            Downsample(4),
            "x4, bicubic (a = -0.5) stretched by 4, which antialiases, pixel centres as align_corners=False, borders "
            "mirrored about the edge pixel, no noise or rounding",
        ),
        (
            Downsample(2, "area", Sensor(gaussian=0.01, bits=8)),
            "x2, mean of blocks of 2 x 2 pixels, which antialiases, pixel centres as align_corners=False, no borders, "
            "then noise of 0.01, rounding to 8 bits",
        ),
        (
            Downsample(3, "gaussian"),
            "x3, Gaussian of sigma 1.2 px against aliasing, then decimation, pixel centres as align_corners=False, "
            "borders mirrored about the edge pixel, no noise or rounding",
        ),
    ],
    ids=["bicubic", "area", "gaussian"],
)
def test_a_table_can_say_how_images_were_shrunk(operator: Downsample, said: str) -> None:
    assert operator.convention == said
