# The shifted set is made where the configuration has one; the convergence of the simulation
# when it is asked for by name.
WORLD = ["results/tables/dataset.md"]
if study.config.shifted.shapes:
    WORLD.append("results/frames/shifted.h5")


rule shifted:
    input:
        models="results/structures/models.csv",
        classes="results/frames/classes.parquet",
        second_code=str(Path(workflow.basedir) / "tests" / "second_code.py"),
    output:
        frames="results/frames/shifted.h5",
        table="results/tables/shifted.csv",
    log:
        "results/logs/shifted.log",
    benchmark:
        "results/logs/shifted.jsonl"
    conda:
        "../../envs/simulate.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        spec=study.spec_of("shifted"),
        code=study.code_of("shifted"),
        libraries=study.libraries_of("shifted"),
    shell:
        "python -m lowdose --threads {threads} shifted --spec {params.spec:q}"
        " --second-code {input.second_code:q} 2> {log:q}"


rule converge:
    output:
        "results/tables/convergence.csv",
        "results/tables/convergence.md",
    log:
        "results/logs/converge.log",
    benchmark:
        "results/logs/converge.jsonl"
    conda:
        "../../envs/simulate.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        spec=study.spec_of("converge"),
        code=study.code_of("converge"),
        libraries=study.libraries_of("converge"),
    shell:
        "python -m lowdose --threads {threads} converge --spec {params.spec:q} 2> {log:q}"
