"""Which images a training set admits."""

import pandas as pd
import pytest

from lowdose.config import TrainingSet
from lowdose.data.training_data import allowed_images
from lowdose.runtime import UserError

ALL = {"name": "set", **TrainingSet(contrast="all").model_dump()}


@pytest.fixture
def classes() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"model_id": f"{shape}-{defect}-{layers}", "base_shape": shape, "family": shape[:5],
             "defect": defect, "layers": layers, "tilt_x_deg": tilt, "tilt_y_deg": 0.0,
             "c1_nm": c1, "contrast": "white" if c1 > 4 else "black",
             "split": "test" if shape == "PtNp1b" else "train"}
            for shape in ("PtNp1a", "PtNp1b", "PtNp2a") for defect in ("D0", "D1")
            for layers in (16, 21) for tilt in (-3.0, 0.0, 3.0) for c1 in (0.0, 8.0)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 48),
        ({"contrast": "white"}, 24),
        ({"families": ["PtNp2"]}, 24),
        ({"defects": ["D1"], "layers": [21]}, 12),
        ({"largest_tilt_deg": 2.0}, 16),
        ({"c1_nm": (0.0, 0.0)}, 24),
    ],
)
def test_each_key_narrows_the_training_split(classes, changes, count):
    allowed = allowed_images(classes, {**ALL, **changes})
    assert len(allowed) == count
    assert "PtNp1b" not in set(allowed["base_shape"])  # never from the test split


def test_empty_set_is_refused(classes):
    with pytest.raises(UserError, match=r"training set 'set' admits no image"):
        allowed_images(classes, {**ALL, "contrast": "intermediate"})
