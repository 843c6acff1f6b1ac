"""``lowdose movie``: one way to denoise a movie, on all films and doses."""

import argparse
from pathlib import Path

HELP = "denoise all films with one method, and score frames and events against the truth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--method", default="", metavar="NAME", help="which (with --config)")
    parser.add_argument("--movies", type=Path, default=Path("results/movies"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose.cli import log
    from lowdose.data.movies import read_movie
    from lowdose.evaluation.movies import shown_frame, tried, without_truth
    from lowdose.evaluation.stored import write_images
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "movie", method=arguments.method)
    name, folder = spec["name"], arguments.movies / spec["name"]
    tables: dict[str, list] = {"frames": [], "events": [], "risk": []}
    for number, film in enumerate(spec["films"]):
        movie = read_movie(arguments.movies / f"{film}.h5")
        for dose in spec["doses_e_per_px"]:
            frames, events, images, chosen = tried(spec["method"], film, movie, dose, spec)
            tables["frames"].append(frames)
            tables["events"].append(events)
            log(f"{name}, {film} at {dose:g} e/px: {frames['psnr_db'].mean():.2f} dB, "
                f"{frames['seconds'].iloc[0]:.2f} s a frame, {chosen}")  # fmt: skip
            if number == 0 and dose == spec["reference_dose_e_per_px"]:
                shown = shown_frame(movie, spec["first_frames"])
                write_images(folder / "images.h5", [images[shown]], movie.pixel_size_nm)
                risk = without_truth(chosen, movie, dose, spec["seed"])
                tables["risk"].append(pd.DataFrame([{"film": film, "dose_e_per_px": dose, **risk}]))
    # Last the frames: a rule's job counts as done when its table is there.
    for kind in ("risk", "events", "frames"):
        with atomic_path(folder / f"{kind}.parquet") as path:
            table = pd.concat(tables[kind], ignore_index=True)
            table.assign(method=name).to_parquet(path, index=False)
