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
    "training": {"steps": 8500, "minutes": None, "batch": 4, "crop_px": 512},
    "device": "the CPU (2 threads)",
    "seed": 3,
    "licence": "GPL-3.0-or-later",
    "metrics_at_e_per_px": 0.45,
    "metrics": [
        {
            "set": "white", "n_rows": 252, "n_units": 8,
            "psnr_db": 37.512, "psnr_db_low": 37.1, "psnr_db_high": 37.94,
            "contrast_psnr_db": 12.0, "contrast_psnr_db_low": 11.5, "contrast_psnr_db_high": 12.5,
            "ssim": 0.98614, "ssim_low": 0.98, "ssim_high": 0.99,
            "constant_psnr_db": 26.05, "raw_psnr_db": 3.52, "false_per_100_nm2": 0.25,
            "false_per_100_nm2_low": 0.1, "false_per_100_nm2_high": 0.5,
        }
    ],
    "limits": ["Knows platinum alone."],
}  # fmt: skip
FULL["shifts"] = [{**FULL["metrics"][0], "shift": "drift", "psnr_db": 36.0}]
del FULL["shifts"][0]["set"]
FULL["conditions"] = [
    {**FULL["shifts"][0], "pixel_size_nm": p, "dose_e_per_px": d, "psnr_db": v, "n_rows": 8}
    for p, d, v in ((0.0061, 0.45, 35.0), (0.012, 1.742, 34.5))
]


def rows(text):
    return {line.split(" | ")[0].lstrip("| "): line for line in text.splitlines() if "|" in line}


def test_what_is_known_is_in_the_table():
    text = describe(FULL)
    assert text.startswith("# general\n\n| Property | Value |\n| --- | --- |\n")
    found = rows(text)
    for name, value in {
        "Architecture": "resunet (stem 4, widths [48, 96])",
        "Parameters": "5,313,441",
        "Receptive field": "831 px (5.07 nm)",
        "Effective field": "97 px (90 % of the gradient)",
        "Own pixel size": "6.1 pm",
        "Trained": "8,500 steps of 4 crops of 512 px on the CPU (2 threads)",
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
    rest = "26.05, 3.52 | 0.25 (0.10 to 0.50)"
    measured = "37.51 (37.10 to 37.94) | 12.00 (11.50 to 12.50) | 0.9861 (0.9800 to 0.9900)"
    assert found["white"] == f"| white | 252 of 8 shapes | {measured} | {rest} |"
    assert "| shifted: drift | 252 of 8 shapes | 36.00 (" in text
    assert "At 0.45 e/pixel." in text and text.endswith("Knows platinum alone.\n")
    assert "AAAA" not in text


def test_what_is_not_known_is_left_out():
    text = describe(CARD | {"receptive_field_px": None, "architecture": {"architecture": "x"}})
    found = rows(text)
    assert found["Receptive field"] == "| Receptive field | the whole frame |"
    assert found["Architecture"] == "| Architecture | x |"
    assert not {"Parameters", "Own pixel size", "Seed", "Licence"} & set(found)
    assert "None" not in text and "Measured" not in text


def test_other_doses_and_pixels_have_a_table_of_their_own():
    text = describe(FULL)
    part = text[text.index("## At other doses") :]
    assert "8 frames without defects, 8 shapes." in part
    found = rows(part)
    # The same fluence: 0.45 e in (0.061 Å)² and 1.742 e in (0.12 Å)².
    assert found["6.1"].startswith("| 6.1 | 0.45 | 121 | 35.00 (37.10 to 37.94) | 12.00")
    assert found["12"].startswith("| 12 | 1.74 | 121 | 34.50")
    assert "## At other doses" not in describe({k: v for k, v in FULL.items() if k != "conditions"})
