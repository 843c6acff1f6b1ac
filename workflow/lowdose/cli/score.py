"""``lowdose score``: estimates of a benchmark's counts against its truth."""

import argparse
from pathlib import Path

HELP = "score denoised arrays of a benchmark (made by `lowdose benchmark`): images, columns, belief"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    results = Path("results")
    parser.add_argument("benchmark", type=Path, metavar="BENCHMARK", help="its folder")
    parser.add_argument(
        "estimates", type=Path, nargs="*", metavar="ESTIMATES",
        help="folders of arrays SET-DOSE.npy, expected electrons per pixel; each folder is a "
             "method and gives it its name",
    )  # fmt: skip
    parser.add_argument(
        "--own", nargs="+", default=[], metavar="NAME",
        help="denoisers of this package that are scored beside them; also clean (the expectation) "
             "and ideal (the ideal observer)",
    )  # fmt: skip
    parser.add_argument("--networks", type=Path, default=results / "networks", metavar="FOLDER")
    parser.add_argument("--baselines", type=Path, default=results / "baselines", metavar="FOLDER",
                        help="of NAME/tuned.json (default: %(default)s)")  # fmt: skip
    parser.add_argument("--output", type=Path, default=None, metavar="TABLE.csv",
                        help="write the table there, and beside it as Markdown")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.evaluation.benchmark_files import read_benchmark, scorer_digest
    from lowdose.evaluation.credibility import IDEAL
    from lowdose.evaluation.estimates import EstimateFolder
    from lowdose.evaluation.score import Scorer
    from lowdose.report.score_page import score_page
    from lowdose.runtime import UserError, atomic_path, fix_torch, write_text

    names = [*(folder.resolve().name for folder in arguments.estimates), *arguments.own]
    if not names:
        raise UserError("There is nothing to score; name a folder of estimates, or --own NAME.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"Two methods are called {twice[0]}; rename one of the folders.")
    output = arguments.output
    if output is not None and output.suffix != ".csv":
        raise UserError(f"--output is {output}; give a name that ends in .csv.")
    benchmark = read_benchmark(arguments.benchmark)
    log(f"benchmark {benchmark.name} is as it was made")
    # Before any work, so that a wrong name costs no minutes.
    sources = {folder.resolve().name: EstimateFolder(folder, benchmark)
               for folder in arguments.estimates}  # fmt: skip
    notes = []
    for name, folder in sources.items():
        if unused := folder.not_used():
            notes.append(f"{name}: not used, since no input has the name: {', '.join(unused)}.")
    if set(arguments.own) - {IDEAL}:
        from lowdose.evaluation.own_estimates import own_estimates

        fix_torch(arguments.threads)
        for name in arguments.own:
            if name != IDEAL:
                sources[name] = own_estimates(
                    name, benchmark, arguments.networks, arguments.baselines
                )
    tables = []
    for name in names:
        scorer = Scorer(benchmark, lambda line, n=name: log(f"{n}: {line}"))
        if name in sources:
            scored = scorer.score(sources[name])
            tables.append(scorer.table(name, scored.images, scored.sites))
            notes += _notes(name, scored)
        else:
            tables.append(scorer.table(name, None, scorer.ideal()))
    table, digest = pd.concat(tables, ignore_index=True), scorer_digest()
    if digest != (made_with := benchmark.manifest.get("made_by", {}).get("scorer")):
        notes.append(f"The benchmark was made with another scorer ({made_with}); compare with rows "
                     "that the same code has scored.")  # fmt: skip
    table = _in_order(table).assign(benchmark=benchmark.name, scorer=digest)
    page = score_page(table, benchmark.name, digest, notes)
    if output is not None:
        with atomic_path(output) as path:
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        write_text(output.with_suffix(".md"), page)
    print(page, end="")


def _notes(name: str, scored) -> list[str]:
    from lowdose.evaluation.benchmark_files import stem
    from lowdose.evaluation.estimates import KEPT_WITHIN

    notes = []
    if scored.missing:
        missing = ", ".join(stem(kind, dose) for kind, dose in scored.missing)
        notes.append(f"{name}: no estimates of {missing}.")
    of_files = scored.images.groupby(["set", "dose_e_per_px"])["counts_kept"].first()
    for (kind, dose), share in of_files.items():
        if abs(share - 1) > KEPT_WITHIN:
            notes.append(
                f"{name}: counts are not kept in {stem(kind, dose)}, the mean is "
                f"{100 * (share - 1):+.1f} % off; its PSNR pays for that."
            )
    return notes


def _in_order(table):
    """Sort by set, shift and dose, the methods of each as they were named."""
    keys = ["set", "shift", "dose_e_per_px", "method"]
    place = {key: {value: i for i, value in enumerate(table[key].unique())} for key in keys}
    return table.sort_values(keys, key=lambda c: c.map(place[c.name]), ignore_index=True)
