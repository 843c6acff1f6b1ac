# Films with truth, every way to denoise a movie on them, and what else they tell.
from lowdose import films

MOVIES = []
FILMS = expand("results/movies/{film}.h5", film=list(study.config.movies.films))
TRIED = expand(
    "results/movies/{method}/{file}",
    method=list(study.config.movies.methods),
    file=["frames.parquet", "events.parquet", "risk.parquet", "images.h5"],
)
if FILMS and TRIED:
    MOVIES += ["results/tables/movies.csv"]
    FIGURES += ["movies"]


rule film:
    output:
        "results/movies/{film}.h5",
    log:
        "results/logs/film/{film}.log",
    benchmark:
        "results/logs/film/{film}.jsonl"
    conda:
        "../../envs/simulate.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(30),
    params:
        spec=study.spec_of("film"),
        code=study.code_of("film"),
        libraries=study.libraries_of("film"),
    shell:
        "python -m lowdose --threads {threads} film --spec {params.spec:q} 2> {log:q}"


rule movie:
    input:
        FILMS,
        networks=[
            str(path) for name in films.shipped(study.config) for path in released.files(name)
        ],
    output:
        "results/movies/{method}/frames.parquet",
        "results/movies/{method}/events.parquet",
        "results/movies/{method}/risk.parquet",
        "results/movies/{method}/images.h5",
    log:
        "results/logs/movie/{method}.log",
    benchmark:
        "results/logs/movie/{method}.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    # The result of what trains on a film depends on their number.
    threads: lambda wildcards: films.threads(study.config, wildcards.method)
    resources:
        mem_mb=grown(3000),
        runtime=grown(240),
    params:
        spec=study.spec_of("movie"),
        code=lambda wildcards: study.code_of(
            "movie", *films.modules(study.config, wildcards.method)
        ),
        libraries=study.libraries_of("movie"),
    shell:
        "python -m lowdose --threads {threads} movie --spec {params.spec:q} 2> {log:q}"


rule movies:
    input:
        FILMS,
        TRIED,
    output:
        report(
            "results/tables/movies.csv",
            caption="../report/movies.rst",
            category="6 Tables",
            labels={"table": "movies, as CSV"},
        ),
        "results/tables/movie_events.csv",
        "results/tables/movie_risk.csv",
    log:
        "results/logs/movies.log",
    benchmark:
        "results/logs/movies.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(20),
    params:
        spec=study.spec_of("movies"),
        code=study.code_of("movies"),
        libraries=study.libraries_of("movies"),
    shell:
        "python -m lowdose --threads {threads} movies --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_movies with:
    input:
        FILMS,
        TRIED,
        "results/tables/movies.csv",
    output:
        report(
            "results/figures/movies.png",
            caption="../report/movies.rst",
            category="1 Images",
            labels={"figure": "movies, denoised", "show": "figure"},
        ),
        "results/figures/movies.svg",
        report(
            "results/figures/movies.csv",
            caption="../report/movies.rst",
            category="1 Images",
            labels={"figure": "movies, denoised", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/movies.log",
    benchmark:
        "results/logs/figures/movies.jsonl"
    params:
        spec=study.spec_of("figure", figure="movies"),
        figure="movies",
        code=study.code_of("figure", "lowdose.report.figure_movies"),
        libraries=study.libraries_of("figure"),
