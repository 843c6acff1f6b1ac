rule evaluate:
    input:
        denoiser=lambda wildcards: study.made_by(wildcards.denoiser),
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
        pairs="results/structures/pairs.csv",
    output:
        "results/evaluation/{denoiser}/frames.parquet",
        "results/evaluation/{denoiser}/columns.parquet",
        "results/evaluation/{denoiser}/sites.parquet",
        "results/evaluation/{denoiser}/images.h5",
    log:
        "results/logs/evaluate/{denoiser}.log",
    benchmark:
        "results/logs/evaluate/{denoiser}.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(120),
        gpu=lambda wildcards: study.gpus(wildcards.denoiser),
    params:
        spec=study.spec_of("evaluate"),
        code=lambda wildcards: study.code_of("evaluate", *study.modules_of(wildcards.denoiser)),
        libraries=lambda wildcards: study.libraries_of("evaluate", wildcards.denoiser),
    shell:
        "python -m lowdose --threads {threads} evaluate --spec {params.spec:q} 2> {log:q}"


# Floor, ceiling, the counts themselves and the networks of the package: one job for all.
use rule evaluate as evaluate_ready with:
    input:
        networks=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
        pairs="results/structures/pairs.csv",
    output:
        expand(
            "results/evaluation/{name}/{file}",
            name=study.ready(),
            file=["frames.parquet", "columns.parquet", "sites.parquet", "images.h5"],
        ),
    log:
        "results/logs/evaluate/ready.log",
    benchmark:
        "results/logs/evaluate/ready.jsonl"
    resources:
        mem_mb=grown(4000),
        runtime=grown(360),
    params:
        spec=study.spec_of("evaluate", denoisers=study.ready()),
        code=study.code_of_several("evaluate", study.ready()),
        libraries=study.libraries_of("evaluate"),


rule summarise:
    input:
        frames=expand(
            "results/evaluation/{name}/{file}.parquet",
            name=study.denoisers(),
            file=["frames", "columns"],
        ),
        cards=expand(
            "results/networks/{name}/card.json",
            name=[name.replace(".", "/") for name in study.networks()],
        ),
    output:
        report(
            "results/tables/results.csv",
            caption="../report/results.rst",
            category="6 Tables",
            labels={"table": "results, as CSV"},
        ),
        report(
            "results/tables/comparisons.csv",
            caption="../report/comparisons.rst",
            category="6 Tables",
            labels={"table": "paired comparisons, as CSV"},
        ),
        report(
            "results/tables/results.html",
            caption="../report/results.rst",
            category="6 Tables",
            labels={"table": "results"},
        ),
        "results/tables/strata.csv",
        "results/tables/index.csv",
        "results/tables/headline.json",
    log:
        "results/logs/summarise.log",
    benchmark:
        "results/logs/summarise.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("summarise"),
        code=study.code_of("summarise"),
        libraries=study.libraries_of("summarise"),
    shell:
        "python -m lowdose --threads {threads} summarise --spec {params.spec:q} 2> {log:q}"


rule columns:
    input:
        network=study.made_by(study.widest()),
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
    output:
        "results/columns/likelihood.parquet",
    log:
        "results/logs/columns.log",
    benchmark:
        "results/logs/columns.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(20),
    params:
        spec=study.spec_of("columns"),
        code=study.code_of("columns", *study.modules_of(study.widest())),
        libraries=study.libraries_of("columns"),
    shell:
        "python -m lowdose --threads {threads} columns --spec {params.spec:q} 2> {log:q}"


rule mechanism:
    input:
        networks=[study.made_by(name) for name in study.networks()],
        frames="results/frames/test.h5",
    output:
        "results/mechanism/filters.h5",
    log:
        "results/logs/mechanism.log",
    benchmark:
        "results/logs/mechanism.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        spec=study.spec_of("mechanism"),
        code=study.code_of(
            "mechanism",
            *sorted({m for name in study.networks() for m in study.modules_of(name)}),
        ),
        libraries=study.libraries_of("mechanism"),
    shell:
        "python -m lowdose --threads {threads} mechanism --spec {params.spec:q} 2> {log:q}"
