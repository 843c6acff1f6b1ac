"""``lowdose verify``: compare the results of a rerun with published ones."""

import argparse
from pathlib import Path

HELP = "compare results with a published reference, item by item"

# The studies that are published with the project: name -> their references.
REFERENCES = Path(__file__).parents[3] / "results" / "reference"
PUBLISHED = {name: REFERENCES / name / "verify" for name in ("quick", "study")}
SHOWN = 6  # differences of a kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"),
                        help="folder that ./study run has filled (default: results)")  # fmt: skip
    parser.add_argument("--reference", metavar="NAME", default="quick",
                        help=f"what to compare with: {' or '.join(PUBLISHED)}, of the published "
                        "studies, or a folder (default: quick)")  # fmt: skip
    parser.add_argument("--kinds", nargs="+", metavar="KIND",
                        help="only these, such as columns, frames, scores")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE.csv",
                        help="write every item with its verdict")  # fmt: skip
    parser.add_argument("--all", action="store_true",
                        help=f"show all differences, not {SHOWN} of each kind")  # fmt: skip
    parser.add_argument("--publish", type=Path, metavar="FOLDER",
                        help="compare nothing: make a reference of these results")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if arguments.publish is not None:
        return _publish(arguments.publish, arguments.results)
    reference = PUBLISHED.get(arguments.reference, Path(arguments.reference))
    items = verified(arguments.results, reference, arguments.kinds)
    if arguments.output is not None:
        _write(arguments.output, items)
    _show(items, None if arguments.all else SHOWN)
    unlike = any(item.is_unlike for item in items)
    if unlike:
        _explain(arguments.results, reference)
    return int(unlike)


def verified(results: Path, reference: Path, kinds: list[str] | None = None) -> list:
    """Compare a folder of results with a reference; return the items.

    Raises
    ------
    UserError
        If either cannot be read, there is no such kind, or nothing of it is published.
    """
    from lowdose.runtime import UserError
    from lowdose.verification.compare import compare
    from lowdose.verification.extract import extract
    from lowdose.verification.reference import read_reference
    from lowdose.verification.rules import KEYS

    if unknown := sorted(set(kinds or ()) - set(KEYS)):
        raise UserError(f"There is no kind {unknown[0]}; choose from {', '.join(KEYS)}.")
    published, _ = read_reference(reference)
    if kinds is not None:
        wanted = {kind: table for kind, table in published.items() if kind in kinds}
        if not wanted:
            raise UserError(f"{reference} has no {' or '.join(kinds)}; it has "
                            f"{', '.join(published) or 'nothing'}.")  # fmt: skip
        published = wanted
    if not published:
        raise UserError(f"{reference} is a reference to nothing; make it again.")
    return compare(published, extract(results, kinds))


def summary(items: list) -> str:
    """Return in one line how many items agree, differ, are missing and were added."""
    from lowdose.verification.items import VERDICTS

    numbers = [sum(item.verdict == verdict for item in items) for verdict in VERDICTS]
    agree, differ, missing, added = numbers
    text = f"{agree} of {agree + differ + missing} items agree, {differ} differ"
    text += f", {missing} are missing" if missing else ""
    return text + (f"; {added} that the reference has not" if added else "")


def beside_published(results: Path, name: str) -> list[str]:
    """Return what a run of a published study says at its end: how it compares with that one.

    A difference is no failure of the run: whoever edits ``config/config.yaml`` wants one.
    """
    from lowdose.cli import log
    from lowdose.runtime import UserError

    try:
        items = [item for item in verified(results, PUBLISHED[name]) if item.verdict != "added"]
    except UserError as error:
        log(f"not compared with the published {_called(name)}: {error}")
        return []
    unlike = [item for item in items if item.is_unlike]
    kinds = list(dict.fromkeys(item.kind for item in unlike))
    line = f"{len(items) - len(unlike)} of {len(items)} items agree with the published "
    line += _called(name)
    if unlike:
        command = "./study verify" + ("" if name == "quick" else f" --reference {name}")
        line += f"; others in {', '.join(kinds)} ({command} tells which)"
    return [line]


def _called(name: str) -> str:
    return "quick study" if name == "quick" else name


def _show(items: list, most: int | None) -> None:
    from lowdose.verification.items import VERDICTS

    kinds = list(dict.fromkeys(item.kind for item in items))
    print(f"{'kind':20s}" + "".join(f"{verdict:>10s}" for verdict in VERDICTS))
    for kind in kinds:
        numbers = [
            sum(item.kind == kind and item.verdict == verdict for item in items)
            for verdict in VERDICTS
        ]
        print(f"{kind:20s}" + "".join(f"{number:10d}" for number in numbers))
    for kind in kinds:
        unlike = [i for i in items if i.kind == kind and i.is_unlike]
        for item in unlike[:most]:
            detail = f": {item.detail}" if item.detail else ""
            print(f"{kind}, {item.item}: {item.verdict}{detail}")
        if most is not None and len(unlike) > most:
            print(f"{kind}: {len(unlike) - most} more; --all shows them, --output writes them")
    print(summary(items) + ".")


def _explain(results: Path, reference: Path) -> None:
    """Print what the published results were made with and these were not."""
    from lowdose.verification.made_with import changed, circumstances
    from lowdose.verification.reference import read_about

    for line in changed(read_about(reference).get("made_with", {}), circumstances(results)):
        print(f"made with: {line}")


def _write(path: Path, items: list) -> None:
    import pandas as pd

    from lowdose.runtime import atomic_path

    with atomic_path(path) as temporary:
        pd.DataFrame(items).to_csv(temporary, index=False, lineterminator="\n")


def _publish(folder: Path, results: Path) -> int:
    from lowdose import __version__
    from lowdose.verification.extract import extract
    from lowdose.verification.made_with import circumstances
    from lowdose.verification.reference import write_reference

    found = extract(results)
    write_reference(folder, found, {"lowdose": __version__, "made_with": circumstances(results)})
    rows = sum(map(len, found.values()))
    print(f"{folder}: {rows} rows of {len(found)} kinds")
    return 0
