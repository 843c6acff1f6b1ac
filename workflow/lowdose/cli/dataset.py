"""``lowdose dataset``: what the simulated world holds, in figures, a table and a card."""

import argparse
from pathlib import Path

HELP = "describe the data set: gallery, defocus and histogram figures, class table, card"
FROZEN = (Path("results/frames/validation.h5"), Path("results/frames/test.h5"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.report.paths import FILES
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    for name in ("structures", "classes"):
        parser.add_argument(f"--{name}", type=Path, default=Path(FILES[name]), metavar="PATH")
    parser.add_argument("--frozen", type=Path, nargs="+", default=FROZEN, metavar="FILE",
                        help="files of frozen frames")  # fmt: skip
    parser.add_argument("--figures", type=Path, default=Path("results/figures"), metavar="FOLDER")
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    from lowdose.cli import log
    from lowdose.report import figure_dataset, figure_defocus, figure_library
    from lowdose.report.class_table import class_counts
    from lowdose.report.dataset_card import Contents, card
    from lowdose.report.frozen_sets import read_frozen
    from lowdose.report.inputs import Inputs
    from lowdose.report.style import save, style
    from lowdose.runtime import atomic_path, write_text
    from lowdose.stages import spec_from

    spec = spec_from(arguments, "dataset")
    inputs = Inputs(structures=arguments.structures, classes=arguments.classes)
    frozen = read_frozen(arguments.frozen, spec["frames"]["reference_dose_e_per_px"])
    tables = {}
    with style():
        for name, draw in (
            ("library", lambda: figure_library.draw(inputs, spec)),
            ("defocus", lambda: figure_defocus.draw(inputs, spec)),
            ("dataset", lambda: figure_dataset.draw(inputs, frozen, spec)),
        ):
            figure, tables[name] = draw()
            save(figure, tables[name], arguments.figures, name)
    classes = inputs.contrast_classes()
    counts = class_counts(classes)
    with atomic_path(arguments.tables / "classes.csv") as path:
        counts.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    contents = Contents(
        models=inputs.models()[0], pairs=inputs.pairs(), classes=classes,
        shapes=tables["library"], counts=counts, frozen=frozen,
    )  # fmt: skip
    write_text(arguments.tables / "dataset.md", card(contents, spec))
    log(
        f"{len(tables['library'])} shapes, {len(classes)} images: {arguments.tables / 'dataset.md'}"
    )
