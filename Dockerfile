# The service in a container, for a CPU or a GPU of NVIDIA:
#   docker build -t glre .
#   docker build -t glre:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# The index of torch's builds: /cpu has them without CUDA, /cu130 with its libraries.
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=serve,parse
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/glre && /opt/glre/bin/pip install "${TORCH}" --index-url "${TORCH_INDEX}"
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY src src
COPY conf conf
# Naming the torch that is there keeps pip from replacing it.
RUN /opt/glre/bin/pip install "${TORCH}" ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 1000 glre
COPY --from=build /opt/glre /opt/glre
ENV PATH=/opt/glre/bin:$PATH OMP_WAIT_POLICY=PASSIVE
COPY docs/example/names.tsv /dictionaries/example.tsv
WORKDIR /home/glre
USER 1000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["glre", "serve", "host=0.0.0.0", "port=8000"]
CMD ["run=cdr", "dictionaries={example: /dictionaries/example.tsv}"]
