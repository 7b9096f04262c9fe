import numpy as np
import pytest
import torch

from medrestore.degradations import Identity, Sensor
from medrestore.errors import MedrestoreError


def test_gaussian_noise_has_its_strength_and_no_bias() -> None:
    noise = Sensor(gaussian=20.0).apply(torch.full((1, 200, 200), -300.0), seed=1) + 300
    assert float(noise.mean()) == pytest.approx(0, abs=0.4)
    assert float(noise.std()) == pytest.approx(20, rel=0.02)


def test_shot_noise_grows_with_the_light() -> None:
    for level in (0.1, 0.8):
        seen = Sensor(poisson=1000).apply(torch.full((1, 200, 200), level), seed=1)
        assert float(seen.mean()) == pytest.approx(level, rel=0.01)
        assert float(seen.std()) == pytest.approx((level / 1000) ** 0.5, rel=0.02)
        counts = (seen * 1000).numpy()
        assert counts == pytest.approx(np.round(counts), abs=1e-3)


@pytest.mark.parametrize("bits", [8, 16])
def test_quantisation_rounds_to_levels(bits: int) -> None:
    image = torch.linspace(0, 1, 1001).view(1, 7, 143)
    found = Sensor(bits=bits).apply(image, seed=0)
    levels = found * (2**bits - 1)
    assert levels.numpy() == pytest.approx(np.round(levels.numpy()), abs=2e-3)
    assert float((found - image).abs().max()) <= 0.5 / (2**bits - 1) + 1e-6


def test_an_eight_bit_image_stays_and_ringing_is_clipped() -> None:
    levels = torch.arange(256).view(1, 16, 16) / 255
    assert torch.equal(Sensor(bits=8).apply(levels, seed=0), levels)
    assert Sensor(bits=8).apply(torch.tensor([[[-0.05, 1.05]]]), seed=0).tolist() == [[[0.0, 1.0]]]


def test_same_seed_same_noise_other_seed_other() -> None:
    sensor, image = Sensor(gaussian=0.1, poisson=100, bits=8), torch.full((3, 9, 9), 0.5)
    assert torch.equal(sensor.apply(image, seed=3), sensor.apply(image, seed=3))
    assert not torch.equal(sensor.apply(image, seed=3), sensor.apply(image, seed=4))


def test_default_sensor_and_identity_change_nothing() -> None:
    image = torch.rand(1, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Sensor().apply(image, seed=0), image)
    identity = Identity()
    parameters = identity.sample(torch.Generator().manual_seed(0))
    assert parameters.kernel is None and (identity.margin, identity.scale) == (0, 1)
    assert torch.equal(identity.apply(image, parameters), image)
    noisy = Identity(Sensor(gaussian=0.1))
    assert not torch.equal(noisy.apply(image, parameters), image)


@pytest.mark.parametrize("arguments", [{"gaussian": -1}, {"poisson": 0}, {"poisson": -5}, {"bits": 12}])
def test_wrong_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(MedrestoreError):
        Sensor(**arguments)


def test_images_that_do_not_fit_are_refused() -> None:
    hounsfield = torch.tensor([[[-1000.0, 50.0]]])
    with pytest.raises(MedrestoreError, match=r"bits needs values in \[0, 1\], found -1000 to 50"):
        Sensor(bits=8).apply(hounsfield, seed=0)
    with pytest.raises(MedrestoreError, match="shot noise needs values >= 0"):
        Sensor(poisson=100).apply(hounsfield, seed=0)
