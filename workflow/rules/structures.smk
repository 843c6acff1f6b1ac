# On a cluster: half a minute for the paper's 855 models, so done where Snakemake runs.
localrules:
    structures,


rule structures:
    output:
        "results/structures/library.extxyz",
        "results/structures/columns.parquet",
        "results/structures/models.csv",
        "results/structures/pairs.csv",
    log:
        "results/logs/structures.log",
    benchmark:
        "results/logs/structures.jsonl"
    conda:
        "../../envs/structures.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        spec=study.spec_of("structures"),
        code=study.code_of("structures"),
        libraries=study.libraries_of("structures"),
    shell:
        "python -m lowdose --threads {threads} structures --spec {params.spec:q} 2> {log:q}"
