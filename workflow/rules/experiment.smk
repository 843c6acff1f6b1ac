# Recordings of a microscope: denoised, their columns weighed, all denoisers judged by their counts.
RECORDINGS = list(study.config.experiment.files)
if RECORDINGS:
    FIGURES += ["experiment"]
EXPERIMENT = expand("results/experiment/{name}/{name}.denoised.html", name=RECORDINGS)


rule recording:
    input:
        file=lambda wildcards: study.config.experiment.files[wildcards.recording].file,
        network=[str(path) for path in released.files(study.config.experiment.denoiser)],
    output:
        report(
            "results/experiment/{recording}/{recording}.denoised.html",
            caption="../report/recording.rst",
            category="7 Experiment",
            labels={"recording": "{recording}", "show": "page"},
        ),
        report(
            "results/experiment/{recording}/{recording}.columns.csv",
            caption="../report/recording.rst",
            category="7 Experiment",
            labels={"recording": "{recording}", "show": "columns (CSV)"},
        ),
        "results/experiment/{recording}/{recording}.columns.hdf5",
        "results/experiment/{recording}/{recording}.denoised.hspy",
        "results/experiment/{recording}/{recording}.denoised.tif",
        "results/experiment/{recording}/{recording}.denoised.json",
    log:
        "results/logs/experiment/{recording}.log",
    benchmark:
        "results/logs/experiment/{recording}.jsonl"
    conda:
        "../../envs/recording.yaml"
    threads: 2
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        spec=study.spec_of("recording"),
        code=study.code_of("recording", *released.modules(study.config.experiment.denoiser)),
        libraries=study.libraries_of("recording"),
    shell:
        "python -m lowdose --threads {threads} recording --spec {params.spec:q} > {log:q} 2>&1"


rule judge:
    input:
        file=lambda wildcards: study.config.experiment.files[wildcards.recording].file,
        denoisers=[study.made_by(name) for name in study.judged() if study.is_made(name)],
        networks=[str(path) for name in study.judged_shipped() for path in released.files(name)],
    output:
        "results/experiment/{recording}/images.h5",
        report(
            "results/experiment/{recording}/judged.csv",
            caption="../report/judged.rst",
            category="7 Experiment",
            labels={"recording": "{recording}", "show": "denoisers (CSV)"},
        ),
    log:
        "results/logs/experiment/{recording}.judge.log",
    benchmark:
        "results/logs/experiment/{recording}.judge.jsonl"
    conda:
        "../../envs/recording.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        spec=study.spec_of("judge"),
        code=study.code_of_several("judge", study.judged()),
        libraries=study.libraries_of("judge"),
    shell:
        "python -m lowdose --threads {threads} judge --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_experiment with:
    input:
        expand(
            "results/experiment/{name}/{file}", name=RECORDINGS, file=["images.h5", "judged.csv"]
        ),
        expand("results/experiment/{name}/{name}.columns.csv", name=RECORDINGS),
    output:
        report(
            "results/figures/experiment.png",
            caption="../report/judged.rst",
            category="7 Experiment",
            labels={"figure": "all denoisers on recordings", "show": "figure"},
        ),
        "results/figures/experiment.svg",
        report(
            "results/figures/experiment.csv",
            caption="../report/judged.rst",
            category="7 Experiment",
            labels={"figure": "all denoisers on recordings", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/experiment.log",
    benchmark:
        "results/logs/figures/experiment.jsonl"
    params:
        spec=study.spec_of("figure", figure="experiment"),
        figure="experiment",
        code=study.code_of("figure", "lowdose.report.figure_experiment"),
        libraries=study.libraries_of("figure"),
