"""``lowdose train``: train one network on one training set from one seed."""

import argparse
from pathlib import Path

HELP = "train one network of the sweep (resumes; ends as if it had not been interrupted)"
CLASSES, VALIDATION = "classes.parquet", "validation.h5"
FALSE = "validation_false_per_100_nm2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--network", help="name of the network (with --config)")
    parser.add_argument("--training-set", help="name of the training set (with --config)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (with --config)")
    parser.add_argument("--waves", type=Path, nargs="+", required=True, metavar="SHARD")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=Path("results/work"), metavar="FOLDER",
                        help="where the state is kept while training")  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--tensorboard", type=Path, metavar="FOLDER",
                        help="also write the history as TensorBoard event files")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    import json
    import shutil
    import sys

    import torch

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.cli._card import effective_field, operating_range
    from lowdose.columns.vacuum import false_columns, vacuum_of
    from lowdose.data.training_data import renderer, validation
    from lowdose.denoisers import checkpoints
    from lowdose.denoisers.cards import network_info
    from lowdose.denoisers.learned import LearnedDenoiser, relative_on_own_pixels
    from lowdose.denoisers.networks.build import build, parameter_count
    from lowdose.denoisers.networks.receptive_field import computed
    from lowdose.denoisers.tiles import chosen_device, device_name
    from lowdose.metrics import psnr
    from lowdose.provenance import code_digest, digest
    from lowdose.runtime import fix_torch, write_text
    from lowdose.sampling import dose_e_per_a2
    from lowdose.stages import spec_from
    from lowdose.training.loop import train, use_bf16

    fix_torch(arguments.threads)
    spec = spec_from(
        arguments,
        "train",
        network=arguments.network,
        training_set=arguments.training_set,
        seed=arguments.seed,
    )
    settings, training_set = spec["training"], spec["training_set"]
    full_name = f"{spec['name']}.{training_set['name']}.seed{spec['seed']}"
    events = _events(arguments.tensorboard, full_name)
    data_digest = _digest_of_inputs(arguments.waves, arguments.frames)
    device = chosen_device(settings["device"])
    if device.type == "cuda":
        # Some layers (not those of the release networks) have no deterministic gradient there;
        # torch says so in the log, and goes on.
        torch.set_deterministic_debug_mode("warn")
    # Sums are ordered otherwise on another device, or in another number of threads.
    machine = [torch.__version__, arguments.threads, device.type]
    fingerprint = digest([spec, data_digest, code_digest("lowdose.cli.train"), *machine])
    state = arguments.work / "training" / full_name / "state.safetensors"
    data = renderer(spec, arguments.waves, arguments.frames / CLASSES, device)
    dose = spec["reference_dose_e_per_px"]
    frames = validation(arguments.frames / VALIDATION, dose, spec["study_seed"])
    network = build(spec["network"], seeds.torch_seed(spec["study_seed"], "weights", spec["seed"]))
    network = network.to(device)
    field, ranges = computed(network), operating_range(spec["camera"], training_set)
    pixel, own = spec["camera"]["pixel_size_nm"], ranges["own_pixel_size_nm"]
    bf16 = use_bf16(settings["precision"], device.type)
    info = network_info(full_name, {"name": full_name, "receptive_field_px": field, **ranges})
    denoiser = LearnedDenoiser(network, info, own_pixel_size_nm=own, bf16=bf16, device=device.type)
    vacua = [vacuum_of(clean / dose, pixel) for _, clean in frames]
    watched = sys.stderr.isatty()

    def validate(candidate: torch.nn.Module) -> dict[str, float]:
        # As a user's frame goes: resampled to the network's own pixel and back, if it has one.
        denoiser.network = candidate
        score = number = area = 0.0
        for (counts, clean), vacuum in zip(frames, vacua, strict=True):
            estimate = denoiser.denoise(counts[None], pixel, dose=dose_e_per_a2(dose, pixel))[0]
            score += psnr(clean, estimate, dose_e_per_px=dose) / len(frames)
            found = false_columns(estimate / dose, vacuum, pixel)
            number, area = number + found["false_columns"], area + found["vacuum_100_nm2"]
        # Without any vacuum there is nothing to count in.
        false = {FALSE: round(number / area, 4)} if area else {}
        return {"validation_psnr_db": round(score, 4), **false}

    def resumed(history: list[dict]) -> None:
        log(f"continued after {_minutes(history[-1]['seconds'] if history else 0)} of training")
        if events:
            events.rewrite(history)

    def progress(record: dict) -> None:
        sys.stderr.write(f"\r{_outlook(record, settings)}, loss {record['loss']:.5f}\x1b[K")
        sys.stderr.flush()

    def report(record: dict) -> None:
        if watched:
            sys.stderr.write("\r\x1b[K")
        log(f"{_outlook(record, settings)}, loss {record['loss']:.5f}, validation "
            f"{record['validation_psnr_db']:.2f} dB")  # fmt: skip
        if events:
            events.add({k: record[k] for k in (
                "step", "loss", "learning_rate", "validation_psnr_db", FALSE, "seconds",
            ) if k in record})  # fmt: skip

    seen = "the whole frame" if field is None else f"{field} px"
    log(f"{spec['name']}: {parameter_count(network)} parameters, sees {seen}, "
        f"{len(data.images)} images, on {device_name(device)}")  # fmt: skip
    try:
        history = train(
            network,
            data.batch,
            settings,
            validate=validate,
            state_path=state,
            fingerprint=fingerprint,
            report=report,
            resumed=resumed,
            progress=progress if watched else None,
        )
    except SystemExit:
        log(f"stopped by SIGTERM; {state} is kept, run again to continue")
        raise
    network = network.cpu()
    card = {
        "name": spec["name"],
        "denoiser": full_name,
        "architecture": spec["network"],
        "parameters": parameter_count(network),
        "receptive_field_px": field,
        "receptive_field_nm": None if field is None else round(field * own, 4),
        "effective_field_px": effective_field(
            network,
            [
                torch.from_numpy(relative_on_own_pixels(counts.copy(), dose, pixel, own))[
                    None, None
                ]
                for counts, _ in frames
            ],
            seeds.rng(spec["study_seed"], "effective field"),
        ),
        **ranges,
        "training_set": training_set,
        "training": settings,
        "training_data_digest": data_digest,
        "seed": spec["seed"],
        "study_seed": spec["study_seed"],
        "validation_psnr_db": history[-1]["validation_psnr_db"],
        FALSE: history[-1].get(FALSE),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "device": device_name(device),
        "bf16": bf16,
        "licence": "GPL-3.0-or-later",
    }
    output = arguments.output
    # What is compared between runs holds no times; they have a file of their own.
    seconds = [{"step": r["step"], "seconds": r.pop("seconds")} for r in history]
    for name, records in (("history", history), ("timing", seconds)):
        lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
        write_text(output / f"{name}.jsonl", lines)
    checkpoints.save(output, network, card)
    shutil.rmtree(state.parent, ignore_errors=True)
    if events:
        events.close()
    log(f"validation {card['validation_psnr_db']:.2f} dB: {output}")


def _events(folder: Path | None, name: str):
    """Return the writer of TensorBoard files, None if none are asked for."""
    if folder is None:
        return None
    import importlib

    # By name: what writes a copy of the history is no part of what a network depends on.
    return importlib.import_module("lowdose.training.events").Events(folder / name)


def _digest_of_inputs(waves: list[Path], frames: Path) -> str:
    from lowdose.provenance import digest, file_digest
    from lowdose.runtime import UserError

    stages = {**dict.fromkeys(waves, "simulate"), frames / CLASSES: "frames"}
    for path, stage in {**stages, frames / VALIDATION: "frames"}.items():
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the stage `{stage}` first.")
    return digest([file_digest(path) for path in stages])


def _outlook(record: dict, settings: dict) -> str:
    """Return e.g. "step 400 of 2200, 4.1 steps/s, 7.3 min left"."""
    if settings["minutes"] is None:
        share = f"of {settings['steps']}"
    else:
        share = f"at {100 * record['progress']:.0f} % of {settings['minutes']:g} min"
    return (
        f"step {record['step']} {share}, {record['steps_a_second']:.3g} steps/s, "
        f"{_minutes(record['seconds_left'])} left"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
