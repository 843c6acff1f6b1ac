"""``lowdose bench``: side-by-side measurements of speed and memory."""

import argparse
from pathlib import Path

HELP = "measure speed and memory: prints a table, writes results/benchmarks/NAME.json"
# Module lowdose.cli._bench_<name>, with measure(threads) -> rows of (name, value, unit, target).
BENCHMARKS = ("simulation", "study")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> int:
    import importlib
    import importlib.metadata
    import json
    import platform

    from lowdose.cli import log
    from lowdose.runtime import UserError, write_text

    names = arguments.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise UserError(f"There is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}.")
    for name in names:
        log(f"benchmark {name}")
        module = importlib.import_module(f"lowdose.cli._bench_{name}")
        rows = [
            {"name": label, "value": float(f"{value:.4g}"), "unit": unit, "target": target,
             "met": None if target is None else bool(value <= target)}
            for label, value, unit, target in module.measure(arguments.threads)
        ]  # fmt: skip
        result = {
            "benchmark": name,
            "machine": {"processor": processor(), "system": platform.platform(terse=True)},
            "threads": arguments.threads,
            "versions": {p: importlib.metadata.version(p) for p in ("abtem", "numpy", "torch")},
            "rows": rows,
        }
        write_text(arguments.output / f"{name}.json", json.dumps(result, indent=2) + "\n")
        print(f"\n{name}: {result['machine']['processor']}, {arguments.threads} threads")
        for row in rows:
            limit = "" if row["target"] is None else f"at most {row['target']:g}"
            verdict = {None: "", True: "met", False: "MISSED"}[row["met"]]
            print(f"  {row['name']:<58} {row['value']:>9g} {row['unit']:<6} {limit:<14} {verdict}")
    return 0


def processor() -> str:
    """Name the processor and how many cores of it this process may use."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = "unknown processor"
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {cores} cores"
