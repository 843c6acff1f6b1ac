"""``lowdose benchmark``: frozen counts that others denoise, and the truth to score them by."""

import argparse
from pathlib import Path

FEW_SHAPES = 8  # below which an interval over them says little
HELP = "make the benchmark that others run on their own denoiser (scored by `lowdose score`)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    results = Path("results")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the benchmark goes")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="FILE",
        help="configuration files of the study whose frames these are (default: the quick one)",
    )  # fmt: skip
    parser.add_argument("--frames", type=Path, default=results / "frames", metavar="FOLDER",
                        help="of validation.h5 and test.h5 (default: %(default)s)")  # fmt: skip
    parser.add_argument("--shifted", type=Path, default=None, metavar="FILE",
                        help="frames that leave the training world (default: shifted.h5 in "
                             "--frames; without it the benchmark has none)")  # fmt: skip
    parser.add_argument("--pairs", type=Path, default=results / "structures" / "pairs.csv",
                        metavar="FILE", help="matched pairs (default: %(default)s)")  # fmt: skip
    parser.add_argument("--doses", type=float, nargs="+", default=None, metavar="DOSE",
                        help="electrons per pixel in vacuum (default: 0.1 0.45 2)")  # fmt: skip
    parser.add_argument("--realisations", type=int, default=None, metavar="N",
                        help="of each test frame (default: 4)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true",
                        help="replace a benchmark that is there")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from lowdose import config
    from lowdose.cli import log
    from lowdose.evaluation.benchmark import (
        DOSES_E_PER_PX,
        REALISATIONS,
        counted_sets,
        read_source,
    )
    from lowdose.evaluation.benchmark_files import MANIFEST, write_benchmark
    from lowdose.provenance import digest
    from lowdose.report.benchmark_page import readme
    from lowdose.runtime import UserError, write_text
    from lowdose.stages import Study

    folder, doses = arguments.folder, arguments.doses or DOSES_E_PER_PX
    if (folder / MANIFEST).exists() and not arguments.overwrite:
        raise UserError(f"{folder} holds a benchmark; name another folder, or add --overwrite.")
    if not all(0 < dose < float("inf") for dose in doses):
        raise UserError("--doses must be positive electrons per pixel, such as 0.1 0.45 2.")
    many = dict(REALISATIONS)
    if arguments.realisations is not None:
        if arguments.realisations < 1:
            raise UserError(f"--realisations is {arguments.realisations}; give 1 or more.")
        many["test"] = arguments.realisations
    study = Study(config.load(arguments.config))
    paths = {kind: arguments.frames / f"{kind}.h5" for kind in ("validation", "test")}
    shifted = arguments.shifted or arguments.frames / "shifted.h5"
    if arguments.shifted or shifted.is_file():
        paths["shifted"] = shifted
    else:
        log(f"no {shifted}: the benchmark has no set that leaves the training world")
    pairs = _pairs(arguments.pairs)
    spec = study.spec("shifted")
    imaging = {**{key: spec[key] for key in ("optics", "camera")},
               "energy_kev": spec["simulation"]["energy_kev"]}  # fmt: skip
    sources = {kind: read_source(path, imaging, spec["seed"]) for kind, path in paths.items()}
    sets = counted_sets(sources, pairs, sorted(set(doses)), many, spec["seed"], log)
    if "shifted" in sets and sets["shifted"].sites.empty:
        raise UserError(
            f"No two frames of {shifted} show a matched pair of models in one shift, which the "
            "scorer asks about; name another file by --shifted, or a folder of --frames without it."
        )
    if (shapes := sources["test"].table["base_shape"].nunique()) < FEW_SHAPES:
        log(f"the test set has {shapes} base shapes: intervals over so few are wide")
    evaluation = study.config.evaluation
    about = {
        "study": study.config.study,
        "seed": spec["seed"],
        "spec_digest": digest(spec, 64),
        "spec": spec,
        "scoring": {"sigma_nm": evaluation.sigma_nm, "gate_nm": evaluation.gate_nm,
                    "draws": evaluation.bootstrap_draws},
    }  # fmt: skip
    earlier = _files_in(folder / MANIFEST)
    (folder / MANIFEST).unlink(missing_ok=True)  # first: without it the rest is no benchmark
    for name in earlier:
        (folder / name).unlink(missing_ok=True)
    made = write_benchmark(folder, sets, about, log)
    write_text(folder / "README.md", readme(made.manifest, made.size))
    print(f"{folder}: read {folder / 'README.md'}, then `python -m lowdose score {folder} MINE`.")


def _files_in(manifest: Path) -> set[str]:
    """Return the arrays and tables of the benchmark that a manifest describes."""
    import json

    try:
        names = set(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if Path(name).parent.as_posix() in ("inputs", "truth")}


def _pairs(path: Path):
    """Return the table of matched pairs.

    Raises
    ------
    UserError
        If it is missing or another one.
    """
    import pandas as pd

    from lowdose.evaluation.stakes import ABOUT
    from lowdose.runtime import UserError

    if not path.is_file():
        raise UserError(f"There is no {path}; run the stage `structures` first.")
    # What a frame tells of its columns at stake is not asked of the pairs.
    of_frames = {"frame", "present", "family", "c1_nm"}
    needed = {"model_present", "model_absent", "column", *ABOUT} - of_frames
    try:
        pairs = pd.read_csv(path)
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read as a table ({type(error).__name__}); run the stage "
            "`structures` again."
        ) from None
    if missing := sorted(needed - set(pairs)):
        raise UserError(f"{path} has no column {missing[0]}; give the pairs.csv of the study.")
    return pairs
