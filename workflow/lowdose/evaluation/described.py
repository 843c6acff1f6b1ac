"""What the denoisers of a study are: kind, title, size and receptive field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lowdose.denoisers import registry, released
from lowdose.denoisers.cards import read_card
from lowdose.evaluation.arms import network_folder

OF_CARD = ("parameters", "receptive_field_px", "receptive_field_nm")
ARCHITECTURE_TITLES = {
    "blind-spot": "Blind-spot net",
    "dncnn": "DnCNN",
    "durr": "DURR",
    "paper-unet": "Paper's U-Net",
    "resunet": "ResU-Net",
    "unet": "U-Net",
}


def described(spec: Mapping, networks: Path) -> pd.DataFrame:
    """Return ``denoiser, title, kind`` and the size of each denoiser of a study.

    Parameters
    ----------
    spec : mapping
        ``denoisers``, ``baselines``, ``shipped``, ``networks``.
    networks : Path
        Folder of the trained networks.
    """
    rows = []
    for name in spec["denoisers"]:
        row = {"denoiser": name, "kind": "reference", **dict.fromkeys(OF_CARD)}
        if name in spec["networks"] or name in spec["shipped"]:
            shipped = name in spec["shipped"]
            card = read_card(released.folder(name) if shipped else network_folder(networks, name))
            kind = ARCHITECTURE_TITLES[card["architecture"]["architecture"]]
            origin = " of the package" if shipped else ""
            row |= {"kind": "network", "title": f"{kind} {card['name']}{origin}"}
            row |= {key: card[key] for key in OF_CARD}
        elif name == "clean":
            row["title"] = "Clean expectation"
        else:
            row["title"] = registry.info(name).title
        if name in spec["baselines"]:
            row["kind"] = "baseline"
        rows.append(row)
    return pd.DataFrame(rows)[["denoiser", "title", "kind", *OF_CARD]]


def index_of(trainings: Sequence[Mapping], networks: Path) -> pd.DataFrame:
    """Return one row a training: what was asked for and what came of it.

    Parameters
    ----------
    trainings : sequence of mapping
        ``network, training_set, seed`` and the keys of the architecture.
    networks : Path
        Folder of the trained networks.
    """
    rows = []
    for training in trainings:
        name = f"{training['network']}.{training['training_set']}.seed{training['seed']}"
        card = read_card(network_folder(networks, name))
        asked = {k: json.dumps(v) if isinstance(v, list) else v for k, v in training.items()}
        came = {k: card[k] for k in (*OF_CARD, "validation_psnr_db", "weights_sha256")}
        rows.append({"denoiser": name, **asked, **came})
    return pd.DataFrame(rows)
