rule frames:
    input:
        columns="results/structures/columns.parquet",
        waves=expand("results/waves/{shard}.h5", shard=study.shards),
    output:
        "results/frames/classes.parquet",
        "results/frames/validation.h5",
        "results/frames/test.h5",
    log:
        "results/logs/frames.log",
    benchmark:
        "results/logs/frames.jsonl"
    conda:
        "../../envs/frames.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        spec=study.spec_of("frames"),
        code=study.code_of("frames"),
        libraries=study.libraries_of("frames"),
    shell:
        "python -m lowdose --threads {threads} frames --spec {params.spec:q}"
        " --waves {input.waves:q} 2> {log:q}"
