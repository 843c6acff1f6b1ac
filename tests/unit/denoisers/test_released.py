"""Networks that come with the package: found by name, wherever a denoiser is."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from lowdose.denoisers import checkpoints, registry, released
from lowdose.denoisers.networks.build import build
from lowdose.runtime import UserError

SPEC = {"architecture": "dncnn", "layers": 3, "channels": 4}
CARD = {
    "name": "any contrast",
    "architecture": SPEC,
    "receptive_field_px": 7,
    "own_pixel_size_nm": 0.0061,
    "pixel_size_nm": [0.004, 0.012],
    "dose_e_per_a2": [27.0, 5400.0],
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A package that comes with two small networks, and a folder that is none."""
    monkeypatch.setattr(released, "ROOT", tmp_path)
    for name in ("white", "general"):
        network = build(SPEC, seed=0)
        with torch.no_grad():
            last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            last.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(name)))
        checkpoints.save(tmp_path / name, network, CARD)
    (tmp_path / "unfinished").mkdir()
    return tmp_path


def test_the_folder_lies_inside_the_package():
    assert released.ROOT.name == "released"
    assert released.ROOT.parent.name == "denoisers"
    assert (released.ROOT.parent / "released.py").is_file()


def test_names_are_those_of_the_folders_with_weights(root):
    assert released.names() == ["general", "white"]
    assert registry.names()[-2:] == ("general", "white")
    assert registry.names()[0] == "raw"


def test_by_name_it_is_the_network_of_the_folder(root):
    counts = np.random.default_rng(0).poisson(0.45, (2, 40, 50)).astype(np.float32)
    direct = checkpoints.load(root / "general", bf16=False).denoise(counts, 0.0061)
    for found in (
        released.load("general", bf16=False),
        registry.create("general", bf16=False),
    ):
        assert np.array_equal(found.denoise(counts, 0.0061), direct)
        assert found.info == registry.info("general") == released.info("general")
    other = released.load("white", bf16=False).denoise(counts, 0.0061)
    assert np.abs(other - direct).max() > 1e-3


def test_it_is_ready_to_use_and_says_where_it_works(root):
    info = registry.info("general")
    assert info.name == "general"
    assert not info.needs_fit
    assert (info.pixel_size_nm, info.dose_e_per_a2) == ((0.004, 0.012), (27.0, 5400.0))
    assert registry.create("general").own_pixel_size_nm == 0.0061
    assert registry.create("general", orientations=8).parameters == {"orientations": 8}
    with pytest.raises(UserError, match="Denoiser general has no parameter 'sigma_nm'"):
        registry.create("general", sigma_nm=0.1)


def test_what_its_result_depends_on(root):
    assert registry.module_of("general") == "lowdose.denoisers.checkpoints"
    assert released.modules("general") == [
        "lowdose.denoisers.checkpoints",
        "lowdose.denoisers.networks.dncnn",
    ]
    files = released.files("general")
    assert [path.name for path in files] == ["card.json", "model.safetensors"]
    assert all(path.parent == root / "general" and path.is_file() for path in files)


def test_there_is_nothing_to_tune(root):
    with pytest.raises(UserError, match="general is a trained network and has nothing to tune"):
        registry.kind("general")


def test_an_unknown_name_gets_a_suggestion_and_the_list(root, tmp_path, monkeypatch):
    sentence = (
        r"no shipped network 'generel' \(did you mean general\?\); choose from general, white"
    )
    with pytest.raises(UserError, match=sentence):
        released.load("generel")
    with pytest.raises(UserError, match=r"no denoiser 'generel' \(did you mean general"):
        registry.create("generel")
    with pytest.raises(UserError, match="no shipped network 'unfinished'"):
        released.info("unfinished")
    monkeypatch.setattr(released, "ROOT", tmp_path / "empty")
    with pytest.raises(UserError, match="'general'; this version comes with none"):
        released.load("general")


def test_listing_and_describing_them_needs_no_torch(root):
    code = (
        "import sys, pathlib; from lowdose.denoisers import registry, released; "
        "released.ROOT = pathlib.Path(sys.argv[1]); "
        "print(registry.names()[-1], registry.info('white').title, 'torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, root],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == "white any contrast (7 px) False"
