"""Configuration: composition order, one-line errors, quoted paths, checks before any computing."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict

from medrestore.checks import check
from medrestore.command import quote_path
from medrestore.config import CONF_DIR, build, compose, overlay
from medrestore.errors import MedrestoreError
from medrestore.sweeps.overrides import try_jobs

EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("budget", ["quick", "paper"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_passes_the_checks(experiment: str, budget: str) -> None:
    config = compose("train", [f"experiment={experiment}", f"budget={budget}"])
    check(config)
    assert config.about.experiment == experiment and config.about.budget == budget


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF_DIR / "sweep").glob("*.yaml")))
def test_every_sweep_composes_and_its_first_job_passes_the_checks(name: str) -> None:
    config = try_jobs("train", [f"+sweep={name}"])
    assert config.hydra.mode.name == "MULTIRUN" and config.hydra.sweeper.params
    with open_dict(config):
        del config.hydra
    check(config)


def test_command_line_beats_recipe_beats_root() -> None:
    assert compose("train", []).epochs == 20
    assert compose("train", ["experiment=cervix_deblur", "budget=paper"]).epochs == 300
    assert compose("train", ["experiment=cervix_deblur", "budget=paper", "epochs=7"]).epochs == 7


@pytest.mark.parametrize("budget", ["quick", "paper"])
def test_generator_group_leaves_nothing_of_another_class(budget: str) -> None:
    config = compose("train", ["experiment=cervix_deblur", f"budget={budget}", "network@model.generator=nafnet"])
    check(config)
    assert "depth" not in config.model.generator and config.model.generator.middle_blocks == 1


def test_paper_recipe_is_the_papers() -> None:
    config = compose("train", ["experiment=cervix_deblur", "budget=paper"])
    assert (config.epochs, config.sampling.batch_size, config.sampling.crop) == (300, 8, 256)  # S1 II.B, DeblurGAN 5
    split = config.sampling.split
    assert round(2400 * split.test) == 352 and round(2400 * (split.train + split.val)) == 2048  # S1 II.B
    model = config.model
    assert (model.critic_steps, model.penalty_weight, model.decay_from) == (5, 10.0, 0.5)  # DeblurGAN 5
    assert (model.generator.width, model.generator.blocks, model.generator.dropout) == (64, 9, 0.5)
    assert list(model.generator_optimizer.betas) == [0.5, 0.999] and model.generator_optimizer.lr == 1e-4
    assert config.loss.feature.weight == 100.0 and config.loss.feature.term.distance == "l2"
    assert list(config.loss.feature.term.features.layers) == ["conv3_3"]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.critc_steps=3", "did you mean 'model.critic_steps'"),
        ("critic_steps=3", "did you mean 'model.critic_steps'"),
        ("experiment=cervix_debur", "did you mean 'cervix_deblur'"),
        ("hardware=gpuu", "did you mean 'gpu'"),
        ("seeed=3", "did you mean 'seed'"),
        ("hydra.launcher.slot=3", "unknown key 'hydra.launcher.slot'"),
        ("hydra/launcher=gpu_pol", "did you mean 'gpu_pool'"),
        ("dataset.root=(a", "dataset.root=(a"),
    ],
)
def test_hydra_errors_are_one_line_with_the_near_match(override: str, told: str) -> None:
    with pytest.raises(MedrestoreError) as error:
        compose("train", ["experiment=cervix_deblur", override])
    assert told in str(error.value) or override == "experiment=cervix_debur"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("+model.critc_steps=3", "did you mean 'critic_steps'"),
        ("+epoch=3", "did you mean 'epochs'"),
        ("model.critic_steps=0", "type model.critic_steps=1"),
        ("epochs=0", "type epochs=1"),
        ("pretrain_epochs=40", "type pretrain_epochs="),
        ("select=psnr", "select=val/psnr"),
        ("pretrain_select=val/lpips", "pretrain_select=psnr_ssim"),
        ("degradation=downsample", "model.generator.scale=2"),
        ("evaluation.lpips=imagenet", "type evaluation.lpips=true, false or trained"),
        ("model=paired_regression", "is not an argument of"),
    ],
)
def test_checks_name_the_override_to_type(override: str, told: str) -> None:
    with pytest.raises(MedrestoreError, match=told):
        check(compose("train", ["experiment=cervix_deblur", override]))


def test_batch_must_hold_the_parts_it_is_cut_into() -> None:
    with pytest.raises(MedrestoreError, match=r"type model\.accumulate=8"):
        check(compose("train", ["experiment=brain_sr", "model.accumulate=9"]))


@pytest.mark.parametrize(
    ("scale", "more"), [(2, []), (3, ["budget=paper"]), (8, ["budget=paper", "network@model.generator=rrdb"])]
)
def test_super_resolution_follows_the_scale_of_the_degradation(scale: int, more: list[str]) -> None:
    config = compose("train", ["experiment=brain_sr", f"degradation.operator.scale={scale}", *more])
    check(config)
    assert config.model.generator.scale == scale and config.model.generator.channels == 1


def test_crop_must_fit_the_strided_generator() -> None:
    with pytest.raises(MedrestoreError, match=r"type sampling\.crop=100"):
        check(compose("train", ["experiment=cervix_deblur", "budget=paper", "sampling.crop=102"]))


def test_batch_norm_critic_with_penalty_warns() -> None:
    notes = check(compose("train", ["experiment=cervix_deblur", "+model.critic.norm=batch"]))
    assert any("model.critic.norm=instance" in note for note in notes)


@pytest.mark.parametrize(
    "name", ["C1Aceto (1).jpg", "Übersicht [neu]", "a=b", "x, y", "it's", "{curly}", "trailing\\", "p/q.png"]
)
def test_awkward_paths_reach_the_config_unchanged(name: str) -> None:
    config = compose("train", ["dataset=cervix", quote_path(f"dataset.root={name}")])
    assert config.dataset.root == name


def test_quoting_leaves_lists_sweeps_and_other_keys_alone() -> None:
    assert quote_path("dataset.root=[a,b]") == "dataset.root=[a,b]"
    assert quote_path("dataset.root=a,b", sweep=True) == "dataset.root=a,b"
    assert quote_path("seed=1,2") == "seed=1,2"


def test_overlay_changes_only_what_is_given() -> None:
    base = OmegaConf.create(OmegaConf.to_container(compose("train", ["experiment=cervix_deblur"]), resolve=True))
    changed = overlay(base, ["dataset=cervix", "dataset.root=/x", "seed=4"])
    assert changed.dataset.root == "/x" and "patients" not in changed.dataset
    assert changed.seed == 4 and changed.sampling == base.sampling
    assert base.seed == 0
    with pytest.raises(MedrestoreError, match="did you mean 'seed'"):
        overlay(base, ["sed=4"])


def test_build_refuses_foreign_targets() -> None:
    with pytest.raises(MedrestoreError, match=r"os\.system"):
        build(OmegaConf.create({"x": {"_target_": "os.system", "command": "true"}}))


def test_the_configs_ship_with_the_package() -> None:
    assert (CONF_DIR / "train.yaml").is_file()
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '"conf" = "medrestore/conf"' in text and 'packages = ["medrestore", "hydra_plugins"]' in text
    assert not (Path(__file__).parents[1] / "hydra_plugins" / "__init__.py").exists()  # other plugins share the name
