"""The release networks never saw a particle on which the quick study tests them."""

from pathlib import Path

import pandas as pd
import pytest

from lowdose import config
from lowdose.data.splits import split_shapes, twins
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.plan import plan, rows

CONFIG = Path(config.default_files()[0]).parent


def perfect_particles(study: config.Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One perfect model of each base shape: its columns and its row."""
    structures = study.model_dump(mode="json")["structures"]
    models = {m.base_shape: m for m in plan(structures) if m.defect == "D0"}
    columns = [
        true_columns(build_structure(structures, m, study.seed), m).assign(model_id=m.model_id)
        for m in models.values()
    ]
    table = pd.DataFrame(rows(list(models.values()))).assign(tilt_x_deg=0, tilt_y_deg=0)
    return pd.concat(columns), table


def splits(study: config.Config, table: pd.DataFrame) -> dict[str, str]:
    frames = study.frames
    return split_shapes(table, frames.test_shapes, frames.validation_shapes, study.seed)


@pytest.fixture(scope="module")
def release():
    return prefixed("release", config.load([CONFIG / "release.yaml"]))


def prefixed(name: str, study: config.Config) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    columns, table = perfect_particles(study)
    split = {name + shape: part for shape, part in splits(study, table).items()}
    rename = {key: name + table[key] for key in ("model_id", "base_shape")}
    return columns.assign(model_id=name + columns["model_id"]), table.assign(**rename), split


@pytest.mark.parametrize("name", ["config", "study", "field", "geometry"])
def test_no_test_particle_of_a_study_is_trained_on_by_the_release(release, name):
    study = prefixed("study", config.load([] if name == "config" else [CONFIG / f"{name}.yaml"]))
    columns, tables = (
        pd.concat([one, two]) for one, two in zip(release[:2], study[:2], strict=True)
    )
    split = release[2] | study[2]
    met = 0
    for group in twins(columns, tables):
        if "test" in {split[shape] for shape in group if shape.startswith("study")}:
            parts = {split[shape] for shape in group if shape.startswith("release")}
            met += bool(parts)
            # A training shape that looks like one held out is left unused (data.freeze).
            assert not parts or parts - {"train"}, group
    assert met  # the libraries share shapes, or nothing was tested
