from lowdose.cli import _waves

_waves.verify_before_a_run(workflow, study)


rule simulate:
    input:
        library="results/structures/library.extxyz",
        models="results/structures/models.csv",
    output:
        "results/waves/{shard}.h5",
    log:
        "results/logs/simulate/{shard}.log",
    benchmark:
        "results/logs/simulate/{shard}.jsonl"
    conda:
        "../../envs/simulate.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        spec=study.spec_of("simulate"),
        code=study.code_of("simulate"),
        libraries=study.libraries_of("simulate"),
    shell:
        "python -m lowdose --threads {threads} simulate --spec {params.spec:q}"
        " --output {output:q} 2>> {log:q}"
