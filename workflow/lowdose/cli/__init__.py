"""The command line: ``python -m lowdose <command>``, one module a command.

A command's module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(arguments)``;
it imports the heavy libraries inside ``run``, so that ``--help`` answers at once.  A module
with ``PASSES_ON = True`` gets all words after its name unparsed, as ``arguments.rest``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import time
from pathlib import Path
from typing import NoReturn

from lowdose.runtime import UserError, fix_threads, translated

LAST_ERROR = "LOWDOSE_LAST_ERROR"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def commands() -> list[str]:
    """Return the names of all commands."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def main(argv: list[str] | None = None, *, recorded: bool = False) -> int:
    """Run one command; return the exit code (0, 2 for a user's error, 130 for Ctrl-C).

    Parameters
    ----------
    argv : list of str, optional
        The words of the command line.
    recorded : bool
        Whether the outputs of a stage get their records (:mod:`lowdose.records`).  Records
        describe a process, so only a process that runs this one command may ask for them.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv, recorded)
    except UserError as error:
        return _told(error)
    except KeyboardInterrupt:
        print("lowdose: stopped by Ctrl-C; run again to continue.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        sentence = _unreadable(error) or translated(error, Path(error.filename or "a result"))
        if not isinstance(sentence, UserError):
            raise
        return _told(sentence)


def refuse(error: UserError) -> NoReturn:
    """End the process with the sentence of `error` and exit code 2.

    For the Snakefile: Snakemake lets ``SystemExit`` pass, so that plain ``snakemake`` also
    ends with the sentence, without a traceback.
    """
    sys.exit(_told(error))


def log(message: str) -> None:
    """Print one line with the time, at once, for a person or a log file."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def _dispatch(argv: list[str], recorded: bool) -> int:
    arguments, fixes_threads = parsed(argv)
    if fixes_threads:
        fix_threads(arguments.threads)
    return (_recorded if recorded else _plainly)(arguments, argv)


def parsed(argv: list[str]) -> tuple[argparse.Namespace, bool]:
    """Return the arguments of a command, with its function `run`; nothing is run.

    Returns
    -------
    arguments : argparse.Namespace
    fixes_threads : bool
        Whether this process, rather than one that it starts, shall fix its threads.

    Raises
    ------
    UserError
        If there is no such command or option, or a value is not possible.
    """
    parser = _Parser(
        prog="lowdose",
        description="Neural denoising of low-dose TEM images: the commands of the study.",
    )
    parser.add_argument("--threads", type=int, default=0, help="threads (default: all cores)")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    known = commands()
    place = _place_of_command(argv)
    wanted = argv[place] if place is not None and argv[place] in known else None
    passes_on = False
    for name in known if wanted is None else [wanted]:  # only the one asked for is imported
        module = importlib.import_module(f"lowdose.cli.{name}")
        # Not argparse's own REMAINDER, which loses words when the first is an option.
        passes_on = name == wanted and getattr(module, "PASSES_ON", False)
        sub = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__ if passes_on else module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    rest = argv[place + 1 :] if passes_on else []
    if passes_on and not {"-h", "--help"}.intersection(rest):
        arguments = parser.parse_args(argv[: place + 1])
        arguments.rest = rest
    else:
        arguments = parser.parse_args(argv)
    fixed = arguments.threads
    arguments.threads = fixed or os.cpu_count() or 1
    # The processes of a command that passes on fix their own.
    return arguments, bool(fixed) or not passes_on


def _plainly(arguments: argparse.Namespace, argv: list[str]) -> int:
    return arguments.run(arguments) or 0


def _recorded(arguments: argparse.Namespace, argv: list[str]) -> int:
    """Run a command and, where it is a stage, write the records of what it has made."""
    from lowdose.cli._observed import RECORDED, Observer

    if arguments.command not in RECORDED:
        return _plainly(arguments, argv)
    observer = Observer(arguments.command, argv)
    code = _plainly(arguments, argv)
    if code == 0:
        try:
            observer.write_records(arguments)
        except Exception as error:
            # Hours of training are not given up for a record; the manifest names what has none.
            log(f"no record of this command's outputs: {type(error).__name__}: {error}")
    return code


def _place_of_command(argv: list[str]) -> int | None:
    """Return the index of the command's name: the first word that is not a global option."""
    skip = False
    for place, word in enumerate(argv):
        if skip:
            skip = False
        elif word == "--threads":
            skip = True
        elif not word.startswith("-"):
            return place
    return None


def _unreadable(error: OSError) -> UserError | None:
    """Return what is to be said of a file that this user may not read; None of any other error."""
    if not isinstance(error, PermissionError) or error.filename is None:
        return None
    path = Path(os.fsdecode(error.filename))
    # A file that is written is one that does not exist yet, in a folder that can be entered.
    hidden = not os.access(path.parent, os.X_OK)
    if hidden or (os.access(path, os.F_OK) and not os.access(path, os.R_OK)):
        return UserError(f"{path} cannot be read for lack of permission; make it readable.")
    return None


def _told(error: UserError) -> int:
    print(f"lowdose: {error}", file=sys.stderr, flush=True)
    _remember(str(error))
    return 2


def _remember(message: str) -> None:
    """Leave the sentence where the front door finds it, since Snakemake hides a job's output.

    One line an error: several jobs of a run may fail, at the same time.
    """
    if path := os.environ.get(LAST_ERROR):
        try:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(" ".join(message.split()) + "\n")
        except OSError:
            pass
