"""Digests move with contents, with nothing else."""

from __future__ import annotations

import hashlib
import os

import pytest

from lowdose import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two stages on a shared module, in place of the real one."""
    files = {
        "__init__.py": '"""A package."""\n',
        "shared.py": "X = 1\n",
        "simulate.py": "from lowdose import shared\n",
        "figures.py": "def run():\n    import lowdose.shared\nfrom lowdose.report import plot\n",
        "report/__init__.py": '"""A room."""\n',
        "report/plot.py": "import numpy\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    return tmp_path


def digests(*stages):
    provenance.code_digest.cache_clear()
    provenance._imports_of.cache_clear()
    return [provenance.code_digest(f"lowdose.{stage}") for stage in stages]


@pytest.fixture(autouse=True)
def fresh_caches():
    yield
    provenance.code_digest.cache_clear()
    provenance._imports_of.cache_clear()


def test_canonical_json_is_one_text_for_equal_values():
    assert provenance.canonical_json({"b": 1, "a": [0.5, None]}) == '{"a":[0.5,null],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        provenance.canonical_json({"a": float("nan")})


def test_digest_is_the_sha256_of_the_canonical_text():
    expected = hashlib.sha256(b'{"lr":1,"wd":2}').hexdigest()
    assert provenance.digest({"wd": 2, "lr": 1}) == expected[:12]
    # Snakemake compares parameters as a set of values; a digest sees two of them swapped.
    assert provenance.digest({"lr": 2, "wd": 1}) != provenance.digest({"lr": 1, "wd": 2})


def test_file_digest(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert provenance.file_digest(tmp_path / "x") == known


def test_modules_follow_imports_also_inside_functions(package):
    found = provenance.modules_of("lowdose.figures")
    names = {"lowdose", "lowdose.figures", "lowdose.report", "lowdose.report.plot"}
    assert set(found) == {*names, "lowdose.shared"}


def test_touching_changes_nothing(package):
    before = digests("simulate", "figures")
    for path in package.rglob("*.py"):
        os.utime(path, (0, 0))
    assert digests("simulate", "figures") == before


def test_an_edit_changes_the_stages_that_import_the_module_and_no_other(package):
    simulate, figures = digests("simulate", "figures")
    (package / "report/plot.py").write_text("import numpy as np\n")
    assert digests("simulate")[0] == simulate
    after_plot = digests("figures")[0]
    assert after_plot != figures
    (package / "shared.py").write_text("X = 2\n")
    assert digests("simulate")[0] != simulate
    assert digests("figures")[0] != after_plot


def test_an_unrelated_module_changes_nothing(package):
    before = digests("simulate", "figures")
    (package / "other.py").write_text("import lowdose.shared\n")
    assert digests("simulate", "figures") == before


def test_the_real_stages_depend_on_what_they_use():
    # The front door is no part of any result: with it in a digest, a word in its help would
    # retrain every network.
    names = set(provenance.modules_of("lowdose.environments"))
    assert names == {"lowdose", "lowdose.environments", "lowdose.provenance", "lowdose.runtime"}
