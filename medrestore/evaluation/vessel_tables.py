"""The tables of the vessel study."""

from __future__ import annotations

from collections.abc import Sequence

from medrestore.evaluation.assessment import Table
from medrestore.evaluation.statistics import Summary, p_text
from medrestore.evaluation.vessel_scores import METRICS

_NAMES = {"auc": "AUC", "cldice": "clDice", "dice": "Dice"}
_NONE = "not available"


def score_table(summaries: Sequence[Summary], prefix: str, title: str) -> Table:
    """One line a row: every score of `METRICS` with its interval, and the difference of Dice to the reference row.

    Args:
        summaries: of the scores of single images.
        prefix: of the metrics' names, such as `vessels/frangi_`.
        title: caption.
    """
    table = {(row.method, row.metric): row for row in summaries}
    body = []
    for method in dict.fromkeys(row.method for row in summaries if row.metric == f"{prefix}dice"):
        dice = table[method, f"{prefix}dice"]
        change = "" if dice.difference is None else f"{dice.difference:+.3f}"
        change += "" if dice.p_value is None else f", {p_text(dice.p_value)}"
        cells = [_value(table.get((method, f"{prefix}{metric}")), 3) for metric in METRICS]
        body.append([method, dice.kind, cells[0], change, *cells[1:], str(dice.n)])
    heads = [_NAMES.get(metric, metric) for metric in METRICS]
    heads.insert(1, "difference of Dice to the reference row")
    return Table(f"{title}: mean of the images, 95 % intervals over groups", ["row", "kind", *heads, "images"], body)


def tracking_table(summaries: Sequence[Summary], prefix: str, title: str) -> Table:
    """One line a row: share of the paths on their vessel, broken and invented segments an image."""
    table = {(row.method, row.metric): row for row in summaries}
    body = []
    for method in dict.fromkeys(row.method for row in summaries if row.metric == f"{prefix}followed"):
        cells = [
            _value(table.get((method, f"{prefix}{metric}")), digits)
            for metric, digits in (("followed", 3), ("broken", 1), ("invented", 1))
        ]
        body.append([method, table[method, f"{prefix}followed"].kind, *cells])
    heads = ["row", "kind", "share followed", "broken segments an image", "invented segments an image"]
    return Table(f"{title}: mean of the images, 95 % intervals over groups", heads, body)


def _value(row: Summary | None, digits: int) -> str:
    if row is None or row.mean is None:
        return _NONE
    bounds = "" if row.low is None or row.high is None else f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    left_out = f", {row.n_left_out} not defined" if row.n_left_out else ""
    return f"{row.mean:.{digits}f}{bounds}{left_out}"
