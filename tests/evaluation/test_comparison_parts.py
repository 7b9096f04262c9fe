"""A comparison by severity, by colour, and in pictures of the regions where each model is worst."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from finished_runs import configured
from judged_runs import judged_run
from PIL import Image
from torch import Tensor

from medrestore.evaluation.comparison import Variant
from medrestore.evaluation.comparison_files import write_comparison
from medrestore.evaluation.comparison_regions import worst_regions
from medrestore.evaluation.comparison_runs import JudgedRun
from medrestore.evaluation.comparison_sections import compare_runs
from medrestore.evaluation.statistics import Score, Summary
from medrestore.evaluation.tables import heading, read_summary, write_scores, write_summary
from medrestore.run import make_data

PARTS = ("weak", "middle", "strong")


def sweep(folder: Path) -> list[str]:
    """Two models of two seeds, with scores by severity and colour differences."""
    for name, gain in (("feature_cycle", 1.0), ("no_identity", 0.5)):
        for seed in (0, 1):
            values = {
                "identity": {"psnr": [20.0] * 6, "no_reference/ciede2000_synthetic": [8.0] * 6},
                "restored": {
                    "psnr": [20.0 + gain + 0.1 * seed] * 6,
                    "no_reference/ciede2000_synthetic": [7.0 - gain + seed] * 6,
                },
            }
            about = {"experiment": "retina_enhance", "budget": "quick", "paper": None, "variant": name}
            run = judged_run(folder / f"{name}-{seed}", values, seed, {"about": about, "model.critic_steps": len(name)})
            path = run / "evaluation" / "summary.csv"
            rows = read_summary(path)
            for number, part in enumerate(PARTS):
                for method, kind, mean in (
                    ("identity", "reference", 25.0),
                    ("restored", "learned", 25.0 + gain + seed),
                ):
                    metric = f"severity/synthetic/{part}/psnr"
                    rows.append(Summary(method, kind, metric, mean - number, None, None, None, 2, 0, None, None))
            write_summary(path, rows)
    return [str(folder)]


def test_the_table_is_split_by_severity_and_colours_have_a_section_of_their_own(tmp_path: Path) -> None:
    comparison = compare_runs(sweep(tmp_path))
    sections = {section.title: section for section in comparison.sections}
    (table,) = sections["By severity: images with a synthetic degradation"].tables
    assert table.caption == "PSNR (dB) ↑" and table.header == ["row", *PARTS]
    assert table.rows == [
        ["identity", "25.00", "24.00", "23.00"],
        ["feature_cycle", "26.50 ± 0.71", "25.50 ± 0.71", "24.50 ± 0.71"],
        ["no_identity", "26.00 ± 0.71", "25.00 ± 0.71", "24.00 ± 0.71"],
    ]
    (colours,) = sections["Colour difference"].tables
    assert colours.rows == [["identity", "8.00"], ["feature_cycle", "6.50 ± 0.71"], ["no_identity", "7.00 ± 0.71"]]
    (scores,) = comparison.sections[0].tables
    assert scores.header == ["row", "kind", "seeds", "PSNR (dB) ↑"]
    told = {difference.metric for difference in comparison.differences}
    assert told == {"psnr", "no_reference/ciede2000_synthetic"}  # parts are not tested one by one
    only = compare_runs([str(tmp_path)], metrics=["no_reference/ciede2000_synthetic"])
    assert not [section for section in only.sections if section.title.startswith(("By severity", "Colour"))]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("vessels/dice", "vessels: Dice ↑"),
        ("vessels/frangi_broken", "vessels, Frangi: broken ↓"),
        ("vessels/matched_auc", "vessels, matched filter: AUC ↑"),
        ("psnr", "PSNR (dB) ↑"),
    ],
)
def test_headings(metric: str, said: str) -> None:
    assert heading(metric) == said


class Painter:
    """A model that paints a white square; everything else stays."""

    kind, needs_kernel, scale = "learned", False, 1
    square = slice(32, 96), slice(100, 164)

    def __init__(self, name: str) -> None:
        self.name = name

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        painted = degraded.clone()
        painted[:, :, self.square[0], self.square[1]] = 1
        return painted


def test_each_model_is_shown_on_its_worst_image_with_the_worst_square(tmp_path: Path) -> None:
    small = ["dataset.patients=6", "dataset.images_per_patient=1", "dataset.size=192", "dataset.natural_patients=0"]
    data = make_data(configured("cervix_deblur", *small), None)
    keys = [item.key for item in data.items("all")]
    data.split = dict.fromkeys(keys, "test")
    variants = []
    for worst, name in ((keys[1], "one"), (keys[4], "two")):
        scores = [Score("identity", key, "g", "psnr", 20.0 + number) for number, key in enumerate(keys)]
        scores += [Score("restored", s.key, "g", "psnr", s.value - 3.0 * (s.key == worst)) for s in scores]
        scores += [Score("restored", "gone", "g", "no_reference/ciede2000_input", 9.0)]
        write_scores(tmp_path / name / "evaluation" / "scores.csv", scores)
        variants.append(Variant(name, {0: JudgedRun(tmp_path / name, {}, {}, [])}))
    section = worst_regions(variants, [Painter("one"), Painter("two")], data)  # type: ignore[list-item]
    assert len(section.pictures) == 2
    for (drawn, _, caption), name, key in zip(section.pictures, ("one", "two"), (keys[1], keys[4]), strict=True):
        case = data.case(next(item for item in data.items("all") if item.key == key))
        assert case.target is not None
        growth = ((1 - case.target) - (case.degraded - case.target).abs())[:, *Painter.square].mean()
        assert caption.startswith(f"'{name}', image {key}: it changes PSNR by -3.00 dB, its lowest; ")
        assert f"{255 * float(growth):+.1f} of 255" in caption
        with Image.open(io.BytesIO(drawn)) as picture:
            assert picture.format == "PNG" and picture.width > 4 * 190  # identity, both models, target
    comparison = compare_runs(sweep(tmp_path / "sweep"))
    write_comparison(tmp_path / "out", replace(comparison, sections=[*comparison.sections, section]))
    text = (tmp_path / "out/comparison.md").read_text()
    for number, (drawn, _, _) in enumerate(section.pictures, 1):
        assert f"](pictures/{number}.png)" in text and (tmp_path / f"out/pictures/{number}.png").read_bytes() == drawn
    data.split = {}
    nothing = worst_regions(variants, [Painter("one"), Painter("two")], data)  # type: ignore[list-item]
    assert nothing.pictures == () and nothing.lines[0].startswith("not available")
