"""Which trainings of a study form a comparison: of fields, of pixels and fields, of geometries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from lowdose.config import Config
from lowdose.config_networks import WHOLE_FRAME_PX, field_estimate

FIELDS = 7  # different receptive fields that make a sweep
LAW_PIXELS, LAW_FIELDS = 2, 3  # own pixels and fields that make a grid of both
SETS = 3  # training sets of one network that make a matrix
AXES = {"families": "family", "defects": "defect", "layers": "layers"}


def trainings(config: Config) -> list[dict]:
    """Return every training of a study: its names, field, own pixel and work."""
    found = []
    for network, training_set, seed in config.trainings():
        settings = config.training_of(network).model_dump(mode="json")
        own = config.training_sets[training_set].own_pixel_size_nm or config.camera.pixel_size_nm
        found.append(
            {
                "denoiser": f"{network}.{training_set}.seed{seed}",
                "network": network,
                "training_set": training_set,
                "seed": seed,
                "receptive_field_px": field_estimate(config.networks[network].spec),
                "own_pixel_size_nm": own,
                **{key: settings[key] for key in ("steps", "minutes", "batch", "crop_px")},
            }
        )
    return found


def first_of_each(networks: Sequence[str]) -> list[str]:
    """Return one training of each network: its first training set and seed.

    Parameters
    ----------
    networks : sequence of str
        Names of trainings, ``<network>.<training set>.seed<k>``.
    """
    chosen: dict[str, str] = {}
    for name in networks:
        chosen.setdefault(name.split(".")[0], name)
    return list(chosen.values())


def field_sweep(config: Config) -> list[dict]:
    """Return trainings that differ in receptive field and seed alone, and the long ones.

    They share training set, own pixel (the camera's), steps, crop and batch.  Trainings of that
    set with a budget in minutes are the ``long`` ones: the same networks, trained until time is
    up.  Empty if there are fewer than `FIELDS` fields.

    Returns
    -------
    list of dict
        As :func:`trainings`, with ``long`` (bool).
    """
    native = config.camera.pixel_size_nm
    every = [t for t in _with_a_field(config) if t["own_pixel_size_nm"] == native]
    groups = _grouped(every, ("training_set", "steps", "crop_px", "batch"))
    best = max(groups, key=lambda group: _different(group, "receptive_field_px"), default=[])
    if _different(best, "receptive_field_px") < FIELDS:
        return []
    long = [
        t for t in every if t["minutes"] is not None
        and t["training_set"] == best[0]["training_set"]
    ]  # fmt: skip
    return [{**t, "long": False} for t in best] + [{**t, "long": True} for t in long]


def field_law(config: Config) -> list[dict]:
    """Return trainings of one amount of work on several own pixels and with several fields."""
    for group in _grouped(_with_a_field(config), ("steps", "crop_px", "batch")):
        pixels = _different(group, "own_pixel_size_nm")
        if pixels >= LAW_PIXELS and _different(group, "receptive_field_px") >= LAW_FIELDS:
            return group
    return []


def geometry(config: Config) -> list[dict]:
    """Return the trainings of one network on several training sets, and what each was shown.

    Empty if the evaluation frames are of one contrast class alone.

    Returns
    -------
    list of dict
        As :func:`trainings`, with ``shown``: axis (``contrast, family, defect, layers, tilt``) ->
        allowed values, only for what restricts the set; a tilt is "none" or "tilted".
    """
    if config.frames.contrast != "all":
        return []
    groups = _grouped(trainings(config), ("network", "seed"))
    best = max(groups, key=len, default=[])
    if len(best) < SETS:
        return []
    return [{**t, "shown": _shown(config, t["training_set"])} for t in best]


def _with_a_field(config: Config) -> list[dict]:
    """Return the trainings whose network does not see the whole frame."""
    return [t for t in trainings(config) if t["receptive_field_px"] < WHOLE_FRAME_PX]


def _shown(config: Config, name: str) -> dict[str, list]:
    training_set = config.training_sets[name].model_dump(mode="json")
    shown = {} if training_set["contrast"] == "all" else {"contrast": [training_set["contrast"]]}
    shown |= {axis: training_set[key] for key, axis in AXES.items() if training_set[key]}
    if training_set["largest_tilt_deg"] == 0:
        shown["tilt"] = ["none"]
    return shown


def _grouped(some: Iterable[dict], keys: tuple[str, ...]) -> list[list[dict]]:
    """Group trainings of a budget in steps by what they share, in the order of the sweep."""
    groups = defaultdict(list)
    for one in some:
        if one["minutes"] is None:
            groups[tuple(one[key] for key in keys)].append(one)
    return list(groups.values())


def _different(group: list[dict], key: str) -> int:
    return len({one[key] for one in group})
