"""The data set card: what the simulated images are, how they were made, what they are not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lowdose.data.training_data import allowed_images
from lowdose.report.class_table import CLASSES, PAPER_IMAGES
from lowdose.report.dataset_origin import PAPER, licence, limits, origin, parameters
from lowdose.report.figure_library import DEFECTS
from lowdose.report.frozen_sets import PAPER_HIGH, PAPER_LOW, PAPER_SD, PAPER_VACUUM, FrozenSet
from lowdose.report.information_limit import detected_limit_nm, information_limit_nm
from lowdose.report.markdown import markdown_table
from lowdose.runtime import UserError
from lowdose.structures.plan import BLANKS


@dataclass(frozen=True)
class Contents:
    """What the card describes.

    Attributes
    ----------
    models, pairs, classes : DataFrame
        ``models.csv``, ``pairs.csv`` and ``classes.parquet``.
    shapes : DataFrame
        One row a shape, from :mod:`lowdose.report.figure_library`.
    counts : DataFrame
        From :func:`lowdose.report.class_table.class_counts`.
    frozen : sequence of FrozenSet
    """

    models: pd.DataFrame
    pairs: pd.DataFrame
    classes: pd.DataFrame
    shapes: pd.DataFrame
    counts: pd.DataFrame
    frozen: Sequence[FrozenSet]


def card(contents: Contents, spec: Mapping) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    contents : Contents
    spec : mapping
        ``structures, simulation, optics, camera, frames, study, seed, training_sets``.
    """
    parts = [
        _head(contents, spec),
        _composition(contents),
        parameters(spec),
        _contrast(contents),
        _counts(contents, spec),
        _limit(spec),
        _splits(contents, spec),
        _training_sets(contents, spec),
        origin(spec),
        limits(spec),
        licence(),
    ]
    return "\n\n".join(parts) + "\n"


def _head(contents: Contents, spec: Mapping) -> str:
    tilts, c1 = spec["structures"]["tilts_deg"], spec["frames"]["c1_nm"]
    layers = sorted(contents.models["layers"].unique())
    return (
        f"# Data set card: simulated low-dose TEM images, study `{spec['study']}`\n\n"
        f"{len(contents.models):,} atomic models of {spec['structures']['particle_element']} "
        f"particles on a {spec['structures']['support_cation']}O2 support, one exit wave each, "
        f"seen at {len(c1)} defocus values: {len(contents.classes):,} images. {_words(layers)} "
        f"(220) layers of support, {len(tilts)} tilts, C1 from {min(c1):g} to {max(c1):g} nm. "
        "Waves are stored, images are not: defocus, lens, camera, dose and noise are applied "
        "when an image is asked for. The evaluation frames alone are frozen.\n\n"
        "![Every shape of the library](../figures/library.png)"
    )


def _composition(contents: Contents) -> str:
    models, shapes = contents.models, contents.shapes
    images = contents.classes.groupby("family").size()
    rows = []
    for family, group in shapes.groupby("family"):
        of_family = models[models["family"] == family]
        width, height = (group[key] for key in ("width_nm", "height_nm"))
        rows.append([
            family, group["base_shape"].nunique(), ", ".join(sorted(group["defect"].unique())),
            len(group), f"{len(of_family):,}", f"{images.get(family, 0):,}",
            f"{width.min():.2f} to {width.max():.2f}", f"{height.min():.2f} to {height.max():.2f}",
            f"{group['n_columns'].min()} to {group['n_columns'].max()}",
        ])  # fmt: skip
    for blank in BLANKS:
        if number := int((models["base_shape"] == blank).sum()):
            rows.append(
                [f"{blank} alone", "", "", "", number, f"{images.get(blank, 0):,}", "", "", 0]
            )
    rows.append([
        "all", shapes["base_shape"].nunique(), "", len(shapes), f"{len(models):,}",
        f"{len(contents.classes):,}", "", "", "",
    ])  # fmt: skip
    head = ["family", "base shapes", "defects", "shapes", "models", "images", "width [nm]",
            "height [nm]", "columns"]  # fmt: skip
    meaning = "; ".join(
        f"{key} {DEFECTS[key]}".replace("\n", " ")
        for key in DEFECTS if key in set(shapes["defect"])
    )  # fmt: skip
    families = shapes.groupby("family")["meaning"].first()
    tilt = models.groupby(["tilt_x_deg", "tilt_y_deg"]).size()
    kinds = contents.pairs["kind"].value_counts().sort_index()
    pairs = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none"
    return "\n\n".join([
        "## What it holds",
        markdown_table(head, rows),
        "\n".join(f"- {family}: {words}" for family, words in families.items()),
        f"Families and defects ({meaning}) have meanings of our own; the paper does not publish "
        "its own. Width and height are those of the column centres in the image, the height "
        "from the middle of the interface.",
        markdown_table(
            ["support [(220) layers]", "models"],
            [[k, n] for k, n in models["layers"].value_counts().sort_index().items()],
        ),
        markdown_table(
            ["tilt that shifts along x, y [degrees]", "models"],
            [[f"{x:g}, {y:g}", n] for (x, y), n in tilt.items()],
        ),
        f"Matched pairs, two models that differ in one column (`structures/pairs.csv`): {pairs}.",
    ])  # fmt: skip


def _contrast(contents: Contents) -> str:
    head = ["images", "number", *(f"{name} [%]" for name in CLASSES), "column contrast",
            "paper: number", *(f"paper: {name} [%]" for name in CLASSES)]  # fmt: skip
    titles = {"all": "", "c1_nm": "C1 = {:g} nm", "layers": "{:g} layers", "tilt": "tilt {}"}
    rows = []
    for row in contents.counts.to_dict("records"):
        if row["by"] in titles:
            name = titles[row["by"]].format(row["value"]) or "**all**"
            ours, theirs = ([_percent(row[f"{p}{n}_percent"]) for n in CLASSES]
                            for p in ("", "paper_"))  # fmt: skip
            known = row["paper_images"]
            rows.append([name, f"{row['images']:,}", *ours, f"{row['mean_contrast']:+.3f}",
                         "" if np.isnan(known) else f"{known:,.0f}", *theirs])  # fmt: skip
    blank = len(contents.classes) - int(contents.counts.set_index("by").loc["all", "images"])
    without = f" {blank:,} images without a particle are not counted." if blank else ""
    return "\n\n".join([
        "## Contrast of the columns",
        "c is the mean in the disc of a full column over its surroundings, less 1. An image is "
        "white if at least 90 % of its full columns have c > 0, black if at least 90 % have "
        f"c < 0, and intermediate otherwise.{without} The paper's numbers are those of its test "
        f"set of {PAPER_IMAGES:,} images, of all contrasts ({PAPER}); empty: not known. There, "
        "black occurs at C1 = 0 and 1 nm only, and white from 1 nm up. The rule for the classes "
        "is ours, and so are the models: the shares need not agree.",
        markdown_table(head, rows),
        "![Contrast against defocus](../figures/defocus.png)",
        "The same numbers, also by family, defect and split: `classes.csv`.",
    ])  # fmt: skip


def _counts(contents: Contents, spec: Mapping) -> str:
    dose = spec["frames"]["reference_dose_e_per_px"]
    rows = []
    for one in contents.frozen:
        shares = [_percent(100 * one.drawn[n]) if n in one.drawn else "" for n in range(4)]
        rows.append([one.name, *(f"{dose * v:.3f}" for v in (one.low, one.high, one.mean, one.sd)),
                     *shares])  # fmt: skip
    factor = dose / PAPER_VACUUM
    rows.append(["paper's four sample frames", f"{PAPER_LOW * factor:.3f}",
                 f"{PAPER_HIGH * factor:.3f}", f"{0.443 * factor:.3f}", f"{PAPER_SD * factor:.3f}",
                 "", "", "", ""])  # fmt: skip
    head = ["frozen frames", "lowest", "highest", "mean", "sd", "0 electrons [%]", "1 [%]", "2 [%]",
            "3 or more [%]"]  # fmt: skip
    area = (10 * spec["camera"]["pixel_size_nm"]) ** 2
    return "\n\n".join([
        "## Counts",
        f"Expected counts per pixel at the reference dose of {dose:g} electrons per pixel in "
        f"vacuum ({dose / area:.0f} e/Å²), and the electrons of the first noise realisation.",
        markdown_table(head, rows),
        "The paper's samples (PtNp2, C1 = 6 nm) have 0.45 in vacuum"
        + (f", here scaled to {dose:g}." if dose != PAPER_VACUUM else "."),
        "![Histograms and contrast transfer](../figures/dataset.png)",
    ])  # fmt: skip


def _limit(spec: Mapping) -> str:
    optics, camera, energy = spec["optics"], spec["camera"], spec["simulation"]["energy_kev"]
    lens = information_limit_nm(optics, energy)
    c1 = sorted(spec["frames"]["c1_nm"])
    detected = [detected_limit_nm(value, optics, camera, energy) for value in (c1[0], c1[-1])]
    first = (
        f"The lens has an information limit of {lens:.4f} nm: there the envelope of the focal "
        "spread is 1/e² (13.5 %)."
        if lens > 0
        else "Without a focal spread the lens has no information limit."
    )
    return (
        f"## Information limit\n\n{first} With convergence, vibration and the camera's MTF the "
        f"same is left at {detected[0]:.4f} nm (C1 = {c1[0]:g} nm) to {detected[1]:.4f} nm "
        f"(C1 = {c1[-1]:g} nm), {detected[0] / camera['pixel_size_nm']:.1f} pixels of "
        f"{camera['pixel_size_nm']:g} nm."
    )


def _splits(contents: Contents, spec: Mapping) -> str:
    classes = contents.classes
    rows = []
    # Unused are training shapes that look like one held out, where there are any.
    unused = ["unused"] if (classes["split"] == "unused").any() else []
    for split in ("train", "validation", "test", *unused):
        group = classes[classes["split"] == split]
        named = sorted(set(group["base_shape"]) - set(BLANKS))
        rows.append([split, len(named), f"{group['model_id'].nunique():,}", f"{len(group):,}",
                     ", ".join(named)])  # fmt: skip
    how = (
        "By base shape: a shape is in one split with all its defects, thicknesses, tilts and "
        "defoci."
        if spec["frames"]["split"] == "shape"
        else "By image at random, as in the paper: siblings of training images are in the other "
        "sets, so results on them flatter."
    )
    frozen = [
        [one.name, one.shape[0], f"{one.shape[1]} x {one.shape[2]}", f"{one.pixel_size_nm:g}",
         f"`{one.digest}`"]
        for one in contents.frozen
    ]  # fmt: skip
    return "\n\n".join([
        "## Splits and frozen frames",
        how,
        markdown_table(["split", "base shapes", "models", "images", "which"], rows),
        "Frozen for evaluation (`results/frames/*.h5`; SHA-256 of the expected images and of the "
        "table of frames):",
        markdown_table(["set", "frames", "pixels (y x x)", "pixel [nm]", "digest"], frozen),
    ])  # fmt: skip


def _training_sets(contents: Contents, spec: Mapping) -> str:
    rows = []
    for name, one in spec["training_sets"].items():
        try:
            number = len(allowed_images(contents.classes, {"name": name, **one}))
        except UserError:  # a set that no training of this study may use
            number = 0
        rest = {k: v for k, v in one.items() if v is not None}
        rows.append([f"`{name}`", f"{number:,}", f"`{json.dumps(rest)}`"])
    head = ["training set", "images", "what it admits, doses and augmentation"]
    return "## Training sets\n\n" + markdown_table(head, rows)


def _percent(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}"


def _words(values: Sequence[int]) -> str:
    *first, last = (str(v) for v in values)
    return f"{', '.join(first)} and {last}" if first else last
