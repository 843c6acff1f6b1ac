"""``lowdose release --trained``: only what the configuration describes is published."""

import json

import pytest

from lowdose import config
from lowdose.cli import release
from lowdose.denoisers import checkpoints
from lowdose.denoisers.networks.build import build
from lowdose.runtime import UserError
from lowdose.stages import Study


@pytest.fixture(scope="module")
def study():
    return Study(config.load([release.CONFIG]))


def trained(folder, study, name, **changed):
    """Save an untrained network with the card that a training would write."""
    spec = study.spec("train", network=name, training_set=name, seed=0) | changed
    card = {
        "name": name, "architecture": spec["network"], "training": spec["training"],
        "training_set": spec["training_set"], "study_seed": spec["study_seed"],
        "receptive_field_px": 1, "pixel_size_nm": [0.004, 0.012], "dose_e_per_a2": [27, 5400],
    }  # fmt: skip
    checkpoints.save(folder, build(spec["network"], 0), json.loads(json.dumps(card)))
    return folder


def test_a_training_elsewhere_by_the_recipe_is_taken(tmp_path, study):
    release.check_recipe(study, "white", trained(tmp_path / "white", study, "white"))


def test_a_training_by_another_recipe_is_refused(tmp_path, study):
    shorter = study.spec("train", network="white", training_set="white", seed=0)["training"]
    folder = trained(tmp_path / "white", study, "white", training=shorter | {"steps": 7})
    with pytest.raises(UserError, match=r"another training than release\.yaml gives white; train"):
        release.check_recipe(study, "white", folder)
    with pytest.raises(UserError, match=r"another training than release\.yaml gives general"):
        release.check_recipe(study, "general", folder)


def test_a_folder_without_weights_is_refused(tmp_path, study):
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(UserError):
        release.check_recipe(study, "white", tmp_path)
