"""``lowdose bench``: side-by-side measurements of speed, memory and quality."""

import argparse
from pathlib import Path

HELP = "measure speed, memory and quality: prints a table, writes results/benchmarks/NAME.json"
# Module lowdose.cli._bench_<name>, with measure(threads) -> rows, or what `Row` takes.
BENCHMARKS = (
    *("simulation", "study", "networks", "denoisers", "evaluation", "recording"),
    *("adaptive", "scale"),
)
QUICK = ("networks",)  # those whose measure() takes quick=True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"), metavar="FOLDER")
    parser.add_argument(
        "--quick", action="store_true",
        help=f"of {', '.join(QUICK)}: every fourth frame, no trainings; writes NAME-quick.json",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    import importlib
    import importlib.metadata
    import json
    import platform

    from lowdose.cli import log
    from lowdose.cli._bench_rows import Row, table
    from lowdose.runtime import write_text

    quick = arguments.quick
    for name in chosen(arguments.names, quick):
        log(f"benchmark {name}")
        module = importlib.import_module(f"lowdose.cli._bench_{name}")
        measured = module.measure(arguments.threads, **({"quick": True} if quick else {}))
        rows = [Row(*row) for row in measured]
        result = {
            "benchmark": name,
            "machine": {"processor": processor(), "system": platform.platform(terse=True)},
            "threads": arguments.threads,
            "versions": {p: importlib.metadata.version(p) for p in ("abtem", "numpy", "torch")},
            "rows": [row.as_json() for row in rows],
        }
        file = arguments.output / f"{name}{'-quick' if quick else ''}.json"
        write_text(file, json.dumps(result, indent=2) + "\n")
        print(f"\n{name}: {result['machine']['processor']}, {arguments.threads} threads\n")
        print(table(rows))
    return 0


def chosen(names: list[str], quick: bool) -> list[str]:
    """Return the benchmarks to run.

    Raises
    ------
    UserError
        If there is none of that name, or no quick form of it.
    """
    import difflib

    from lowdose.runtime import UserError

    for name in names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UserError(
                f"There is no benchmark {name!r}{hint}; choose from {', '.join(BENCHMARKS)}."
            )
        if quick and name not in QUICK:
            raise UserError(
                f"The benchmark {name!r} has no quick form; leave out --quick, or choose from "
                f"{', '.join(QUICK)}."
            )
    return names or list(QUICK if quick else BENCHMARKS)


def processor() -> str:
    """Name the processor and how many cores of it this process may use."""
    from lowdose.machine import processor_model, usable_cores

    return f"{processor_model()}, {usable_cores()} cores"
