"""A collection's words become normal and abnormal, or one clear line."""

from __future__ import annotations

import pytest

from medrestore.config import compose, plain
from medrestore.data.tissue_labels import tissue_of
from medrestore.errors import MedrestoreError


@pytest.fixture(scope="module")
def shipped() -> dict[str, str]:
    return plain(compose("train", ["model=lesion_detector"]).model.labels)


@pytest.mark.parametrize(
    ("label", "tissue"),
    [
        ("normal", "normal"), ("Abnormal", "abnormal"), ("CIN1", "normal"), ("CIN2+", "abnormal"),
        ("CIN 3", "abnormal"), ("cin-2", "abnormal"), ("swede=4", "normal"),
        ("swede=5", "abnormal"), ("swede=10", "abnormal"), ("benign;nevus", "normal"),
        ("malignant;melanoma", "abnormal"), ("HSIL/type 3", "abnormal"), ("", None),
    ],
)  # fmt: skip
def test_words_of_the_collections(shipped: dict[str, str], label: str, tissue: str | None) -> None:
    assert tissue_of(label, shipped) == tissue


def test_an_unknown_label_names_the_override(shipped: dict[str, str]) -> None:
    with pytest.raises(MedrestoreError, match=r"'Type_1' is neither normal nor abnormal.*labels=\{Type_1: normal\}"):
        tissue_of("Type_1", shipped)
    override = "+model.labels={Type_1: normal}"
    more = plain(compose("train", ["model=lesion_detector", override]).model.labels)
    assert more == {**shipped, "Type_1": "normal"} and tissue_of("type_1", more) == "normal"


def test_contradictions_and_wrong_meanings_are_refused(shipped: dict[str, str]) -> None:
    with pytest.raises(MedrestoreError, match="both normal and abnormal"):
        tissue_of("benign;melanoma", shipped)
    with pytest.raises(MedrestoreError, match="'bad'; type normal or abnormal"):
        tissue_of("x", {"x": "bad"})
