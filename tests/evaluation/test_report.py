from __future__ import annotations

import base64
import os
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from skimage import data as photographs

from medrestore.evaluation.figures import central_box, maps, picture, strip
from medrestore.evaluation.report import CaseView, Departure, Picture, Report, SplitCount, write_report
from medrestore.evaluation.statistics import Summary

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
ROWS = [
    Summary("identity", "reference", "psnr", 28.291, 2.756, 27.804, 28.777, 32, 0, None, None),
    Summary("restored", "learned", "psnr", 33.124, 2.5, 32.801, 33.443, 31, 1, 4.833, 0.00002),
    Summary("identity", "reference", "lpips", 0.2, 0.1, None, None, 32, 0, None, None),
]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Keeps tags with their attributes and the text; fails on a tag that is closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f"{data} "


def _read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@cache
def _report() -> Report:
    image = torch.rand((1, 24, 24), generator=torch.Generator().manual_seed(0))
    shown = Picture(picture(image), "restored image", "restored")
    case = CaseView(
        rank="worst",
        key="0123456789ab",
        reason="PSNR 27.10 dB, -0.40 dB to identity",
        description=[("kernel", "box 5 x 3"), ("file", HOSTILE)],
        pictures=[shown],
        strip=Picture(strip({"restored": image}, [central_box(image, 8)], {}), "all methods"),
        maps=Picture(maps({"restored": image}, {"restored": image}), "error and SSIM maps"),
    )
    return Report(
        title="cervix_deblur: test split",
        created="2026-01-31 10:22",
        version="0.1.0",
        command="python -m medrestore.evaluate run='outputs/a & b'",
        verdict=["'restored' is WORSE than the reference row 'identity'."],
        summaries=ROWS,
        footnotes=["LPIPS: random backbone"],
        scores=[shown],
        cases=[case],
        curves=[shown],
        kernels=[shown],
        dataset="cervix_phantom, generated",
        splits=[SplitCount("train", 96, 32), SplitCount("test", 40, 20)],
        left_out=[(f"{HOSTILE}.jpg", "truncated")],
        data_notes=["12 iodine images left out"],
        recipe="cervix_deblur/paper",
        departures=[Departure("epochs", "12", "300")],
        weights="VGG19 with random weights",
        config="model:\n  critic_steps: 5  # <b>\n",
    )


def test_report_shows_everything(tmp_path):
    content = _report()
    path = write_report(tmp_path / "evaluation" / "report.html", content)
    assert path == tmp_path / "evaluation" / "report.html"
    text = " ".join(_read(path).text.split())
    for part in (
        content.title,
        "Not for diagnosis: research use only.",
        *content.verdict,
        "28.29 ± 2.76 [27.80, 28.78]",
        "33.12 ± 2.50 [32.80, 33.44]",
        "+4.83, p < 0.001",
        "0.2000 ± 0.1000",
        "restored: 1 infinite or missing psnr left out.",
        *content.footnotes,
        "Worst: PSNR 27.10 dB, -0.40 dB to identity",
        "0123456789ab",
        "box 5 x 3",
        "train 96 32",
        *content.data_notes,
        "epochs 12 300",
        content.weights,
        "critic_steps: 5",
        content.command,
        content.created,
        "medrestore 0.1.0",
    ):
        assert part in text, part
    assert text.index("Not for diagnosis") < text.index("WORSE")  # the warning stands above all results


def test_nothing_is_fetched_and_nothing_runs(tmp_path):
    path = write_report(tmp_path / "report.html", _report())
    html = path.read_text(encoding="utf-8")
    assert "http://" not in html and "https://" not in html and "url(" not in html and "@import" not in html
    tags = _read(path).tags
    assert {"script", "link", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in tags)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 6
    for attributes in images:
        assert attributes["alt"]
        kind, encoded = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", attributes["src"] or "").groups()
        data = base64.b64decode(encoded, validate=True)
        assert data.startswith(b"\x89PNG" if kind == "png" else b"\xff\xd8")
    (policy,) = (a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize("field", ["title", "created", "version", "command", "dataset", "weights", "config", "recipe"])
def test_text_is_escaped(tmp_path, field):
    content = replace(_report(), **{field: HOSTILE})
    path = write_report(tmp_path / "report.html", content)
    assert "<script" not in path.read_text(encoding="utf-8").lower()
    assert "onerror" not in {name for _, attributes in _read(path).tags for name in attributes}
    assert HOSTILE in _read(path).text


def test_lists_are_escaped(tmp_path):
    hostile = Picture(picture(torch.zeros(1, 4, 4)), f'"{HOSTILE}', HOSTILE)
    rows = [Summary(HOSTILE, "learned", HOSTILE, 1.0, None, None, None, 1, 1, None, None)]
    content = replace(
        _report(),
        verdict=[HOSTILE],
        summaries=rows,
        footnotes=[HOSTILE],
        curves=[hostile],
        splits=[SplitCount(HOSTILE, 1, 1)],
        data_notes=[HOSTILE],
        departures=[Departure(HOSTILE, HOSTILE, HOSTILE)],
    )
    path = write_report(tmp_path / "report.html", content)
    reader = _read(path)
    assert "<script" not in path.read_text(encoding="utf-8").lower()
    assert "onerror" not in {name for _, attributes in reader.tags for name in attributes}
    assert any(attributes.get("alt") == f'"{HOSTILE}' for _, attributes in reader.tags)


def test_a_file_name_that_is_no_unicode_does_not_stop_the_report(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    path = write_report(tmp_path / "report.html", replace(_report(), left_out=[(name, "truncated")]))
    assert "caf\\udce9.jpg" in _read(path).text


def test_long_lists_of_files_are_cut(tmp_path):
    files = [(f"file_{i:04d}.png", "zero size") for i in range(1000)]
    text = _read(write_report(tmp_path / "report.html", replace(_report(), left_out=files))).text
    assert "the first 50, 950 more are not shown" in text
    assert "file_0049.png" in text and "file_0050.png" not in text


def test_tables_and_headings_are_semantic(tmp_path):
    tags = _read(write_report(tmp_path / "report.html", _report())).tags
    names = [tag for tag, _ in tags]
    assert names.count("h1") == 1 and names.count("main") == 1
    assert names.count("table") == names.count("caption") == 4
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
    assert ("html", {"lang": "en"}) in tags


def test_many_metrics_are_split_into_tables(tmp_path):
    rows = [Summary("restored", "learned", f"m{i}", 1.0, None, None, None, 9, 0, None, None) for i in range(9)]
    text = _read(write_report(tmp_path / "report.html", replace(_report(), summaries=rows))).text
    assert "part 3 of 3" in text and "m8 ↑" in text


def test_an_almost_empty_report_stands(tmp_path):
    reader = _read(write_report(tmp_path / "report.html", Report("title", "now", "0.1.0", "command")))
    assert {"table", "img", "details"}.isdisjoint(tag for tag, _ in reader.tags)
    same = _read(write_report(tmp_path / "same.html", Report("t", "now", "0.1.0", "c", recipe="ct_deblur/paper")))
    assert "Every setting is that of the paper's recipe (ct_deblur/paper)." in same.text


def test_photographs_stay_below_eight_megabytes(tmp_path):
    image = torch.from_numpy(photographs.astronaut()).permute(2, 0, 1).float() / 255
    names = ["identity", "unsharp", "wiener", "richardson_lucy", "wiener_oracle", "pretrained", "restored", "target"]
    strips = strip(dict.fromkeys(names, image), [central_box(image, 48), central_box(image, 52)], {})
    drawn = maps({"identity": image, "restored": image}, {"identity": image, "restored": image})
    shown = [Picture(picture(image), name) for name in ("degraded", "restored", "target")]
    cases = [
        CaseView(rank, "0123456789ab", "", [], shown, Picture(strips, "strip"), Picture(drawn, "maps"))
        for rank in ("worst", "median", "best")
    ]
    path = write_report(tmp_path / "report.html", replace(_report(), cases=cases))
    assert 0.5e6 < path.stat().st_size < 8e6
