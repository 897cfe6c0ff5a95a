#!/bin/sh
# Builds the image with docker, podman or buildah, whichever works here; prints its name.
#
#   IMAGE=name:tag           what to call it; default: airbyte/source-recordings:<version in setup.py>
#   BASE_IMAGE=name          another base: an image with Python 3.13, venv and pip
#   CONTAINER_TOOL=podman    this one and no other
#
# The same commit on the same base gives the same image, to the byte with podman and buildah: the lock file has hashes,
# and every file gets the time of the commit.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^ *version="\([^"]*\)",$/\1/p' setup.py)
image=${IMAGE:-airbyte/source-recordings:$version}
time=$(git log -1 --format=%ct 2>/dev/null || echo 0)

tool=''
for candidate in ${CONTAINER_TOOL:-docker podman buildah}; do
    if "$candidate" info >/dev/null 2>&1; then # a docker client alone can't build
        tool=$candidate
        break
    fi
done
if [ -z "$tool" ]; then
    echo "No working docker, podman or buildah here: install one (Debian, Ubuntu: apt install podman)." >&2
    exit 1
fi

set -- --build-arg VERSION="$version" --tag "$image"
[ -z "${BASE_IMAGE:-}" ] || set -- "$@" --build-arg BASE_IMAGE="$BASE_IMAGE"
case $tool in
docker) set -- "$@" --build-arg SOURCE_DATE_EPOCH="$time" ;;
*) set -- "$@" --timestamp "$time" ;;
esac
"$tool" build "$@" . >&2
echo "$image"
