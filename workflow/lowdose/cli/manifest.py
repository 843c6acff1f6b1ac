"""``lowdose manifest``: every result with its digest and the record that explains it."""

import argparse
from pathlib import Path

HELP = "list all results with digests and records; name what was altered or has no record"
MOST_SENTENCES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), metavar="FOLDER")
    parser.add_argument("--trust", action="store_true",
                        help="do not read files whose size and time are on record")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the manifest; return 1 if a file is not as it should be."""
    from lowdose import manifest

    made = manifest.make(arguments.results, trusting=arguments.trust)
    path = manifest.write(arguments.results, made)
    for line in told(made, path):
        print(line)
    return int(bool(made.problems()))


def told(made, path: Path) -> list[str]:
    """Return what a person is told of a manifest: a line, and one for each of its problems."""
    explained = len(made.files) - len(made.unexplained)
    lines = [f"{path}: {len(made.files)} results, {explained} with a record"]
    sentences = made.problems()
    lines += [f"  {sentence}" for sentence in sentences[:MOST_SENTENCES]]
    if len(sentences) > MOST_SENTENCES:
        lines.append(f"  and {len(sentences) - MOST_SENTENCES} more, which the manifest lists.")
    return lines
