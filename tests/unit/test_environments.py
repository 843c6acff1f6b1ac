"""The lock, the stages' share of it, and the conda files made from it."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement

from lowdose import environments, provenance
from lowdose.environments import DIRECT, ROOT, canonical, lock, stage_digest, stage_pins
from lowdose.runtime import UserError
from lowdose.stages import ENVIRONMENT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WANTED = [
    Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]
DISTRIBUTION = {
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "rsciio": "rosettasciio",
    "matplotlib_scalebar": "matplotlib-scalebar",
}


def write(tmp_path, text):
    path = tmp_path / "requirements.lock"
    path.write_text(text)
    return path


def test_a_lock_is_read(tmp_path):
    path = write(tmp_path, "# comment\n\nPyYAML==6.0.3  # why\nmatplotlib_scalebar==0.9.0\n")
    assert lock(path) == {"pyyaml": "6.0.3", "matplotlib-scalebar": "0.9.0"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("numpy>=2\n", r"line 1: 'numpy>=2' is not an exact pin; write name==version"),
        ("a==1\nnumpy==2.*\n", r"line 2: 'numpy==2\.\*' is not an exact pin"),
        ("a==1\nA==2\n", r"line 2: A is pinned twice; keep one line"),
    ],
)
def test_a_lock_that_is_no_lock_is_refused(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        lock(write(tmp_path, text))


def test_a_missing_lock_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read; get a complete copy"):
        lock(tmp_path / "none")


@pytest.mark.parametrize("requirement", WANTED, ids=str)
def test_every_direct_dependency_is_pinned_within_its_bounds(requirement):
    assert requirement.specifier.contains(lock()[canonical(requirement.name)])


def test_what_is_installed_is_the_lock():
    installed = {
        canonical(found.metadata["Name"]): found.version.partition("+")[0]
        for found in metadata.distributions()
    }
    assert {name: installed.get(name) for name in lock()} == lock()


def test_the_lock_is_the_whole_closure_and_nothing_else(monkeypatch):
    names = tuple(canonical(requirement.name) for requirement in WANTED)
    monkeypatch.setitem(DIRECT, "everything", names)
    assert stage_pins("everything") == lock()


def test_cuda_companions_stay_out():
    assert not [name for name in lock() if environments._CUDA.match(name)]
    assert environments._CUDA.match("nvidia-cublas-cu12")
    assert not environments._CUDA.match("cudatoolkit-like")


def test_stage_pins_follow_markers_and_extras(monkeypatch):
    requires = {
        "ase": ("scipy[fast]>=1", "pandas; extra == 'all'", "h5py; sys_platform == 'win32'"),
        "scipy": ("numpy", "torch; extra == 'fast'"),
        "torch": ("nvidia-cublas-cu12==12.8; platform_system == 'Linux'", "triton==3.6"),
    }
    monkeypatch.setattr(environments, "_requirements", lambda name, _: requires.get(name, ()))
    monkeypatch.setitem(DIRECT, "toy", ("ase",))
    assert list(stage_pins("toy")) == ["ase", "numpy", "scipy", "torch"]


def test_a_stage_digest_sees_its_own_versions_only(monkeypatch):
    before = {stage: stage_digest(stage) for stage in DIRECT}
    pins = dict(lock())
    monkeypatch.setattr(environments, "lock", lambda: pins | {"matplotlib": "0"})
    changed = [stage for stage in DIRECT if stage_digest(stage) != before[stage]]
    assert changed == ["figures"]
    monkeypatch.setattr(environments, "lock", lambda: pins | {"abtem": "0"})
    changed = [stage for stage in DIRECT if stage_digest(stage) != before[stage]]
    assert changed == ["simulate", "adapt"]


def test_an_unknown_stage_is_refused():
    with pytest.raises(UserError, match="no stage 'paint'; the stages are structures, "):
        stage_digest("paint")


@pytest.mark.parametrize("stage", DIRECT)
def test_the_conda_file_is_the_lock(stage):
    name = f"envs/{stage}.yaml"
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == environments.conda_files()[name], "run python -m lowdose generate"
    found = yaml.safe_load(text)
    assert found["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = found["dependencies"]
    assert (python, pip) == (f"python={environments.PYTHON}", "pip")
    pins = dict(pin.split("==") for pin in section["pip"])
    assert pins.items() <= lock().items()
    assert set(DIRECT[stage]) <= set(pins)


@pytest.mark.parametrize("command", ENVIRONMENT)
def test_the_environment_of_a_command_has_what_its_code_imports(command):
    modules = provenance.modules_of(f"lowdose.cli.{command}")
    assert modules, f"there is no command lowdose.cli.{command}"
    imported = set()
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
                if "fix_torch" in {alias.name for alias in node.names}:
                    imported.add("torch")
            # All import lowdose.runtime, but only those that call fix_torch get torch from it.
            elif isinstance(node, ast.Import) and name != "lowdose.runtime":
                imported |= {alias.name.split(".")[0] for alias in node.names}
    imported -= {"lowdose", *sys.stdlib_module_names}
    needed = {DISTRIBUTION.get(name, name) for name in imported}
    # Only the command that writes the conda files reads the metadata of what is installed.
    assert needed - {"packaging"} <= set(DIRECT[ENVIRONMENT[command]])
