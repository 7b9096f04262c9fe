"""Ask people how good the pictures are: build, serve, simulate and analyse an opinion study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medrestore.command import main

_ACTIONS = ("build", "serve", "simulate", "analyse")


@main("study")
def study(config: Any) -> Any:
    """Ask people how good the pictures of an evaluation are, in a browser (ITU-T P.910, ACR with hidden reference).

    python -m medrestore.study action=build run=DIR output=STUDY
    python -m medrestore.study action=serve output=STUDY
    python -m medrestore.study action=analyse output=STUDY
    python -m medrestore.study action=simulate output=STUDY raters=30          to try it all without people
    """
    from omegaconf import OmegaConf

    from medrestore.config import near
    from medrestore.errors import MedrestoreError

    action = None if OmegaConf.is_missing(config, "action") else str(config.action)
    if action not in _ACTIONS:
        what = "is not set" if action is None else f"{action!r} is none of them{near(action, _ACTIONS)}"
        raise MedrestoreError(f"action= {what}; type action={'|'.join(_ACTIONS)}")
    return {"build": _build, "serve": _serve, "simulate": _simulate, "analyse": _analyse}[action](config)


def _build(config: Any) -> None:
    from medrestore.config import plain
    from medrestore.errors import MedrestoreError
    from medrestore.run_directory import Run
    from medrestore.study.assemble import length_note, minutes
    from medrestore.study.build import build_study, settings_of
    from medrestore.study.raters import load_roster
    from medrestore.study.standalone import write_standalone

    if config.run is None:
        raise MedrestoreError("run= is not set; type run=<directory printed by train>")
    output, settings = Path(config.output), settings_of(config)
    methods = None if config.methods is None else list(plain(config.methods))
    built = build_study(Run.load(config.run), output, settings, config.scenes, methods, list(config.baselines))
    for row in built.rows:
        print(f"row: {row.name}{f' ({row.note})' if row.note else ''}")
    print(f"{len(built.stimuli)} pictures, a session takes about {minutes(built):.0f} minutes")
    note = length_note(built)
    if note:
        print(f"note: {note}")
    roster = load_roster(output)
    if config.standalone:
        print(f"one file for all raters: {write_standalone(output, built, roster)}")
    print(f"{len(roster)} personal links: {output / 'raters.csv'}")
    print(f"study: {output}")


def _serve(config: Any) -> None:
    from medrestore.study.database import Database
    from medrestore.study.manifest import load_study
    from medrestore.study.raters import load_roster

    serving = _serving()
    output = Path(config.output)
    loaded, roster = load_study(output), load_roster(output)
    database = Database(output, loaded)
    listening = serving.listen(str(config.host), int(config.port))
    base = serving.address(listening, str(config.host))
    path = serving.write_links(output, roster, base)
    if str(config.host) not in serving.LOOPBACK:
        print(f"note: host={config.host} lets others on this network in, and the way to them is not encrypted")
    print(f"personal links: {path}")
    print(f"serving study {loaded.id} at {base}; Ctrl-C ends it, answers are kept", flush=True)
    try:
        serving.server_for(serving.create_app(loaded, output, roster, database, str(config.host))).run([listening])
    except KeyboardInterrupt:
        print("ended; answers are kept")
    finally:
        database.close()


def _simulate(config: Any) -> None:
    from medrestore.config import plain
    from medrestore.study.manifest import load_study

    _serving()
    from medrestore.study.simulate import simulate

    output = Path(config.output)
    for line in simulate(output, load_study(output), int(config.raters), plain(config.faults), int(config.seed)):
        print(line)


def _analyse(config: Any) -> None:
    from medrestore.study.analyse import analyse
    from medrestore.study.database import Database
    from medrestore.study.manifest import load_study
    from medrestore.study.raters import load_roster
    from medrestore.study.standalone import answer_files, import_answers

    output = Path(config.output)
    loaded = load_study(output)
    database = Database(output, loaded)
    if config.answers is not None:
        for line in import_answers(answer_files(Path(config.answers)), loaded, load_roster(output), database):
            print(line)
    report = analyse(output, loaded, database.votes(), str(config.who))
    print(f"report: {report}")


def _serving() -> Any:
    """The server's module, or one line on how to install what it needs."""
    from medrestore.errors import MedrestoreError

    try:
        from medrestore.study import serve
    except ImportError as error:
        raise MedrestoreError(
            f"the study's server needs {error.name}, which is not installed; type pip install 'medrestore[study]'"
        ) from None
    return serve


if __name__ == "__main__":
    study()
