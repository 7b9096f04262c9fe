from __future__ import annotations

import hashlib
import io
import json
import math
import os

import pytest

from medrestore.errors import MedrestoreError
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.evaluation.tables import (
    conditions_hash,
    markdown_table,
    print_table,
    read_conditions,
    read_scores,
    read_summary,
    save_text,
    verdict,
    write_conditions,
    write_scores,
    write_summary,
)

KINDS = {
    **{"identity": "reference", "unsharp": "classical", "wiener": "classical"},
    **{"wiener_oracle": "oracle", "restored": "learned"},
}
ROWS = [
    Summary("identity", "reference", "psnr", 28.291, 2.756, 27.804, 28.777, 32, 0, None, None),
    Summary("identity", "reference", "ssim", 0.91234, 0.04, 0.9, 0.92, 32, 0, None, None),
    Summary("restored", "learned", "psnr", 33.124, 2.5, 32.801, 33.443, 31, 1, 4.833, 0.00002),
    Summary("restored", "learned", "ssim", 0.95678, 0.03, 0.95, 0.96, 32, 0, 0.04444, 0.0312),
]


def test_scores_come_back_exactly(tmp_path):
    scores = [
        Score("identity", "0123456789ab", "patient, 1", "psnr", 0.1 + 0.2),
        Score("identity", "0123456789ab", 'with "quotes"', "ssim", math.inf),
        Score("restored", "ba9876543210", "ünï", "psnr", -1e-17),
    ]
    path = write_scores(tmp_path / "deep" / "scores.csv", scores)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "method,key,group,metric,value"
    assert read_scores(path) == scores
    assert math.isnan(read_scores(write_scores(path, [Score("a", "b", "c", "d", math.nan)]))[0].value)


def test_summary_comes_back_exactly(tmp_path):
    path = write_summary(tmp_path / "summary.csv", ROWS)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "method,kind,metric,mean,sd,low,high,n,n_left_out,difference,p_value"
    assert lines[1] == "identity,reference,psnr,28.291,2.756,27.804,28.777,32,0,,"
    assert read_summary(path) == ROWS


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(MedrestoreError, match="There is no table"):
        read_scores(tmp_path / "scores.csv")
    path = save_text(tmp_path / "scores.csv", "method,key,group,metric\n")
    with pytest.raises(MedrestoreError, match=r"lacks the columns \['value'\]"):
        read_scores(path)
    save_text(path, "method,key,group,metric,value\na,b,c,d,1.5\na,e,c,d,1;5\n")
    with pytest.raises(MedrestoreError, match="line 3: '1;5' is not a number"):
        read_scores(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_text(tmp_path / "summary.csv", "old")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_conditions_hash_is_that_of_canonical_json(tmp_path):
    canonical = b'{"keys":["a","b"],"window":null}'
    assert conditions_hash({"window": None, "keys": ["a", "b"]}) == hashlib.sha256(canonical).hexdigest()
    path = tmp_path / "conditions.json"
    digest = write_conditions(path, {"window": None, "keys": ["a", "b"]})
    assert digest == hashlib.sha256(canonical).hexdigest()
    conditions = read_conditions(path)
    assert conditions == {"window": None, "keys": ["a", "b"], "hash": digest}
    assert conditions_hash(conditions) == digest  # its own hash is no condition
    assert conditions_hash({"window": None, "keys": ["b", "a"]}) != digest


def test_changed_conditions_are_refused(tmp_path):
    path = tmp_path / "conditions.json"
    write_conditions(path, {"keys": ["a"], "metric": {"peak": 1.0}})
    content = json.loads(path.read_text())
    content["metric"]["peak"] = 255.0
    path.write_text(json.dumps(content))
    with pytest.raises(MedrestoreError, match="does not match its own hash"):
        read_conditions(path)
    path.write_text("{")
    with pytest.raises(MedrestoreError, match="cannot be read as JSON"):
        read_conditions(path)
    with pytest.raises(MedrestoreError, match="evaluate the run first"):
        read_conditions(tmp_path / "none.json")


def _printed(summaries, footnotes=()):
    file = io.StringIO()
    print_table(summaries, "cervix_deblur, test split", footnotes, file=file)
    return file.getvalue()


def test_printed_table_is_plain_and_complete():
    text = _printed(ROWS, ["LPIPS: random backbone [not comparable]"])
    lines = text.splitlines()
    assert "\x1b" not in text
    assert max(map(len, lines)) <= 120
    assert any("28.29 ± 2.76 [27.80, 28.78]" in line and "0.9123 ± 0.0400 [0.9000, 0.9200]" in line for line in lines)
    assert any("learned" in line and "+4.83, p < 0.001" in line and "+0.0444, p = 0.031" in line for line in lines)
    assert sum(line.count("reference row") for line in lines) >= 2
    assert "PSNR (dB) ↑" in text
    assert "restored: 1 infinite or missing psnr left out." in text
    assert "LPIPS: random backbone [not comparable]" in text


def test_what_does_not_fit_goes_below():
    metrics = ["psnr", "ssim", "lpips", "niqe", "brisque", "vessels/dice", "vessels/precision"]
    rows = [
        Summary(method, "learned", metric, 31.1, 2.2, 30.0, 32.0, 40, 0, -1.1, 0.04)
        for method in ("restored", "a_baseline_with_a_long_name")
        for metric in metrics
    ]
    text = _printed(rows)
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("31.10 ± 2.20 [30.00, 32.00]") == 14
    assert text.count("-1.10, p = 0.040") == 14
    assert "LPIPS ↓" in text


def test_names_are_never_markup():
    rows = [Summary("[red]x[/red]", "learned", "psnr", 1.0, None, None, None, 1, 0, None, None)]
    text = _printed(rows)
    assert "[red]x[/red]" in text
    assert "fewer than 5 groups" in text


def test_markdown_table():
    text = markdown_table([*ROWS, Summary("a|b", "learned", "psnr", None, None, None, None, 0, 4, None, None)])
    lines = text.splitlines()
    assert lines[0] == "| method | kind | PSNR (dB) ↑ | SSIM ↑ |"
    assert lines[1] == "| --- | --- | --- | --- |"
    assert lines[3].startswith("| restored | learned | 33.12 ± 2.50 [32.80, 33.44], +4.83, p < 0.001 | 0.9568 ")
    assert lines[4] == "| a\\|b | learned | not available |  |"


def _verdict(means, *, groups=12, metric="psnr", wobble=0.1, rival=None):
    """A verdict on images whose methods differ by constants, up to a small wobble of the trained row."""
    scores = []
    for index in range(groups):
        for method, mean in means.items():
            value = mean + 0.01 * index + (wobble * (-1) ** index if method == "restored" else 0.0)
            scores.append(Score(method, f"k{index}", f"g{index}", metric, value))
    return verdict(summarise(scores, KINDS, "identity"), scores, reference="identity", metric=metric, rival=rival)


def test_verdict_better():
    first, second, third = _verdict({"identity": 30.0, "unsharp": 32.0, "wiener_oracle": 36.0, "restored": 33.0})
    assert first.startswith("'restored' is better than the reference row 'identity' by 3.00 dB (PSNR 33.05 dB against")
    assert "The data support the difference (p < 0.001, 95 % interval of the difference 2." in first
    assert "better than the best classical row 'unsharp' by 1.00 dB" in second
    assert third == "Not compared with 'wiener_oracle' (36.05 dB): an oracle is given the true blur."


def test_verdict_is_blunt_when_worse():
    first, second = _verdict({"identity": 30.0, "unsharp": 32.0, "restored": 29.0})
    assert "'restored' is WORSE than the reference row 'identity' by 1.00 dB" in first
    assert "Do not use this model: leaving the images as they are does better." in first
    assert "WORSE than the best classical row 'unsharp' by 3.00 dB" in second
    assert "a method that learns nothing does better" in second
    first, second = _verdict({"identity": 30.0, "unsharp": 32.0, "restored": 31.0})
    assert "better than" in first and "WORSE" not in first
    assert "WORSE than the best classical row" in second


def test_verdict_says_when_nothing_is_shown():
    first, second = _verdict({"identity": 30.0, "restored": 30.01}, wobble=2.0)
    assert "better than" in first
    assert "The data do not support a difference (p = " in first
    assert second == "There is no classical row to compare with."
    (first, _) = _verdict({"identity": 30.0, "restored": 33.0}, groups=5)
    assert "do not support a difference (p = 0.062" in first and "with 5 groups p cannot fall below 0.062" in first


def test_verdict_against_the_row_that_validation_chose():
    rows = {"identity": 30.0, "unsharp": 32.0, "wiener": 31.0, "restored": 33.0}
    first, second = _verdict(rows, rival="wiener")
    assert "better than the reference row 'identity' by 3.00 dB" in first
    assert "better than the row 'wiener', the best on validation, by 2.00 dB" in second
    (only,) = _verdict(rows, rival="identity")
    assert "better than the reference row 'identity', the best on validation, by 3.00 dB" in only


def test_verdict_with_too_few_groups():
    lines = _verdict({"identity": 30.0, "unsharp": 32.0, "restored": 33.0}, groups=4)
    assert "support" not in lines[0]
    assert lines[-1].startswith("Fewer than 5 groups (patients or scenes): no interval and no test.")


def test_verdict_knows_which_way_is_better():
    first, second = _verdict({"identity": 0.5, "unsharp": 0.4, "restored": 0.3}, metric="lpips", wobble=0.01)
    assert "better than the reference row 'identity' by 0.2000 (LPIPS 0.3550 against 0.5550)" in first
    assert "better than the best classical row 'unsharp'" in second
    assert "WORSE" in _verdict({"identity": 0.2, "restored": 0.3}, metric="lpips", wobble=0.01)[0]


def test_no_verdict_without_truth():
    assert _verdict({"identity": math.inf, "restored": 3.0}) == [
        "No verdict: there is no PSNR of 'identity' on these images (no truth to compare with?)."
    ]
