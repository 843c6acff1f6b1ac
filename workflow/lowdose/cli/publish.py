"""``lowdose publish``: make of a finished run what a repository can hold."""

import argparse
from pathlib import Path

HELP = "make of a finished run what a repository can hold: tables, figures, cards, its reference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="new, or one that this command has made: it is replaced")  # fmt: skip
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER",
                        help="that the run has filled (default: results)")  # fmt: skip
    parser.add_argument("--config", nargs="+", type=Path, default=[], metavar="FILE",
                        help="of the run (default: none, the quick study)")  # fmt: skip
    parser.add_argument("--note", default="", metavar="TEXT",
                        help="what a reader of run.json shall know beside")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from lowdose import config
    from lowdose.publication import publish
    from lowdose.stages import Study

    study = Study(config.load(arguments.config))
    files = "".join(f" {path.as_posix()}" for path in arguments.config)
    command = "./study run" + (f" --configfile{files}" if files else "")
    told = publish(arguments.results, arguments.folder, study, command, arguments.note)
    size = sum(path.stat().st_size for path in arguments.folder.rglob("*") if path.is_file())
    print(f"{arguments.folder}: {told['jobs']} jobs, {told['core_minutes']:.1f} core-minutes in "
          f"{told['minutes']:.1f} minutes; {size / 1e6:.1f} MB")  # fmt: skip
