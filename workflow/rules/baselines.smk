rule tune:
    input:
        "results/frames/validation.h5",
    output:
        tuned="results/baselines/{baseline}/tuned.json",
        trials="results/baselines/{baseline}/trials.csv",
    log:
        "results/logs/tune/{baseline}.log",
    benchmark:
        "results/logs/tune/{baseline}.jsonl"
    conda:
        "../../envs/baselines.yaml"
    threads: 1
    resources:
        mem_mb=grown(2500),
        runtime=grown(60),
    params:
        spec=study.spec_of("tune"),
        code=lambda wildcards: study.code_of("tune", *study.modules_of(wildcards.baseline)),
        libraries=lambda wildcards: study.libraries_of("tune", wildcards.baseline),
    shell:
        "python -m lowdose --threads {threads} tune --spec {params.spec:q}"
        " --output {output.tuned:q} 2> {log:q}"
