"""The registry finds denoisers by name and says what exists."""

import os
import subprocess
import sys

import pytest

from lowdose.denoisers import registry
from lowdose.runtime import UserError


def test_unknown_name_gets_a_suggestion_and_the_list():
    with pytest.raises(
        UserError, match=r"no denoiser 'gausian' \(did you mean gaussian\?\); .* wiener"
    ):
        registry.create("gausian")
    with pytest.raises(UserError, match="no denoiser 'xyz'; choose from raw, constant"):
        registry.info("xyz")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("gaussian", {"sigma": 1}, "no parameter 'sigma'; it has: binning, sigma_nm"),
        ("raw", {"sigma": 1}, "it has: none"),
        ("gaussian", {"sigma_nm": 8}, r"sigma_nm=8 .* a number from 0\.01 to 0\.3 nm"),
        ("gaussian", {"sigma_nm": "8"}, "sigma_nm='8'"),
        ("gaussian", {"sigma_nm": float("nan")}, "sigma_nm=nan"),
        ("tv", {"binning": 5}, "binning=5 .* choose from 1, 2, 3, 4, 6 px"),
        ("nlm", {"distance": 4.5}, "distance=4.5 .* a whole number from 3 to 20 bins"),
    ],
)
def test_unknown_or_impossible_parameters_are_refused(name, parameters, message):
    with pytest.raises(UserError, match=message):
        registry.create(name, **parameters)


def test_defaults_fill_in():
    assert registry.create("tv", weight=2).parameters == {
        "weight": 2.0,
        "iterations": 10,
        "binning": 4,
    }


def test_a_denoiser_is_imported_only_when_asked_for():
    code = (
        "import sys; from lowdose.denoisers import registry; registry.names(); "
        "registry.create('raw'); print('skimage' in sys.modules, 'torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["False", "False"]
