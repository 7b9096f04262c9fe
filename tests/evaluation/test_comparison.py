"""Comparing runs: what may stand in one table, what is one model, what stands out, what the papers say."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from judged_runs import CONFIG, judged_run, psnr_run
from omegaconf import OmegaConf
from scipy import stats

from medrestore.errors import MedrestoreError
from medrestore.evaluation import papers as papers_module
from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison import group, image_comparison, lines
from medrestore.evaluation.comparison_files import markdown, write_comparison
from medrestore.evaluation.comparison_runs import JudgedRun, agree, find_runs
from medrestore.evaluation.comparison_sections import RunComparison, compare_runs
from medrestore.evaluation.papers import paper, papers
from medrestore.evaluation.reach import Reach, time_to_reach
from medrestore.evaluation.seeds import holm, seed_test
from medrestore.evaluation.variants import differing, identity_of, names

_PAPERS = Path(__file__).parents[3] / "shared" / "papers"
_TEXTS = {
    "S1": "000_b3260b4a3acd80bd.txt",
    "S2": "001_cc0362a6e017d705.txt",
    "S3": "002_58ffce00bfe87239.txt",
    "S4": "003_20105972aea74c50.txt",
    "S5": "004_9de9a0689be339a6.txt",
}


def changed(**overrides: Any) -> dict[str, Any]:
    config = OmegaConf.create(CONFIG)
    for key, value in overrides.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True, merge=False)
    return OmegaConf.to_container(config)  # type: ignore[return-value]


# --- seeds -------------------------------------------------------------------


def test_same_seeds_are_a_paired_t_test() -> None:
    ours, theirs = {0: 25.1, 1: 25.9, 2: 25.4}, {2: 24.9, 0: 24.8, 1: 25.2}
    reference = stats.ttest_rel([25.1, 25.9, 25.4], [24.8, 25.2, 24.9])
    bounds = reference.confidence_interval(0.95)
    found = seed_test(ours, theirs)
    assert (found.test, found.df) == ("paired t", 2)
    assert found.difference == pytest.approx(0.5)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))


def test_other_seeds_are_welchs_t_test() -> None:
    ours, theirs = {0: 25.1, 1: 25.9, 2: 25.4}, {0: 24.8, 1: 24.85}
    reference = stats.ttest_ind(list(ours.values()), list(theirs.values()), equal_var=False)
    bounds = reference.confidence_interval(0.95)
    found = seed_test(ours, theirs)
    assert found.test == "Welch t" and found.df == pytest.approx(reference.df)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))


def test_one_seed_knows_no_noise_and_no_spread_needs_no_test() -> None:
    single = seed_test({0: 25.0}, {0: 24.0, 1: 24.1})
    assert single.difference == pytest.approx(0.95)
    assert (single.low, single.high, single.test, single.df, single.p_value) == (None, None, "", None, None)
    assert seed_test({0: 0.1, 1: 0.3}, {0: 0.1, 1: 0.3}).p_value == 1.0
    shifted = seed_test({0: 0.1 + 0.2, 1: 0.7 + 0.2}, {0: 0.1, 1: 0.7})
    assert shifted.p_value == 0.0 and shifted.low == shifted.high == pytest.approx(0.2)


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03, 0.005]) == pytest.approx([0.03, None, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None]) == [None]


# --- variants ----------------------------------------------------------------


def test_seed_paths_and_machine_make_no_other_model() -> None:
    other = changed(seed=3, dataset__root="/x", logger={"wandb": {"project": "p"}}, hardware__accelerator="gpu")
    assert identity_of(other) == identity_of(CONFIG)
    for key, value in {"epochs": 21, "hardware__precision": "bf16-mixed", "degradation__fixed": True}.items():
        assert identity_of(changed(**{key: value})) != identity_of(CONFIG)


def test_differing_settings_are_told_part_by_part() -> None:
    smooth = {"weight": 0.1, "term": {"_target_": "medrestore.losses.Smoothness", "edge_gain": 1.0}}
    configs = [
        CONFIG,
        changed(loss__smoothness=smooth),
        changed(loss__smoothness={**smooth, "weight": 0.2}, model__critic_steps=1),
        changed(model={"_target_": "medrestore.schemes.PairedRegression", "generator": {"width": 8}}),
    ]
    assert differing(configs) == {
        "loss.smoothness": ["none", "on", "on", "none"],
        "loss.smoothness.weight": ["none", "0.1", "0.2", "none"],
        "model": ["PairedWGAN", "PairedWGAN", "PairedWGAN", "PairedRegression"],
        "model.critic_steps": ["5", "5", "1", "none"],
    }
    assert differing([CONFIG, changed(seed=5)]) == {}


def test_names_come_from_the_sweep_the_experiment_or_the_settings() -> None:
    about = dict(CONFIG["about"])
    sweep = [changed(about={**about, "variant": name}) for name in ("base", "smoothness")]
    assert names(sweep) == ["base", "smoothness"]
    twice = [*sweep, changed(about={**about, "variant": "base"}, epochs=40)]
    assert names(twice) == ["base (epochs=20)", "smoothness", "base (epochs=40)"]
    experiments = [changed(about={**about, "experiment": name}) for name in ("ct_deblur", "ct_pix2pix")]
    assert names(experiments) == ["ct_deblur", "ct_pix2pix"]
    assert names([CONFIG]) == ["street_deblur"]
    assert names([CONFIG, changed(model__generator__width=16, epochs=30)]) == [
        "epochs=20, generator.width=8",
        "epochs=30, generator.width=16",
    ]
    many = [
        changed(epochs=e, pretrain_epochs=e, feature_weights=str(e), sampling__crop=96 + c) for e, c in ((1, 0), (2, 4))
    ]
    many.append(changed(epochs=1, pretrain_epochs=1, feature_weights="1", sampling__crop=128))
    told = names(many)
    assert told[0].endswith(", 1 more") and len(set(told)) == 3 and told[2] == f"{told[0]} #2"


# --- conditions --------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"dataset": "street"}, "dataset is street, not StreetPhantom"),
        ({"data_seed": 1}, "data_seed is 1, not 0"),
        ({"window": "lung"}, "window is lung, not auto"),
        ({"keys": ["k0", "z1", "z2"]}, r"other test images \(3 and 6, 1 in common\)"),
        ({"metrics": {"lpips": "off", "psnr_peak": 1.0}}, "metrics.lpips is off, not random"),
        (
            {"degradation": {"fixed": False, "operator": {**CONFIG["degradation"]["operator"], "preset": "big"}}},
            "degradation.operator.preset is big, not small",
        ),
        ({"split_hash": "cccc"}, "split_hash is cccc, not aaaa"),
        ({"degradation_hash": "cccc"}, "degradation_hash is cccc, not bbbb"),
    ],
)
def test_other_conditions_are_refused_by_name(conditions: dict[str, Any], told: str, tmp_path: Path) -> None:
    first, other = psnr_run(tmp_path / "a", 25.0), psnr_run(tmp_path / "b", 25.0, 1, conditions=conditions)
    with pytest.raises(MedrestoreError, match=told) as error:
        compare_runs([str(first), str(other)])
    assert str(other) in str(error.value) and "\n" not in str(error.value)


def test_runs_that_cannot_be_merged_are_listed_and_the_others_compared(tmp_path: Path) -> None:
    odd = psnr_run(tmp_path / "0", 25.0, 0, conditions={"degradation_hash": "cccc"})
    kept = [psnr_run(tmp_path / str(number), 25.0, number) for number in (1, 2)]
    damaged = psnr_run(tmp_path / "3", 25.0, 3)
    (damaged / "evaluation" / "summary.csv").write_text("method,kind\n")
    comparison = compare_runs(str(tmp_path))
    assert [run.directory for variant in comparison.variants for run in variant.runs.values()] == kept
    assert comparison.refused == 2
    told = "\n".join(comparison.notes)
    assert f"left out: {odd} cannot stand beside {kept[0]}: degradation_hash is cccc, not bbbb" in told
    assert str(damaged / "evaluation" / "summary.csv") in told
    with pytest.raises(MedrestoreError, match="degradation_hash is bbbb, not cccc; leave it out"):
        compare_runs([str(odd), str(kept[0])])


def test_what_only_the_training_saw_may_differ(tmp_path: Path) -> None:
    fixed = {"degradation": {**CONFIG["degradation"], "fixed": True}, "split_hash": None}
    runs = [psnr_run(tmp_path / "a", 25.0), psnr_run(tmp_path / "b", 25.0, 1, conditions=fixed)]
    agree([JudgedRun.load(run) for run in runs])


def test_runs_are_found_in_folders_and_globs(tmp_path: Path) -> None:
    runs = [psnr_run(tmp_path / "sweep" / str(number), 25.0, number) for number in (0, 1, 10)]
    unfinished = tmp_path / "sweep" / "2"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_text("seed: 2\n")
    judge = tmp_path / "sweep" / "judge"
    judge.mkdir()
    for name in ("config.yaml", "judge.safetensors"):
        (judge / name).write_text("")
    note = [f"left out: {unfinished} was not judged yet"]
    assert find_runs(str(tmp_path / "sweep")) == (runs, note)
    assert find_runs([str(runs[1]), str(tmp_path / "sweep" / "[01]*")]) == ([runs[1], runs[0], runs[2]], [])
    with pytest.raises(MedrestoreError, match=r"was not judged yet; type python -m medrestore\.evaluate run="):
        compare_runs(str(unfinished))
    with pytest.raises(MedrestoreError, match="there is no such directory"):
        find_runs(str(tmp_path / "nowhere"))
    with pytest.raises(MedrestoreError, match="no judged run there"):
        find_runs(str(tmp_path / "sweep" / "*" / "evaluation"))
    with pytest.raises(MedrestoreError, match="is a judge"):
        compare_runs([str(judge)])


# --- the joint table ---------------------------------------------------------


def test_seeds_are_one_row_and_a_repeated_training_counts_once(tmp_path: Path) -> None:
    runs = [psnr_run(tmp_path / str(i), mean, seed) for i, (mean, seed) in enumerate([(25.0, 0), (26.0, 1), (99.0, 1)])]
    (variant,), notes = group([JudgedRun.load(run) for run in runs])
    assert list(variant.runs) == [0, 1]
    assert notes == [f"left out: {runs[2]} is the same training as {runs[1]}, seed 1"]
    table, odd = lines([variant])
    assert odd == []
    assert [(line.name, line.kind) for line in table] == [
        ("identity", "reference"),
        ("wiener", "classical"),
        ("street_deblur", "learned"),
    ]
    assert table[0].values["psnr"] == {None: pytest.approx(20.0)}
    assert table[2].values["psnr"] == {0: pytest.approx(25.0), 1: pytest.approx(26.0)}


def test_shared_rows_that_differ_are_told(tmp_path: Path) -> None:
    values = {"identity": {"psnr": [20.0] * 5}, "wiener": {"psnr": [22.0] * 5}, "restored": {"psnr": [25.0] * 5}}
    first = judged_run(tmp_path / "a", values)
    second = judged_run(tmp_path / "b", {**values, "wiener": {"psnr": [22.5] * 5}}, 1)
    comparison = compare_runs([str(first), str(second)])
    (note,) = comparison.notes
    assert note.startswith(f"psnr of 'wiener' is 22.5 in {second} and 22 in {first}")


def test_a_baseline_row_stands_once(tmp_path: Path) -> None:
    about = {**CONFIG["about"], "experiment": "ct_deblur"}
    values = {"identity": {"psnr": [20.0] * 5}, "ct_pix2pix": {"psnr": [24.0] * 5}, "restored": {"psnr": [25.0] * 5}}
    ours = judged_run(tmp_path / "a", values, config={"about": about})
    assert [line.name for line in compare_runs(str(ours)).lines] == ["identity", "ct_pix2pix", "ct_deblur"]
    baseline = psnr_run(
        tmp_path / "b",
        24.0,
        config={"about": {**about, "experiment": "ct_pix2pix"}},
        conditions={"keys": [f"k{index}" for index in range(5)]},
    )
    found = compare_runs([str(ours), str(baseline)]).lines
    assert [line.name for line in found] == ["identity", "wiener", "ct_deblur", "ct_pix2pix"]


def sweep(folder: Path) -> RunComparison:
    for seed in range(3):
        for name, mean in (
            ("base", 25.0),
            ("smoothness", 25.5 + 0.01 * seed),
            ("scale_crop", 25.0 + 0.3 * (-1) ** seed),
        ):
            about = {**CONFIG["about"], "variant": name}
            config = {"about": about, "model.critic_steps": len(name)}
            psnr_run(folder / f"{name}-{seed}", mean + 0.1 * seed, seed, config=config)
    return compare_runs(str(folder), metrics=["psnr"])


def test_a_sweep_says_what_stands_out(tmp_path: Path) -> None:
    comparison = sweep(tmp_path)
    assert comparison.base == "base" and comparison.notes == []
    found = {difference.variant: difference for difference in comparison.differences}
    smooth, crop = found["smoothness"], found["scale_crop"]
    p = [stats.ttest_1samp([0.5, 0.51, 0.52], 0).pvalue, stats.ttest_1samp([0.3, -0.3, 0.3], 0).pvalue]
    assert [smooth.seeds.p_value, crop.seeds.p_value] == pytest.approx(p)
    assert [smooth.p_holm, crop.p_holm] == pytest.approx([2 * p[0], p[1]])
    assert smooth.images is not None and smooth.images.difference == pytest.approx(0.51)
    text = "\n".join(section_of(comparison, "What stands out").lines)
    assert "'smoothness': PSNR +0.51 dB stands out from the seeds' noise." in text
    assert "'scale_crop': no difference stands out from the seeds' noise." in text
    table = {row[0]: row for row in comparison.sections[0].tables[0].rows}
    assert table["base"] == ["base", "learned", "3", "25.10 ± 0.10"]
    assert table["identity"] == ["identity", "reference", "", "20.00"]


def section_of(comparison: RunComparison, title: str) -> Section:
    (found,) = [section for section in comparison.sections if section.title.startswith(title)]
    return found


def test_the_files_hold_every_number(tmp_path: Path) -> None:
    comparison = sweep(tmp_path / "sweep")
    write_comparison(tmp_path / "out", comparison)
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        rows = {(row["row"], row["metric"]): row for row in csv.DictReader(file)}
    smooth = rows["smoothness", "psnr"]
    assert float(smooth["mean"]) == pytest.approx(25.61) and float(smooth["sd_seeds"]) == pytest.approx(0.11)
    assert (smooth["seeds"], smooth["base"], smooth["test"], smooth["df"]) == ("3", "base", "paired t", "2.0")
    assert rows["identity", "psnr"]["sd_seeds"] == rows["base", "psnr"]["p_value"] == ""
    assert rows["S4, section 6.2, Table 1: blurred", "iou"]["mean"] == "0.514"
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert text == markdown(comparison.sections)
    assert "| smoothness | learned | 3 | 25.61 ± 0.11 |" in text
    assert "| key | base | scale_crop | smoothness |" in text and "| model.critic_steps | 4 | 10 | 10 |" in text


def test_base_and_metrics_must_be_there(tmp_path: Path) -> None:
    run = str(psnr_run(tmp_path / "a", 25.0))
    with pytest.raises(MedrestoreError, match="base=bse is not there; there are: street_deblur"):
        compare_runs(run, base="bse")
    with pytest.raises(MedrestoreError, match="metrics=snr is not there; there are: psnr"):
        compare_runs(run, metrics=["snr"])


def test_images_are_compared_by_their_mean_over_seeds(tmp_path: Path) -> None:
    def values(numbers: list[float]) -> dict[str, dict[str, list[float]]]:
        return {"identity": {"psnr": [20.0] * 5}, "restored": {"psnr": numbers}}

    runs = [
        judged_run(tmp_path / "a0", values([25.0, 26.0, 27.0, 28.0, 29.0]), 0),
        judged_run(tmp_path / "a1", values([27.0, 26.0, 27.0, 28.0, math.inf]), 1),
        judged_run(tmp_path / "b0", values([24.0, 24.0, 24.0, 24.0, 24.0]), 0, {"epochs": 5}),
    ]
    (a, b), _ = group([JudgedRun.load(run) for run in runs])
    found = image_comparison(a, b, "psnr")
    assert found is not None
    assert found.n == 4 and found.difference == pytest.approx((2.0 + 2.0 + 3.0 + 4.0) / 4)
    assert found.low is None  # four groups
    assert image_comparison(a, b, "lesions/auc") is None


# --- time --------------------------------------------------------------------


def test_time_to_reach_the_others_end() -> None:
    slow = [
        {
            "epoch": e,
            "step": 10 * e + 9,
            "generator_updates": 10.0 * (e + 1),
            "val/psnr": psnr,
            "seconds": 60.0 * (e + 1),
        }
        for e, psnr in enumerate([24.0, 26.0, 25.0, 28.0])
    ]
    fast = [{"epoch": 0, "step": 0, "train/generator/l1": 1.0}, {"epoch": 0, "step": 4, "val/psnr": 25.5}]
    reached = time_to_reach(slow, fast)
    assert reached is not None
    assert reached[0] == Reach(25.5, 2, 20, 120.0, 28.0, 40, 240.0)
    assert reached[1] == Reach(28.0, None, None, None, 25.5, 5, None)
    assert time_to_reach(slow, [{"epoch": 0, "step": 1, "val/psnr": math.nan}]) is None


def test_the_recipes_with_and_without_the_generator_first(tmp_path: Path) -> None:
    head = "epoch,step,generator_updates,val/psnr,seconds\n"
    first = psnr_run(
        tmp_path / "a", 25.0, config={"pretrain_epochs": 5}, history=f"{head}0,9,10,27,60\n1,19,20,28,120\n"
    )
    last = psnr_run(tmp_path / "b", 25.0, history=f"{head}0,9,10,25,90\n1,19,20,27,180\n")
    comparison = compare_runs([str(first), str(last)])
    (section,) = [s for s in comparison.sections if s.title.startswith("Time to reach")]
    assert section.lines[1:] == [
        "'pretrain_epochs=5' reaches the final PSNR of 'pretrain_epochs=0' with 1 of 1 seeds, on average after 10 "
        "steps where 'pretrain_epochs=0' took 20, 1.0 minutes where it took 3.0.",
        "'pretrain_epochs=0' never reaches the final PSNR of 'pretrain_epochs=5' (0 of 1 seeds).",
    ]
    assert section.tables[0].rows[0] == [
        *("pretrain_epochs=5", "0", "28.00 dB", "20", "2.0", "27.00 dB (pretrain_epochs=0)", "10 (epoch 1)", "1.0"),
    ]


# --- papers ------------------------------------------------------------------


@pytest.mark.skipif(not _PAPERS.is_dir(), reason="the papers' texts are not at hand")
@pytest.mark.parametrize("name", sorted(_TEXTS))
def test_every_figure_stands_in_its_paper(name: str) -> None:
    text = (_PAPERS / _TEXTS[name]).read_text(encoding="utf-8")
    raw = yaml.load(Path(papers_module.__file__).with_name("papers.yaml").read_text(), Loader=yaml.BaseLoader)[name]
    words = " ".join(text.lower().replace("\n", " ").split())
    assert raw["title"].lower() in words
    for table in raw["tables"]:
        for cells in table["rows"].values():
            for metric, value in cells.items():
                for number in [] if metric == "beside" else value.values() if isinstance(value, dict) else [value]:
                    printed = f"{100 * float(number):g}%" if metric == "accuracy" else number
                    found = (
                        printed.replace("%", r"\\?%") if "%" in printed else rf"(?<![\d.]){re.escape(printed)}(?!\d)"
                    )
                    assert re.search(found, text), f"{name}: {metric} {printed}"


def test_the_papers_are_complete() -> None:
    assert {name: sum(len(table.figures) for table in entry.tables) for name, entry in papers().items()} == {
        "S1": 2 + 2 + 4,
        "S2": 15 + 10,
        "S3": 6,
        "S4": 18,
        "S5": 6 + 9,
    }
    assert [f.sd for f in paper("S1").tables[0].figures] == [2.76, 0.04]
    with pytest.raises(MedrestoreError, match=r"about\.paper=S6 is not one of the papers S1, S2"):
        paper("S6")


def test_a_table_with_names_of_its_own_takes_no_other() -> None:
    by_hand, natural, labelled = paper("S1").tables
    assert by_hand.ours("psnr", ["psnr", "ssim"]) == "psnr"
    assert natural.ours("piqe", ["piqe", "natural/piqe"]) == "natural/piqe"
    assert natural.ours("piqe", ["piqe"]) is None
    assert labelled.ours("accuracy", ["lesions/accuracy", "lesions_natural/accuracy"]) == "lesions_natural/accuracy"


def test_our_rows_stand_beside_the_papers(tmp_path: Path) -> None:
    about = {"experiment": "ct_deblur", "budget": "quick", "paper": "S3", "variant": None}
    for name in ("ct_deblur", "ct_pix2pix"):
        psnr_run(
            tmp_path / name, 25.0 if name == "ct_deblur" else 24.0, config={"about": {**about, "experiment": name}}
        )
    section = compare_runs(str(tmp_path)).sections[-1]
    figures, conditions = section.tables
    assert figures.header == ["paper's row", "our row", "PSNR, paper", "ours", "SSIM, paper", "ours"]
    assert figures.rows == [
        ["proposed", "ct_deblur", "25.67", "25.00", "0.94", "-"],
        ["Pixel2Pixel", "ct_pix2pix", "24.72", "24.00", "0.88", "-"],
        ["DeblurGAN", "-", "25.22", "-", "0.93", "-"],
    ]
    said = {row[0]: row[1] for row in conditions.rows}
    assert said["data"] == "StreetPhantom (generated), 64 pixels"
    assert said["images"] == "1 train, 6 test images of 7 groups, split by group"
    assert said["degradation"] == "MotionBlur, preset small"
    assert said["training"] == "quick budget: 20 epochs, batch 8, crops of 96"
    assert said["weights"] == "trained from scratch; feature loss on a VGG19, weights: random"
    assert said["scores"] == "whole images, PSNR peak 1, SSIM 11 x 11; LPIPS on a random backbone"


def sr_values(restored: float, **others: float) -> dict[str, dict[str, list[float]]]:
    """Interpolations with other scores on validation than on test images, and both stages."""
    tested = {"identity": 10.0, "nearest": 27.0, "bilinear": 28.0, "bicubic": 29.0, "pretrained": 31.0, **others}
    values = {name: {"psnr": [value] * 6} for name, value in {**tested, "restored": restored}.items()}
    for name in ("nearest", "bilinear", "bicubic"):
        values[name]["validation/psnr"] = [tested[name] + 0.5] * 6
    return values


def test_interpolations_on_validation_and_both_stages_stand_beside_s5(tmp_path: Path) -> None:
    about = {"experiment": "brain_sr", "budget": "quick", "paper": "S5", "variant": None}
    run = judged_run(tmp_path / "a", sr_values(30.0), config={"about": about})
    section = compare_runs(str(run)).sections[-1]
    validation, test, _ = section.tables
    assert [row[:4] for row in validation.rows] == [
        ["nearest neighbour", "nearest", "29.27", "27.50"],
        ["bilinear", "bilinear", "30.72", "28.50"],
        ["bicubic", "bicubic", "32.19", "29.50"],
    ]
    assert [row[:4] for row in test.rows] == [
        ["bicubic", "bicubic", "32.19", "29.00"],
        ["SR-ResNet", "brain_sr, pretrained", "34.67", "31.00"],
        ["SRGAN", "brain_sr", "30.42", "30.00"],
    ]
    assert "cannot be subtracted" in section.lines[1] and any("x5" in line for line in section.lines)


def test_a_lesion_focused_row_belongs_to_the_run_that_was_trained_so(tmp_path: Path) -> None:
    about = {"experiment": "brain_sr", "budget": "quick", "paper": None, "variant": None}
    first = judged_run(tmp_path / "a", sr_values(30.0, lesion_focused=29.5), config={"about": about})
    assert "lesion_focused" in [line.name for line in compare_runs(str(first)).lines]
    focused = {"about": {**about, "variant": "focused"}, "sampling.focus": "region"}
    judged_run(tmp_path / "b", sr_values(28.0, lesion_focused=29.5), config=focused)
    names = [line.name for line in compare_runs(str(tmp_path)).lines]
    assert names[-5:] == [
        "brain_sr, pretrained", "brain_sr", "focused, pretrained", "focused", "focused, lesion_focused",
    ]  # fmt: skip
    assert "lesion_focused" not in names


def test_a_single_street_model_is_all_three(tmp_path: Path) -> None:
    run = psnr_run(tmp_path / "a", 25.0)
    rows = compare_runs(str(run)).sections[-1].tables[0].rows
    assert [row[1] for row in rows] == ["identity", "-", "-", "-", "-", "street_deblur"]
