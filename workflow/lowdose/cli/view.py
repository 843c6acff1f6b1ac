"""``lowdose view``: raw and denoised frames and their columns in napari."""

import argparse
from pathlib import Path

HELP = "open a denoised file in napari: counts, denoised frames, columns by log-likelihood ratio"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the file that was denoised")
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where it was written (default: beside the file)")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    import importlib.util

    from lowdose.cli._layers import layers
    from lowdose.runtime import UserError

    if importlib.util.find_spec("napari") is None:
        raise UserError(
            'napari is not installed; `pip install "napari[all]"` in this environment, or open '
            "NAME.denoised.html in a browser."
        )
    shown = layers(arguments.file, arguments.output)
    import napari

    viewer = napari.Viewer(title=arguments.file.name)
    add(viewer, shown)
    napari.run()


def add(viewer, shown: list[tuple]) -> None:
    """Add layers, (data, options, kind) as napari's plug-ins give them, to a viewer."""
    from napari.layers import Layer

    for one in shown:
        viewer.add_layer(Layer.create(*one))
    viewer.scale_bar.visible = True
