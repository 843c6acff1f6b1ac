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


def test_images_without_a_particle_belong_to_every_set(classes):
    blank = classes[classes["base_shape"] == "PtNp1a"].assign(
        base_shape="support", family="support", defect="D0", contrast="none", split="train"
    )
    both = pd.concat([classes, blank])
    narrow = {"contrast": "white", "families": ["PtNp2"], "defects": ["D1"], "layers": [21]}
    allowed = allowed_images(both, {**ALL, **narrow})
    counts = allowed["family"].value_counts()
    # Six conditions of the one shape; of the support those of 21 layers, whatever the rest says.
    assert counts.to_dict() == {"PtNp2": 3, "support": 12}
    with pytest.raises(UserError, match="admits no image"):
        allowed_images(both, {**ALL, "contrast": "intermediate"})


def test_empty_set_is_refused(classes):
    with pytest.raises(UserError, match=r"training set 'set' admits no image"):
        allowed_images(classes, {**ALL, "contrast": "intermediate"})
