"""``lowdose peaks``: what the jobs of finished runs took, a row a rule."""

import argparse
from pathlib import Path

HELP = "gather the time and memory that the jobs of finished runs took, a row a rule"
TABLE = Path("results/reference/benchmarks/rules.csv")
COLUMNS = ("rule", "jobs", "shortest_s", "longest_s", "peak_mb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", type=Path, nargs="*", default=[Path("results")], metavar="FOLDER",
        help="results of a run (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "--table", type=Path, default=TABLE, metavar="FILE",
        help=f"CSV that is brought up to date: the larger number stays (default: {TABLE})",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    import csv
    import io

    from lowdose.runtime import UserError, write_text

    found = {}
    for folder in arguments.folders:
        if not (folder / "logs").is_dir():
            raise UserError(f"{folder} has no folder `logs`; name the results of a finished run.")
        for name, row in measured(folder / "logs").items():
            found[name] = together(found[name], row) if name in found else row
    rows = read(arguments.table) if arguments.table.is_file() else {}
    for name, row in found.items():
        rows[name] = together(rows[name], row, again=True) if name in rows else row
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, (jobs, shortest, longest, peak) in sorted(rows.items()):
        writer.writerow([name, jobs, f"{shortest:.1f}", f"{longest:.1f}", f"{peak:.0f}"])
    write_text(arguments.table, text.getvalue())
    print(f"{arguments.table}: {len(found)} rules measured here, {len(rows)} in all")


def measured(logs: Path) -> dict[str, tuple[int, float, float, float]]:
    """Return what the jobs of a run took: rule to jobs, shortest and longest [s], peak [MB].

    A job without a memory (``NA``), which ended before Snakemake looked, counts for its time only.

    Raises
    ------
    UserError
        If a file holds something else than what Snakemake says of jobs.
    """
    import json

    from lowdose.runtime import UserError

    rows = {}
    for pattern, rule in benchmarks():
        for path in logs.rglob("*.jsonl"):
            if not pattern.fullmatch(path.relative_to(logs.parent).as_posix()):
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    job = json.loads(line)
                    seconds, peak = float(job["s"]), job["max_rss"]
                    row = (1, seconds, seconds, 0.0 if peak in (None, "NA") else float(peak))
                except (ValueError, KeyError, TypeError):
                    raise UserError(
                        f"{path} is no benchmark of a job; delete it and run again."
                    ) from None
                rows[rule] = together(rows[rule], row) if rule in rows else row
    return rows


def together(first: tuple, second: tuple, again: bool = False) -> tuple:
    """Return the row of two groups of jobs, or (`again`) of the same group measured twice."""
    jobs = max(first[0], second[0]) if again else first[0] + second[0]
    return (jobs, min(first[1], second[1]), max(first[2], second[2]), max(first[3], second[3]))


def benchmarks() -> list[tuple]:
    """Return (compiled pattern, rule) of the benchmark file of every rule, as the rules say."""
    import re

    found, taken = [], []
    for path in sorted((Path(__file__).parents[2] / "rules").glob("*.smk")):
        rule, after = "", ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\s*(?:use rule \w+ as|rule) (\w+)", line):
                rule = match[1]
            elif after == "benchmark:" and (match := re.match(r'\s*"results/(.+)"', line)):
                parts = re.split(r"\{\w+\}", match[1])
                found.append((len(parts), "[^/]+".join(map(re.escape, parts)), rule))
            after = line.strip()
    # A name that one rule spells out is not another one's wildcard.
    patterns = []
    for wildcards, text, rule in sorted(found):
        others = "".join(f"(?!{other}$)" for other in taken)
        patterns.append((re.compile(others + text), rule))
        if wildcards == 1:
            taken.append(text)
    return patterns


def read(table: Path) -> dict[str, tuple[int, float, float, float]]:
    """Read a table that this command has written.

    Raises
    ------
    UserError
        If it is another one.
    """
    import csv

    from lowdose.runtime import UserError

    try:
        with table.open(encoding="utf-8", newline="") as stream:
            return {
                row["rule"]: (int(row["jobs"]), *(float(row[name]) for name in COLUMNS[2:]))
                for row in csv.DictReader(stream)
            }
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{table} is no table of this command ({', '.join(COLUMNS)}); name another one."
        ) from None
