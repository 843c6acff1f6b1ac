# The study and its environment: that of envs/requirements.lock, made by the front door as on any
# other machine.  docs/environments.md says how it is built and run.
FROM python:3.11.14-slim-bookworm

# Of an image nothing changes after it is built, so pip keeps no copies; a mirror or an index with
# the CPU build of torch is named by --build-arg, as pip itself names it.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

# Not root: what a container writes into a folder of its host shall belong to a person.
RUN useradd --create-home --uid 1000 lowdose \
    && install --directory --owner=1000 --group=1000 /lowdose
USER 1000
WORKDIR /lowdose

# The environment first: it is made again only where the lock or the front door changes.
COPY --chown=1000:1000 study ./
COPY --chown=1000:1000 envs/requirements.lock envs/
RUN ./study shell -c "python -m pip check"

COPY --chown=1000:1000 . ./

# Results, and Snakemake's memory of how they were made: without it every run would begin anew.
RUN mkdir -p .snakemake
VOLUME ["/lowdose/results", "/lowdose/.snakemake"]

ENTRYPOINT ["./study"]
CMD ["--help"]
