"""The card of a network as people read it."""

from lowdose.denoisers.model_card import describe

CARD = {
    "name": "general",
    "architecture": {"architecture": "resunet", "stem": 4, "widths": [48, 96]},
    "weights_sha256": "ab12",
    "test_vector": {"counts": "AAAA"},
    "receptive_field_px": 831,
    "pixel_size_nm": [0.004, 0.012],
    "dose_e_per_a2": [27.0, 5400.0],
}
FULL = CARD | {
    "parameters": 5313441,
    "receptive_field_nm": 5.0691,
    "effective_field_px": 97.4,
    "own_pixel_size_nm": 0.0061,
    "contrast_factor": [0.4, 1.2],
    "training_set": {"name": "all", "contrast": "any | all"},
    "training_data_digest": "0e1749a64696",
    "seed": 3,
    "licence": "GPL-3.0-or-later",
    "metrics": {
        "PSNR": {"value": 37.512, "low": 37.1, "high": 37.9, "unit": "dB", "frames": "test"},
        "SSIM": {"value": 0.9861},
    },
}


def rows(text):
    return {line.split(" | ")[0].lstrip("| "): line for line in text.splitlines() if "|" in line}


def test_what_is_known_is_in_the_table():
    text = describe(FULL)
    assert text.startswith("# general\n\n| Property | Value |\n| --- | --- |\n")
    assert text.endswith("|\n")
    found = rows(text)
    for name, value in {
        "Architecture": "resunet (stem 4, widths [48, 96])",
        "Parameters": "5,313,441",
        "Receptive field": "831 px (5.07 nm)",
        "Effective field": "97 px (90 % of the gradient)",
        "Own pixel size": "6.1 pm",
        "Pixel sizes": "4 to 12 pm",
        # 27 and 5400 e/Å² times (0.061 Å)²
        "Dose": "27 to 5400 e/Å² (0.1005 to 20.09 e/px at 6.1 pm)",
        "Contrast": "any \\| all",
        "Contrast factor": "0.4 to 1.2",
        "Training set": "all",
        "Seed": "3",
        "Weights (SHA-256)": "ab12",
        "Licence": "GPL-3.0-or-later",
    }.items():
        assert found[name] == f"| {name} | {value} |"
    assert found["PSNR"] == "| PSNR | 37.51 (37.1 to 37.9) dB | test |"
    assert found["SSIM"] == "| SSIM | 0.9861 |  |"
    assert "AAAA" not in text


def test_what_is_not_known_is_left_out():
    text = describe(CARD | {"receptive_field_px": None, "architecture": {"architecture": "x"}})
    found = rows(text)
    assert found["Receptive field"] == "| Receptive field | the whole frame |"
    assert found["Architecture"] == "| Architecture | x |"
    assert not {"Parameters", "Own pixel size", "Seed", "Licence"} & set(found)
    assert "None" not in text and "Measured" not in text
