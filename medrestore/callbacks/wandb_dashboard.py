"""Weights & Biases: online with a key and a network, else offline for `wandb sync`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image as PILImage
from pytorch_lightning.utilities import rank_zero_only

from medrestore.callbacks.dashboard import PANELS, Dashboard, scores_by_name
from medrestore.callbacks.private_paths import page_without
from medrestore.callbacks.wandb_connection import Connection, connection, no_answer
from medrestore.evaluation.evaluate import Evaluation
from medrestore.evaluation.report import Made
from medrestore.evaluation.tables import save_text

_PROGRAM = "medrestore"  # instead of the path of what was started
_INIT_SECONDS = 20.0  # for the server to accept the run; then it is offline
_FINISH_SECONDS = 120.0  # for the rest to be sent at the end; then `wandb sync` sends it


class WandbDashboard(Dashboard):
    """A W&B run: numbers over the generator's updates, pictures with a slider, the evaluation, the report.

    The run's id is kept in `<directory>/wandb/run_id`, so that a training that goes on is the same run. What could tell
    where and by whom it was trained is not sent: code, git, host, user, paths.

    Args:
        directory: the run directory; W&B's files go into its folder `wandb`.
        project: the W&B project.
        entity: the team; None is the key's own.
        group: runs that stand together; None is the experiment, or in a sweep the sweep.
        report: whether the report goes there as an artefact.
    """

    def __init__(
        self,
        directory: str,
        project: str = "medrestore",
        entity: str | None = None,
        group: str | None = None,
        report: bool = True,
    ) -> None:
        super().__init__()
        self.directory = Path(directory)
        self.project, self.entity, self.group, self.report = project, entity, group, report
        self._run: Any = None
        self._waiting: dict[str, Any] = {}  # of one step, which W&B takes once
        self._waiting_since = 0
        self._next_step = 0

    @property
    def name(self) -> str:
        """Of the project."""
        return self.project

    @rank_zero_only
    def start(self) -> None:
        """Start the W&B run and say where it is to be seen."""
        _ = self.run

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Take numbers at the updates so far."""
        self._take(metrics)

    @rank_zero_only
    def publish(self) -> None:
        """Send what was taken, as one row."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            # W&B's own step too: the slider of pictures knows no other axis. A step is taken once, so what comes after
            # the training, at the same number of updates, is one step later.
            step = max(self._waiting_since, self._next_step)
            self.run.log(waiting, step=step, commit=True)
            self._next_step = step + 1

    @rank_zero_only
    def show_samples(self, panels: Sequence[np.ndarray], epoch: int) -> None:
        """One picture an image, each with a slider."""
        import wandb

        caption = f"epoch {epoch}: {PANELS}"
        self._take(
            {
                f"samples/image_{number}": wandb.Image(PILImage.fromarray(panel), caption=caption)
                for number, panel in enumerate(panels, start=1)
            }
        )

    @rank_zero_only
    def show_evaluation(self, evaluation: Evaluation) -> None:
        """The scores as numbers and tables, one row a case and method with its picture, and the report."""
        self._take(scores_by_name(evaluation))
        with _data_in(self.directory / "wandb" / "data"):
            try:
                self._send_tables(evaluation)
            except Exception as error:  # of a library and its server: the run is done, and must end as one that is
                self._waiting = {}
                self._take(scores_by_name(evaluation))
                self.publish()
                told = " ".join(str(error).split())[:200]
                print(f"W&B: tables and report were not sent: {told}; see {evaluation.directory}", file=sys.stderr)

    @rank_zero_only
    def close(self, failed: bool) -> None:
        """Send the rest, and say how what could not be sent gets there."""
        self.publish()
        if self._run is None:
            return
        run, self._run = self._run, None
        left = "send the run later" if run.offline else ""
        try:
            run.finish(exit_code=int(failed))
        except TimeoutError:
            left = f"not all was sent within {_FINISH_SECONDS:.0f} s; send the rest"
        if left:
            print(f"W&B: {left} with: {sync_command(self.directory)}", file=sys.stderr)

    @property
    def run(self) -> Any:
        """The W&B run, started when something is first sent."""
        if self._run is None:
            self._run = self._started()
        return self._run

    def _take(self, values: Mapping[str, Any]) -> None:
        updates = self.progressed.count()
        if updates != self._waiting_since:
            self.publish()
        self._waiting_since = updates
        self._waiting |= {**values, self.progressed.axis: updates}

    def _started(self) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # reports would hold paths
        import wandb
        from wandb.errors import Error

        (self.directory / "wandb").mkdir(parents=True, exist_ok=True)
        found = connection(_server())
        try:
            run = self._init(found)
        except Error as error:
            if found.mode != "online":
                raise
            wandb.teardown()  # its process still holds the run that it could not start
            found = Connection("offline", " ".join(str(error).split())[:200])
            run = self._init(found)
        where = run.url if found.mode == "online" else f"{found.mode} ({found.reason})"
        print(f"W&B: {where}", file=sys.stderr)
        run.define_metric(self.progressed.axis)
        run.define_metric("*", step_metric=self.progressed.axis)
        return run

    def _init(self, found: Connection) -> Any:
        import wandb

        facts = self.facts
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            host="",
            program=_PROGRAM,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=_INIT_SECONDS,
            finish_timeout=_FINISH_SECONDS,
            finish_timeout_raises=True,
        )
        return wandb.init(
            project=self.project,
            entity=self.entity,
            group=self.group or facts.group,
            name=facts.name,
            job_type=facts.kind,
            tags=list(facts.tags),
            config=dict(facts.config),
            dir=str(self.directory),
            id=_run_id(self.directory / "wandb" / "run_id"),
            resume="allow",
            mode=found.mode,
            reinit="finish_previous",
            settings=settings,
        )

    def _send_tables(self, evaluation: Evaluation) -> None:
        """The tables with their pictures; the report without paths of this machine, and its table.

        Raises:
            ConnectionError: the server, which W&B asks about artefacts and waits for, does not answer any more.
        """
        import wandb

        silence = None if self.run.offline else no_answer(_server())
        if silence is not None:
            raise ConnectionError(silence)
        self._take(_tables(evaluation))
        self.publish()
        if not self.report:
            return
        page = page_without(evaluation.report.read_text(encoding="utf-8"), [*self.facts.paths, str(Path.cwd())])
        copy = save_text(self.directory / "wandb" / "report.html", page)
        artefact = wandb.Artifact(f"report-{self.run.id}", type="evaluation")
        artefact.add_file(str(copy), name="report.html")
        artefact.add_file(str(evaluation.directory / "summary.csv"), name="summary.csv")
        self.run.log_artifact(artefact)


def _server() -> str:
    """Address of the W&B server."""
    import wandb

    return os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url


def sync_command(directory: Path) -> str:
    """What to type to send an offline run, from where it was trained; `wandb` would tell its server its own path."""
    resolved = directory.resolve()
    below = resolved.relative_to(Path.cwd()) if resolved.is_relative_to(Path.cwd()) else resolved
    return f"WANDB_PROGRAM={_PROGRAM} wandb sync {below / 'wandb'}"


def _tables(evaluation: Evaluation) -> dict[str, Any]:
    """`evaluation/cases`: a row a case and method; `evaluation/summary`: `summary.csv`."""
    import wandb

    metrics = list(dict.fromkeys(score.metric for score in evaluation.scores if "/" not in score.metric))
    values = {(score.key, score.method, score.metric): score.value for score in evaluation.scores}
    cases = wandb.Table(columns=["case", "rank", "method", "kind", "picture", "error x5", *metrics])
    for view in evaluation.views:
        for made in view.made:
            numbers = [values.get((view.key, made.method, metric)) for metric in metrics]
            cases.add_data(view.key, view.rank, made.method, made.kind, *_pictures(made), *numbers)
    fields: list[Any] = ["method", "kind", "metric", "mean", "sd", "low", "high", "n", "difference", "p_value"]
    rows = [[getattr(summary, field) for field in fields] for summary in evaluation.summaries]
    return {"evaluation/cases": cases, "evaluation/summary": wandb.Table(columns=fields, data=rows)}


def _pictures(made: Made) -> list[Any]:
    import wandb

    return [
        None if data is None else wandb.Image(PILImage.open(io.BytesIO(data)), file_type="jpg")
        for data in (made.picture, made.error)
    ]


def _run_id(path: Path) -> str:
    """The id of the run in this directory: read back when its training goes on."""
    known = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not known:
        known = uuid4().hex[:8]
        save_text(path, f"{known}\n")
    return known


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """Where W&B keeps the files of artefacts: by itself in the home directory, which `wandb sync` elsewhere has not."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = _nameless(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before


def _nameless(folder: Path) -> str:
    """A folder below the working directory as a path that tells nothing of what lies above; another one as it is.

    W&B sends the places of an artefact's files to its server, and makes them absolute. On Linux this is an absolute
    path that each process follows from its own working directory.
    """
    here, inside = Path("/proc/self/cwd"), folder.resolve().is_relative_to(Path.cwd())
    return str(here / folder.resolve().relative_to(Path.cwd())) if inside and here.exists() else str(folder.resolve())
