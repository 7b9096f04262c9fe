"""Every loss of the configuration composes, is built and compares images; terms can be added to any of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException

from medrestore.config import CONF_DIR, build, compose
from medrestore.errors import MedrestoreError
from medrestore.losses import FeatureLoss, FourierLoss, Smoothness, WeightedSum
from medrestore.networks import VGG19Features
from medrestore.run_directory import resolved

OPTIONS = sorted(path.stem for path in (CONF_DIR / "loss").glob("*.yaml"))
TERMS = sorted(path.stem for path in (CONF_DIR / "loss" / "term").glob("*.yaml"))


def loss(*overrides: str) -> WeightedSum:
    config = resolved(compose("train", ["experiment=cervix_deblur", "feature_weights=random", *overrides]))
    return build(config.model).content


def values(terms: WeightedSum) -> dict[str, Any]:
    restored, target = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    total, found = terms(restored, target, torch.ones(1, 1, 32, 32))
    expected = sum(float(terms.weight(name)) * value for name, value in found.items())
    assert float(total) == pytest.approx(float(expected), rel=1e-5) and all(value > 0 for value in found.values())
    return found


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_built(option: str) -> None:
    assert values(loss(f"loss={option}"))


@pytest.mark.parametrize("option", ["l1", "scaled_perceptual"])
@pytest.mark.parametrize("term", TERMS)
def test_every_term_goes_beside_any_option(option: str, term: str) -> None:
    alone, added = loss(f"loss={option}"), loss(f"loss={option}", f"+loss/term@loss.{term}={term}")
    assert values(added).keys() == {*values(alone), term}


def test_scaled_perceptual_is_the_papers() -> None:
    """S4: 2nd, 4th, 8th and 12th convolution of VGG19, each the last before a pooling; mean over them as in code."""
    term = loss("loss=scaled_perceptual").terms["feature"]
    assert isinstance(term, FeatureLoss) and isinstance(term.features, VGG19Features)
    convolutions = [step for step in _convolutions() if step in term.features.layers]
    assert convolutions == list(term.features.layers) == ["conv1_2", "conv2_2", "conv3_4", "conv4_4"]
    assert [_convolutions().index(layer) + 1 for layer in term.features.layers] == [2, 4, 8, 12]
    images, target = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = zip(term.features(images), term.features(target), strict=True)
    torch.testing.assert_close(term(images, target), torch.stack([(a - b).square().mean() for a, b in maps]).mean())
    assert all((layer < 0).any() for layer in term.features(images))  # before the ReLU


def test_smoothness_stands_outside_the_feature_losses_weight() -> None:
    for option in ("feature_smooth", "scaled_smooth"):
        terms = loss(f"loss={option}", "loss.smoothness.term.edge_gain=3")
        assert terms.weights == {"feature": 100.0, "smoothness": 0.1}
        added = terms.terms["smoothness"]
        assert isinstance(added, Smoothness) and added.edge_gain == 3


def test_fourier_option_is_the_distance_of_the_metric() -> None:
    term = loss("loss=l1_fourier").terms["fourier"]
    assert isinstance(term, FourierLoss) and (term.distance, term.of) == ("l2", "magnitude")


def test_weight_auto_is_a_value_of_the_configuration() -> None:
    terms = loss("loss=feature_l1", "loss.feature.weight=auto", "+loss.feature.auto_steps=3")
    assert terms.auto["feature"].auto_steps == 3 and float(terms.weight("feature")) == 100.0
    with pytest.raises((MedrestoreError, InstantiationException), match="needs weight and term"):
        loss("loss=feature_l1", "+loss.feature.auto_step=3")


def _convolutions() -> list[str]:
    return [f"conv{block}_{n + 1}" for block, count in enumerate((2, 2, 4, 4, 4), start=1) for n in range(count)]
