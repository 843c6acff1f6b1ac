"""What the tools say of the source: the first and cheapest part of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "snakefmt": ["snakefmt", "--check", "Snakefile", "workflow/rules"],
    "snakemake --lint": ["snakemake", "--lint"],
    "lowdose generate": ["lowdose", "generate", "--check"],
    "mkdocs": ["mkdocs", "build", "--strict", "--site-dir", "SITE"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_clean(name, tmp_path):
    words = [str(tmp_path / "site") if word == "SITE" else word for word in CHECKS[name]]
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
