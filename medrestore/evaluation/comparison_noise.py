"""Whether a model differs from the base model by more than the noise of training, and on other images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Variant, image_comparison
from medrestore.evaluation.comparison_seeds import restored
from medrestore.evaluation.comparison_text import interval, plain_name
from medrestore.evaluation.seeds import SeedTest, holm, seed_test
from medrestore.evaluation.statistics import Comparison, p_text
from medrestore.evaluation.tables import UNITS, heading

_ALPHA = 0.05


class Difference(NamedTuple):
    """A variant against the base variant under one metric.

    `seeds` is over trainings, `p_holm` its p corrected for the number of variants; `images` is over test images, None
    for a metric of whole sets.
    """

    variant: str
    metric: str
    seeds: SeedTest
    p_holm: float | None
    images: Comparison | None


def differences(variants: Sequence[Variant], base: Variant, metrics: Sequence[str]) -> list[Difference]:
    """Every variant against the base variant under every metric that both have; p corrected within each metric."""
    values = {variant.name: restored(variant) for variant in variants}
    found = []
    for metric in metrics:
        others = [v for v in variants if v is not base and metric in values[v.name] and metric in values[base.name]]
        tests = [seed_test(values[v.name][metric], values[base.name][metric]) for v in others]
        corrected = holm([test.p_value for test in tests])
        for variant, test, p_holm in zip(others, tests, corrected, strict=True):
            found.append(Difference(variant.name, metric, test, p_holm, image_comparison(variant, base, metric)))
    return found


def noise_section(base: str, found: Sequence[Difference], many: bool) -> Section:
    """Each model against the base, in a table and in words.

    Args:
        base: name of the base variant.
        found: of `differences`.
        many: whether only what stands out is told, and the first metric of each model.
    """
    rows = []
    first = found[0].metric if found else ""
    for variant, metric, test, p_holm, images in found:
        if many and metric != first and not _clear(p_holm):
            continue
        places = 2 if metric in UNITS else 4
        rows.append(
            [
                variant,
                heading(metric),
                f"{test.difference:+.{places}f}",
                interval(test.low, test.high, places),
                f"{test.test}, {test.df:.3g} df" if test.df is not None else "one seed: no noise known",
                "" if p_holm is None else p_text(p_holm),
                "" if images is None else interval(images.low, images.high, places),
            ]
        )
    header = ["row", "metric", f"minus {base}", "95 % over seeds", "test", "p (Holm)", "95 % over images"]
    text = [
        f"Each model against '{base}'. Over seeds: would the difference be there again if both were trained again, on "
        "these images? p is corrected for the number of models (Holm). Over images: would it be there on other "
        "patients or scenes (bootstrap over groups; not available below five)? What does not stand out may be there "
        "all the same: the intervals say how large it may be."
    ]
    silent = 0
    for variant in dict.fromkeys(difference.variant for difference in found):
        ours = [d for d in found if d.variant == variant]
        if many and not any(_clear(d.p_holm) for d in ours):
            silent += 1
        else:
            text.append(_stands_out(variant, base, ours))
    if silent:
        text.append(f"Of {silent} other models no difference stands out, or one seed is all there is.")
    return Section("What stands out from the seeds' noise", text, [Table("", header, rows)])


def _stands_out(variant: str, base: str, found: Sequence[Difference]) -> str:
    tested = [d for d in found if d.p_holm is not None]
    if not tested:
        return f"'{variant}': one seed here or in '{base}': no noise known; train more with seed=0,1,2."
    clear = [f"{plain_name(d.metric)} {_signed(d)}" for d in tested if _clear(d.p_holm)]
    rest = [plain_name(d.metric) for d in tested if not _clear(d.p_holm)]
    if not clear:
        return f"'{variant}': no difference stands out from the seeds' noise."
    said = f"{', '.join(clear)} {'stands' if len(clear) == 1 else 'stand'} out from the seeds' noise"
    more = f"; {', '.join(rest)} {'does' if len(rest) == 1 else 'do'} not" if rest else ""
    return f"'{variant}': {said}{more}."


def _clear(p_value: float | None) -> bool:
    return p_value is not None and p_value < _ALPHA


def _signed(difference: Difference) -> str:
    places = 2 if difference.metric in UNITS else 4
    return f"{difference.seeds.difference:+.{places}f}{UNITS.get(difference.metric, '')}"
