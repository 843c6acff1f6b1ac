# What films tell of columns: where they are, how many atoms they hold, and how a surface switches.
# Atoms are counted on one film after learning on others.
if len(FILMS) > 1:
    FIGURES += ["positions"]
if study.config.movies.switching:
    FIGURES += ["dynamics"]


rule positions:
    input:
        FILMS,
        networks=[str(path) for path in released.files(study.config.movies.denoiser)],
    output:
        report(
            "results/tables/positions.csv",
            caption="../report/positions.rst",
            category="6 Tables",
            labels={"table": "columns located, as CSV"},
        ),
        report(
            "results/tables/atom_counts.csv",
            caption="../report/positions.rst",
            category="6 Tables",
            labels={"table": "atoms counted, as CSV"},
        ),
    log:
        "results/logs/positions.log",
    benchmark:
        "results/logs/positions.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        spec=study.spec_of("positions"),
        code=study.code_of("positions", *released.modules(study.config.movies.denoiser)),
        libraries=study.libraries_of("positions"),
    shell:
        "python -m lowdose --threads {threads} positions --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_positions with:
    input:
        "results/tables/positions.csv",
        "results/tables/atom_counts.csv",
    output:
        report(
            "results/figures/positions.png",
            caption="../report/positions.rst",
            category="2 Accuracy",
            labels={"figure": "columns located and counted", "show": "figure"},
        ),
        "results/figures/positions.svg",
        report(
            "results/figures/positions.csv",
            caption="../report/positions.rst",
            category="2 Accuracy",
            labels={"figure": "columns located and counted", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/positions.log",
    benchmark:
        "results/logs/figures/positions.jsonl"
    params:
        spec=study.spec_of("figure", figure="positions"),
        figure="positions",
        code=study.code_of("figure", "lowdose.report.figure_positions"),
        libraries=study.libraries_of("figure"),


rule dynamics:
    input:
        "results/movies/switching.h5",
    output:
        report(
            "results/tables/dynamics.csv",
            caption="../report/dynamics.rst",
            category="6 Tables",
            labels={"table": "rates of switching, as CSV"},
        ),
        report(
            "results/tables/strain.csv",
            caption="../report/dynamics.rst",
            category="6 Tables",
            labels={"table": "displacement of the surface, as CSV"},
        ),
        "results/tables/dynamics_trace.csv",
    log:
        "results/logs/dynamics.log",
    benchmark:
        "results/logs/dynamics.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        spec=study.spec_of("dynamics"),
        code=study.code_of("dynamics"),
        libraries=study.libraries_of("dynamics"),
    shell:
        "python -m lowdose --threads {threads} dynamics --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_dynamics with:
    input:
        "results/tables/dynamics.csv",
        "results/tables/strain.csv",
        "results/tables/dynamics_trace.csv",
    output:
        report(
            "results/figures/dynamics.png",
            caption="../report/dynamics.rst",
            category="2 Accuracy",
            labels={"figure": "order, rates and strain", "show": "figure"},
        ),
        "results/figures/dynamics.svg",
        report(
            "results/figures/dynamics.csv",
            caption="../report/dynamics.rst",
            category="2 Accuracy",
            labels={"figure": "order, rates and strain", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/dynamics.log",
    benchmark:
        "results/logs/figures/dynamics.jsonl"
    params:
        spec=study.spec_of("figure", figure="dynamics"),
        figure="dynamics",
        code=study.code_of("figure", "lowdose.report.figure_dynamics"),
        libraries=study.libraries_of("figure"),
