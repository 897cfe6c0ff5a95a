# The image that Airbyte runs. `make image` builds it; scripts/image.sh says what else it does.

# python:3.13-slim-trixie as of 2026-08-05, for every architecture that it has. Any image with Python 3.13, venv and
# pip will do instead: --build-arg BASE_IMAGE=...
ARG BASE_IMAGE=python:3.13-slim-trixie@sha256:9662417aace5ae7b8e2609cce472b72a8958e134ba372808abe9cc1a0c0125e6

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore PYTHONHASHSEED=0
WORKDIR /build

# The dependencies: a layer of their own, which stays the same until the lock file changes.
COPY requirements/image.txt requirements/
RUN python3 -m venv --without-pip /opt/connector \
    && python3 -m pip --python /opt/connector/bin/python install --require-hashes --only-binary :all: \
        --requirement requirements/image.txt

# The package, built with the setuptools of the lock file.
COPY setup.py pyproject.toml README.md LICENSE ./
COPY source_recordings source_recordings
RUN python3 -m pip --python /opt/connector/bin/python install --no-deps --no-build-isolation --no-index . \
    && rm -rf /opt/connector/lib/python3*/site-packages/*/tests \
        /opt/connector/lib/python3*/site-packages/*/*/tests

# Bytecode: whoever runs the image can't write it, and would compile every module at every start. It belongs to the
# very files beside it, so no start needs to compare their times (-f: the build above has left some that do).
RUN python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/connector/lib


FROM ${BASE_IMAGE}
ARG VERSION=0.1.0

# The bytecode of the standard library, which python:*-slim comes without; the user that the platform expects.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(test|idlelib|turtledemo|site-packages|dist-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && if ! id airbyte >/dev/null 2>&1; then \
        echo 'airbyte:x:1000:' >>/etc/group; \
        echo 'airbyte:x:1000:1000::/airbyte:/bin/sh' >>/etc/passwd; \
    fi \
    && mkdir -p /airbyte \
    && chown airbyte:airbyte /airbyte

COPY --from=build /opt/connector /opt/connector

# One arena: glibc's malloc gives each of many threads its own and returns little of them, for no gain in speed here.
# The platform evaluates AIRBYTE_ENTRYPOINT in a shell, from a folder of its own; docker and PyAirbyte use ENTRYPOINT.
ENV AIRBYTE_ENTRYPOINT=/opt/connector/bin/source-recordings \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1
USER 1000:1000
WORKDIR /airbyte
ENTRYPOINT ["/opt/connector/bin/source-recordings"]

LABEL io.airbyte.name=airbyte/source-recordings \
      io.airbyte.version=${VERSION} \
      org.opencontainers.image.title=source-recordings \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.licenses=MIT
