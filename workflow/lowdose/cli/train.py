"""``lowdose train``: train one network on one training set from one seed."""

import argparse
from pathlib import Path

HELP = "train one network of the sweep (resumes; ends as if it had not been interrupted)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from lowdose.stages import add_spec_arguments

    add_spec_arguments(parser)
    parser.add_argument("--network", help="name of the network (with --config)")
    parser.add_argument("--training-set", help="name of the training set (with --config)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (with --config)")
    parser.add_argument("--waves", type=Path, nargs="+", required=True, metavar="SHARD")
    parser.add_argument("--frames", type=Path, default=Path("results/frames"), metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=Path("results/work"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")


def run(arguments: argparse.Namespace) -> None:
    import json
    import shutil

    import torch

    from lowdose import seeds
    from lowdose.cli import log
    from lowdose.data.training_data import renderer, validation
    from lowdose.denoisers import checkpoints
    from lowdose.denoisers.learned import apply
    from lowdose.denoisers.networks.build import build, parameter_count
    from lowdose.denoisers.networks.receptive_field import computed
    from lowdose.metrics import psnr
    from lowdose.provenance import code_digest, digest, file_digest
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
    data_digest = digest(
        [file_digest(path) for path in (*arguments.waves, arguments.frames / "classes.parquet")]
    )
    fingerprint = digest(
        [spec, data_digest, code_digest("lowdose.cli.train"), torch.__version__, arguments.threads]
    )
    full_name = f"{spec['name']}.{training_set['name']}.seed{spec['seed']}"
    state = arguments.work / "training" / full_name / "state.safetensors"
    data = renderer(spec, arguments.waves, arguments.frames / "classes.parquet")
    dose = spec["reference_dose_e_per_px"]
    frames = validation(arguments.frames / "validation.h5", dose, spec["study_seed"])
    network = build(spec["network"], seeds.torch_seed(spec["study_seed"], "weights", spec["seed"]))
    bf16 = use_bf16(settings["precision"])

    def validate(candidate: torch.nn.Module) -> dict[str, float]:
        scores = [
            psnr(clean * dose, apply(candidate, noisy, bf16=bf16)[0, 0].numpy() * dose,
                 dose_e_per_px=dose)
            for noisy, clean in frames
        ]  # fmt: skip
        return {"validation_psnr_db": round(sum(scores) / len(scores), 4)}

    timing = []

    def report(record: dict) -> None:
        timing.append({"step": record["step"], "seconds": record["seconds"]})
        log(
            f"step {record['step']} of {record['steps']}, loss {record['loss']:.5f}, validation "
            f"{record['validation_psnr_db']:.2f} dB, about {record['seconds_left']:.0f} s left"
        )

    field = computed(network)
    log(f"{spec['name']}: {parameter_count(network)} parameters, {field} px, "
        f"{len(data.images)} images")  # fmt: skip
    history = train(
        network,
        data.batch,
        settings,
        validate=validate,
        state_path=state,
        fingerprint=fingerprint,
        report=report,
    )
    pixel = spec["camera"]["pixel_size_nm"]
    jitter = training_set["scale_jitter"]
    card = {
        "name": spec["name"],
        "denoiser": full_name,
        "architecture": spec["network"],
        "parameters": parameter_count(network),
        "receptive_field_px": field,
        "receptive_field_nm": round(field * pixel, 4),
        "pixel_size_nm": [round(pixel * (1 + sign * jitter), 6) for sign in (-1, 1)],
        "dose_e_per_a2": [round(dose_e_per_a2(d, pixel), 3) for d in training_set["dose_e_per_px"]],
        "training_set": training_set,
        "training": settings,
        "training_data_digest": data_digest,
        "seed": spec["seed"],
        "study_seed": spec["study_seed"],
        "validation_psnr_db": history[-1]["validation_psnr_db"],
        "torch": torch.__version__,
        "threads": arguments.threads,
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
    log(f"validation {card['validation_psnr_db']:.2f} dB: {output}")
