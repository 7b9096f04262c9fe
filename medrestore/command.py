"""The one decorator that turns a task into a command."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medrestore import interruption
from medrestore.config import CONF_DIR, agree_on_run_id, compose, key_of, quoted, register_resolvers, run_id
from medrestore.errors import MedrestoreError
from medrestore.processes import from_first, hush, is_first, join, leave, placement, tell_first

# Values of these keys are paths: they are quoted before Hydra's grammar sees brackets, blanks or umlauts in them.
PATH_KEYS = (
    "dataset.root", "dataset.degraded", "dataset.target", "sampling.split.file", "run", "input", "output", "ckpt",
    "generator_weights", "feature_weights", "metrics.lpips_weights", "hydra.run.dir", "dataset.natural", "judge",
    "runs", "base", "baselines", "metrics.niqe_params", "metrics.brisque_params", "metrics.fitted_niqe",
    "dataset.source", "dataset.before", "dataset.after", "answers", "hydra.sweep.dir", "hydra.sweeper.storage",
    "evaluation.detector",
)  # fmt: skip
_SHARED = ("train", "evaluate", "restore")  # commands that several processes can share
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_/.\-:+@%\\]*\Z")


def main(name: str) -> Callable[[Callable[[Any], Any]], Callable[[], None]]:
    """Turn `task(cfg)` into the command `python -m medrestore.<name>`.

    Args:
        name: the root config `conf/<name>.yaml`.

    Returns:
        A decorator. The command ends with code 0, with what the task returns when that is an int, with 2 and one line
        on standard error when the user made a mistake, or with 75 when a signal asked it to end and `ckpt=last` goes on
        (`interruption`). Only `train` sweeps and owns a run directory.
    """

    def decorate(task: Callable[[Any], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def command() -> None:
            arguments = sys.argv[1:]
            if {"-h", "--help"} & set(arguments):
                print(_help(name, task.__doc__ or ""))
                return
            sweep = bool({"-m", "--multirun"} & set(arguments)) or (
                any(key_of(argument) == "sweep" for argument in arguments) and "hydra.mode=RUN" not in arguments
            )
            overrides = [quote_path(argument, sweep) for argument in arguments]
            hush()
            with interruption.listening() if name == "train" else contextlib.nullcontext():
                try:
                    _meet(name, sweep)
                    code = _hydra_app(name, task, overrides, sweep) if name == "train" else _run(name, task, overrides)
                    leave()
                except interruption.StartAgain as why:
                    tell_first(f"medrestore: ended for {why}; to go on: the same command with {why.again}")
                    interruption.requeue(why)
                    code = interruption.AGAIN
                except MedrestoreError as error:
                    code = _refused(error)
                except Exception as error:
                    code = _lost(error)
                sys.exit(code if isinstance(code, int) else 0)

        return command

    return decorate


def _meet(name: str, sweep: bool) -> None:
    """Bring the processes together that torchrun or srun started.

    Raises:
        MedrestoreError: a command that cannot be shared.
    """
    placed = placement()
    if not placed.external:
        return
    if sweep or name not in _SHARED:
        what = "a sweep" if sweep else f"medrestore.{name}"
        raise MedrestoreError(f"{what} runs in one process, {placed.launcher} started {placed.count}; type python -m")
    join()
    agree_on_run_id(from_first(run_id() if placed.rank == 0 else ""))


def _refused(error: MedrestoreError) -> int:
    """Say what the user's mistake is, once, whichever process found it."""
    tell_first(f"medrestore: {error}")
    return 2


def _lost(error: Exception) -> int:
    """A process ends because another one did, in one line; a bug of its own shows its whole traceback."""
    if placement().count == 1:
        raise error
    if not tell_first(None):
        return 2  # whoever met the error has said so
    if type(error).__module__.startswith("torch") or "gloo" in str(error) or "Connection" in str(error):
        line = " ".join(str(error).split())[:120]
        tell_first(f"medrestore: another process of this command ended without a word ({line})")
        return 2
    told = "".join(traceback.format_exception(error))
    tell_first(f"{told}medrestore: process {placement().rank} of {placement().count} met this error")
    return 1


def _run(name: str, task: Callable[[Any], Any], overrides: list[str]) -> Any:
    """Run a task without sweeps; a value without a default that was not given is the user's mistake."""
    from omegaconf.errors import MissingMandatoryValue

    config = _base(name, overrides)
    try:
        return task(config)
    except MissingMandatoryValue as error:
        raise MedrestoreError(f"{error.full_key} is not given; type {error.full_key}=... as --help says") from None


def _base(name: str, overrides: list[str]) -> Any:
    """Compose a command without sweeps; one with `run_overrides` keeps there what its root config does not know."""
    from omegaconf import OmegaConf, open_dict

    known = [str(key) for key in OmegaConf.load(CONF_DIR / f"{name}.yaml")]
    if "run_overrides" not in known:
        return compose(name, overrides)
    own = [o for o in overrides if key_of(o).split(".")[0] in known]
    config = compose(name, own)
    with open_dict(config):
        config.run_overrides = [o for o in overrides if o not in own]
    return config


def _hydra_app(name: str, task: Callable[[Any], Any], overrides: list[str], sweep: bool) -> Any:
    """Run `task` under Hydra after a trial composition, so that errors are ours and leave no directory behind."""
    from medrestore.sweeps.job import end_with_leader, in_sweep, run_job

    end_with_leader()
    flags = [o for o in overrides if o.startswith("-") and o not in ("-m", "--multirun")]
    leading = None  # the sweep that this process leads
    if not flags:
        if sweep:
            from medrestore.sweeps.overrides import try_jobs

            leading = try_jobs(name, overrides).hydra
        else:
            compose(name, overrides)
    import hydra
    from hydra.core.hydra_config import HydraConfig

    register_resolvers()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # a bug shows its whole traceback; users' mistakes are one line
    code = 0

    def job(cfg: Any) -> Any:
        nonlocal code
        directory = Path(HydraConfig.get().runtime.output_dir)
        if in_sweep():
            result = run_job(task, cfg, directory, list(HydraConfig.get().overrides.task))
            code = 1 if result.state == "failed" else 0
            return result.metric
        try:
            return task(cfg)
        except interruption.StartAgain as why:
            why.again = f"hydra.run.dir={directory} ckpt=last"
            raise
        except MedrestoreError as error:
            if is_first():
                _remove_empty(directory)
            code = _refused(error)
            return None
        except Exception as error:  # Hydra would tell it as its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                again = f"make room and type the same command with hydra.run.dir={directory} ckpt=last"
                code = _refused(MedrestoreError(f"{error.filename or directory}: {error.strerror}; {again}"))
            else:
                code = _lost(error)
            return None

    sys.argv[1:] = overrides
    start = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=name)(job)
    if leading is None:
        start()
        return code
    from medrestore.sweeps.summary import lead

    return lead(start, Path(leading.sweep.dir).resolve())


def quote_path(argument: str, sweep: bool = False) -> str:
    """Quote the value of a path key when Hydra's grammar would stumble over it; a sweep keeps its commas."""
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS or value[:1] in ("'", '"', "["):
        return argument
    if _PLAIN_PATH.match(value) or (sweep and "," in value):
        return argument
    return f"{key}={quoted(value)}"


def _remove_empty(directory: Path) -> None:
    """Remove a run directory that a refused training left empty, and the empty folders above it."""
    if directory.resolve() == Path.cwd() or any(p.is_file() and p.name != ".lock" for p in directory.rglob("*")):
        return
    shutil.rmtree(directory, ignore_errors=True)
    for folder in directory.parents:
        if folder == Path.cwd() or any(folder.iterdir()):
            return
        folder.rmdir()


def _help(name: str, purpose: str) -> str:
    """The help page, from the config files themselves: nothing heavy is imported."""
    body = (CONF_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    groups = re.findall(r"^  - (?:override |optional )?/?([a-z_]+): ", body, flags=re.MULTILINE)
    lines = [purpose.strip(), "", f"usage: python -m medrestore.{name} [key=value ...]", ""]
    for group in dict.fromkeys(groups):
        options = sorted(p.stem for p in (CONF_DIR / group).glob("*.yaml"))
        if options:
            lines.append(f"  {group}={'|'.join(options)}")
    if name == "train":
        sweeps = "|".join(sorted(p.stem for p in (CONF_DIR / "sweep").glob("*.yaml")))
        lines += ["  hydra/launcher=gpu_pool|submitit_slurm", "  hydra/sweeper=tpe", f"  +sweep={sweeps}"]
    keys = body.split("\nhydra:")[0].partition("# Keys")[2].partition("\n")[2]
    return "\n".join([*lines, "", "keys:", *(f"  {line}" for line in keys.splitlines() if line.strip())])
