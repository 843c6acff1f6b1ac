# The table of the trained networks, made when it is asked for by name; config/search.yaml is the
# search for an architecture.
rule search:
    input:
        frames="results/frames/validation.h5",
        trained=expand(
            "results/networks/{name}/{file}",
            name=[name.replace(".", "/") for name in study.networks()],
            file=["card.json", "history.jsonl", "timing.jsonl"],
        ),
    output:
        "results/tables/search.csv",
        "results/tables/search.md",
    log:
        "results/logs/search.log",
    benchmark:
        "results/logs/search.jsonl"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("search"),
        code=study.code_of("search"),
        libraries=study.libraries_of("figure"),
    shell:
        "python -m lowdose --threads {threads} search --spec {params.spec:q}"
        " --frames {input.frames:q} 2> {log:q}"
