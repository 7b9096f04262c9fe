"""From a collection's own words to normal and abnormal tissue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from medrestore.errors import MedrestoreError

Tissue = Literal["normal", "abnormal"]
_RULE = re.compile(r"\s*([a-z_]+)\s*(>=|<)\s*(\d+(?:\.\d+)?)\s*")
_GRADED = re.compile(r"([a-z_]+)\s*[=_: -]?\s*(\d+(?:\.\d+)?)\s*\+?")


def tissue_of(label: str, labels: Mapping[str, str]) -> Tissue | None:
    """Say whether a label means normal or abnormal tissue.

    A label may be several words separated by `;`, `,` or `/` ("malignant;melanoma"): those that are known decide. A
    word is looked up as it is, without regard to capitals; a word with a number ("CIN2+", "swede=7") is also held
    against the rules of its name.

    Args:
        label: the label of an image, "" where there is none.
        labels: words, such as {"melanoma": "abnormal"}, and rules, such as {"swede>=5": "abnormal"}.

    Returns:
        `normal` or `abnormal`; None for an image without a label.

    Raises:
        MedrestoreError: no word is known, the words contradict each other, or `labels` maps to something else.
    """
    if not label.strip():
        return None
    known: dict[str, Tissue] = {str(word).strip().lower(): _checked(word, meaning) for word, meaning in labels.items()}
    words = [label, *re.split(r"[;,/]", label)]
    found: set[Tissue] = {meaning for word in words if (meaning := _meaning(word.strip().lower(), known)) is not None}
    if len(found) == 1:
        return found.pop()
    what = "both normal and abnormal" if found else "neither normal nor abnormal"
    raise MedrestoreError(
        f"the label {label!r} is {what} to the judge, which knows {', '.join(labels)}; "
        f"type '+model.labels={{{label}: normal}}' or abnormal when it is trained"
    )


def _meaning(word: str, known: Mapping[str, Tissue]) -> Tissue | None:
    if word in known:
        return known[word]
    graded = _GRADED.fullmatch(word)
    if graded is None:
        return None
    value = float(graded[2])
    for rule, meaning in known.items():
        parts = _RULE.fullmatch(rule)
        if parts is not None and parts[1] == graded[1] and (value >= float(parts[3])) == (parts[2] == ">="):
            return meaning
    return None


def _checked(word: str, meaning: str) -> Tissue:
    if meaning == "normal":
        return "normal"
    if meaning == "abnormal":
        return "abnormal"
    raise MedrestoreError(f"model.labels maps {word!r} to {meaning!r}; type normal or abnormal")
