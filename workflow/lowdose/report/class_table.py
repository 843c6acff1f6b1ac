"""How many images look white, black or neither, beside the counts that the paper published."""

from __future__ import annotations

import numpy as np
import pandas as pd

CLASSES = ("white", "intermediate", "black")
COLOURS = {"white": "#ffffff", "intermediate": "#9a9a9a", "black": "#222222"}
PAPER_COLOUR = "#d55e00"  # what the paper published, in every figure

# The all-contrast test set of Vincent et al. (2021), counted in the evaluation CSV that the
# authors published.
PAPER = {"white": 1117, "intermediate": 2286, "black": 164}
PAPER_IMAGES = 3567
PAPER_LAYERS = {16: 509, 21: 537, 26: 1993, 31: 528}  # nominally 3, 4, 5 and 6 nm
PAPER_WHITE_AT_20_NM = (102, 181)  # white images, all images
# Black occurs there at C1 = 0 and 1 nm only, white from 1 nm up, intermediate everywhere.
PAPER_BLACK_UP_TO_NM = 1.0
PAPER_WHITE_FROM_NM = 1.0


def class_counts(classes: pd.DataFrame) -> pd.DataFrame:
    """Count the images of each contrast class, overall and by what they depend on.

    Parameters
    ----------
    classes : DataFrame
        ``classes.parquet``; images of another class (without a particle) are left out.

    Returns
    -------
    DataFrame
        One row for each `by` (all, c1_nm, layers, tilt, family, defect, split) and `value`:
        ``images, white, intermediate, black``, their shares ``*_percent``, the mean
        ``mean_contrast`` (of the columns against their surroundings), and what is known of the
        paper's test set: ``paper_images``, ``paper_*_percent`` (NaN where it is not).
    """
    counted = classes[classes["contrast"].isin(CLASSES)]
    tilt = "x" + counted["tilt_x_deg"].map("{:g}".format)
    keys = {
        "all": pd.Series("all", index=counted.index),
        **{key: counted[key] for key in ("c1_nm", "layers")},
        "tilt": tilt + " y" + counted["tilt_y_deg"].map("{:g}".format),
        **{key: counted[key] for key in ("family", "defect", "split")},
    }
    rows = []
    for by, key in keys.items():
        for value, group in counted.groupby(key.rename("key")):
            number = group["contrast"].value_counts()
            row = {"by": by, "value": value, "images": len(group)}
            row |= {name: int(number.get(name, 0)) for name in CLASSES}
            row |= {f"{name}_percent": 100 * row[name] / len(group) for name in CLASSES}
            row["mean_contrast"] = group["mean_contrast"].mean()
            rows.append(row | _paper(by, value))
    return pd.DataFrame(rows)


def _paper(by: str, value: object) -> dict[str, float]:
    """Return what is known of the paper's images of this kind."""
    known = {"paper_images": np.nan, **{f"paper_{name}_percent": np.nan for name in CLASSES}}
    if by == "all":
        known["paper_images"] = PAPER_IMAGES
        known |= {f"paper_{n}_percent": 100 * PAPER[n] / PAPER_IMAGES for n in CLASSES}
    elif by == "layers":
        known["paper_images"] = PAPER_LAYERS.get(value, np.nan)
    elif by == "c1_nm":
        if value > PAPER_BLACK_UP_TO_NM:
            known["paper_black_percent"] = 0.0
        if value < PAPER_WHITE_FROM_NM:
            known["paper_white_percent"] = 0.0
        if value == 20:
            white, images = PAPER_WHITE_AT_20_NM
            known["paper_images"] = images
            known["paper_white_percent"] = 100 * white / images
            known["paper_intermediate_percent"] = 100 * (images - white) / images
    return known
