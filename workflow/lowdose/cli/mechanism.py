"""``lowdose mechanism``: equivalent filters of the networks."""

import argparse
from pathlib import Path

HELP = "compute the networks' equivalent filters at a surface, a bulk and a vacuum pixel"
FEWEST_PIXELS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--networks", type=Path, default=Path("results/networks"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("results/mechanism/filters.h5"))


def run(arguments: argparse.Namespace) -> None:
    import h5py

    from lowdose.cli import log
    from lowdose.data.frames import read_frames
    from lowdose.denoisers import checkpoints
    from lowdose.evaluation.mechanism import equivalent_filter, places
    from lowdose.runtime import atomic_path, fix_torch
    from lowdose.stages import spec_from

    fix_torch(arguments.threads)
    spec = spec_from(arguments, "mechanism")
    frames = read_frames(arguments.frames / "test.h5")
    perfect = frames.table[frames.table["defect"] == "D0"]
    number = int(perfect["frame"].iloc[len(perfect) // 2])
    dose, pixel = spec["dose_e_per_px"], frames.pixel_size_nm
    relative = frames.counts(number, dose, 0, spec["seed"]) / dose
    columns = frames.columns[frames.columns["frame"] == number]
    where = places(columns, float(frames.table["interface_y_nm"].iloc[number]))
    with atomic_path(arguments.output) as path, h5py.File(path, "w", libver="latest") as file:
        file.attrs.update({"pixel_size_nm": pixel, "frame": number, "dose_e_per_px": dose})
        for name in spec["networks"]:
            learned = checkpoints.load(arguments.networks.joinpath(*name.split(".")), name)
            reach = max(FEWEST_PIXELS, learned.info.receptive_field_px // 2 + 1)
            for place, (x, y) in where.items():
                found = equivalent_filter(
                    learned.network, relative, round(y / pixel), round(x / pixel), reach
                )
                group = file.create_group(f"{name}/{place}")
                group.create_dataset("filter", data=found.filter, compression="gzip", shuffle=True)
                group.attrs.update(
                    {
                        "x_nm": x, "y_nm": y, "frame": number, "row": found.row,
                        "column": found.column, "output": found.output,
                        "linear_part": found.linear_part, "remainder": found.remainder,
                        "half_width_px": reach,
                    }
                )  # fmt: skip
                log(f"{name} at the {place}: {found.output:.3f} = {found.linear_part:.3f} of the "
                    f"counts + {found.remainder:.3f}")  # fmt: skip
