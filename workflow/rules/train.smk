rule train:
    input:
        classes="results/frames/classes.parquet",
        validation="results/frames/validation.h5",
        waves=expand("results/waves/{shard}.h5", shard=study.shards),
    output:
        weights="results/networks/{network}/{training_set}/seed{seed}/model.safetensors",
        card="results/networks/{network}/{training_set}/seed{seed}/card.json",
        history="results/networks/{network}/{training_set}/seed{seed}/history.jsonl",
        timing="results/networks/{network}/{training_set}/seed{seed}/timing.jsonl",
    log:
        "results/logs/train/{network}.{training_set}.seed{seed}.log",
    benchmark:
        "results/logs/train/{network}.{training_set}.seed{seed}.jsonl"
    # Long trainings first, before what can be done beside them.
    priority: lambda wildcards: study.priority(wildcards.network)
    conda:
        "../../envs/train.yaml"
    # A number from the configuration, not the machine's: the order of floating-point sums, and so
    # every bit of the weights, follows it.  With the usual one, trainings run side by side
    # without loss.
    threads: lambda wildcards: study.config.training_of(wildcards.network).threads
    resources:
        mem_mb=grown(3000),
        runtime=lambda wildcards, attempt: attempt * study.runtime(wildcards.network),
        gpu=lambda wildcards: study.gpus(f"{wildcards.network}."),
    params:
        spec=study.spec_of("train"),
        code=lambda wildcards: study.code_of("train", *study.modules_of(f"{wildcards.network}.")),
        libraries=study.libraries_of("train"),
        # {threads} would be fewer on a machine with fewer cores.
        threads=lambda wildcards: study.config.training_of(wildcards.network).threads,
    shell:
        "python -m lowdose --threads {params.threads} train --spec {params.spec:q}"
        " --waves {input.waves:q} --output $(dirname {output.weights:q}) 2>> {log:q}"
