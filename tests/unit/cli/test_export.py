"""``lowdose export``: what it is given, and what it says."""

import pytest

from lowdose.cli import main
from lowdose.denoisers import exchange, released


@pytest.fixture
def asked(monkeypatch):
    """The folder and file that the command asks to be exported."""
    calls = []

    def export(folder, path):
        calls.append((folder, path))
        return 2e-6

    monkeypatch.setattr(exchange, "export", export)
    return calls


def test_a_folder_is_exported(tmp_path, asked, capsys):
    assert main(["--threads", "1", "export", str(tmp_path), str(tmp_path / "a.onnx")]) == 0
    assert asked == [(tmp_path, tmp_path / "a.onnx")]
    assert "at most 2e-06 of the vacuum from the original at 3 sizes" in capsys.readouterr().err


def test_a_shipped_network_is_known_by_its_name(tmp_path, asked, monkeypatch):
    monkeypatch.setattr(released, "ROOT", tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / released.WEIGHTS).touch()
    assert main(["--threads", "1", "export", "toy", "a.onnx"]) == 0
    assert asked[0][0] == tmp_path / "toy"


def test_a_wrong_ending_is_one_sentence(tmp_path, capsys):
    assert main(["--threads", "1", "export", str(tmp_path), str(tmp_path / "a.pth")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("lowdose: ") and told.count("\n") == 1 and ".onnx" in told
