"""``lowdose adaptation``: what adapting a network to a frame gains, at home and away."""

import argparse
from pathlib import Path

HELP = "adapt the shipped networks to frames of their world and of others, and measure the gain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames/test.h5"))
    parser.add_argument("--shifted", type=Path, default=Path("results/frames/shifted.h5"),
                        help="read where the study has a shifted set")  # fmt: skip
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.evaluation import adaptation, natural_images
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "adaptation")
    draws, seed = spec["draws"], spec["seed"]
    frames = read_frames(arguments.frames)
    shifted = read_frames(arguments.shifted) if spec["shifted"] else None
    world = spec["material"]
    material = adaptation.material_frames(world, spec["frames"]) if world else None
    networks = {name: adaptation.pair(name, spec["steps"]) for name in spec["networks"]}
    of_cases = adaptation.cases(frames, shifted, material, spec)
    rows = []
    for row in adaptation.frame_table(of_cases, networks, spec):
        rows.append(row)
        log(f"{row['network']}, {row['case']}, {row['frame']}: {row['gain_db']:+.2f} dB")
    rows = pd.DataFrame(rows)
    tables = {
        "adaptation_frames": rows,
        "adaptation": adaptation.table_of(rows, draws, seeds.rng(seed, "adaptation", "table")),
    }
    network = natural_images.trained(spec["natural"]["training_steps"], seed)
    rows = []
    for image in natural_images.images(spec["natural"]["crop_px"]):
        rows.append(natural_images.adapted(network, image, spec))
        log(f"{image.case}, {image.image}: {rows[-1]['gain_db']:+.2f} dB")
    tables["natural_images"] = adaptation.table_of(
        pd.DataFrame(rows), draws, seeds.rng(seed, "natural images", "table"),
        by=("case",), unit="image",
    )  # fmt: skip
    for name, table in tables.items():
        with atomic_path(arguments.tables / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
