"""``lowdose tune``: parameters of one baseline."""

import argparse
from pathlib import Path

HELP = "tune one classical denoiser on the validation frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--baseline", help="name in the registry (with --config)")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, help="default: results/baselines/NAME/tuned.json")


def run(arguments: argparse.Namespace) -> None:
    import importlib
    import json

    import pandas as pd

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.data.frames import one_per_shape, read_frames
    from lowdose.denoisers.tuning import search
    from lowdose.evaluation.tuning_score import OBJECTIVES, TuningScore
    from lowdose.runtime import atomic_path, fix_torch, write_text
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "tune", baseline=arguments.baseline)
    registry = importlib.import_module("lowdose.denoisers.registry")  # see evaluation.arms
    name = spec["baseline"]
    output = arguments.output or Path(f"results/baselines/{name}/tuned.json")
    frames = read_frames(arguments.frames / "validation.h5")
    if spec["one_per_shape"]:
        frames = one_per_shape(frames)
    kind = registry.kind(name)
    score_of = TuningScore(kind, frames, spec, spec["objectives"])
    tables, found = [], {}
    for objective in spec["objectives"]:
        score = OBJECTIVES[objective]
        # From the same seed: the trials of the design are those of the other objective, too.
        best, trials = search(
            kind,
            lambda parameters, key=score: score_of(parameters)[key],
            trials=spec["trials"],
            rng=seeds.rng(spec["seed"], "tune", name),
            fixed=spec["fixed"],
        )
        all_scores = pd.DataFrame([score_of(p) for p in trials[list(best)].to_dict("records")])
        # A method may have a parameter of that name.
        all_scores = all_scores.rename(columns={"threshold": "detection_threshold"})
        tables.append(pd.concat([trials.drop(columns="score"), all_scores], axis=1))
        tables[-1].insert(0, "objective", objective)
        found[objective] = {"parameters": best, "trials": len(trials), **score_of(best)}
    with atomic_path(output.parent / "trials.csv") as path:
        pd.concat(tables).to_csv(path, index=False, lineterminator="\n")
    result = {
        "baseline": name,
        "objectives": found,
        "dose_e_per_px": spec["dose_e_per_px"],
        "frames_digest": frames.digest,
    }
    write_text(output, json.dumps(result, indent=2, sort_keys=True) + "\n")
    for objective, one in found.items():
        log(f"{name}, for {objective}: {one[OBJECTIVES[objective]]:.4g} with {one['parameters']}")
