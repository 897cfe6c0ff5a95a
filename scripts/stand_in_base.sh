#!/bin/sh
# For a Debian machine without a container registry, such as a closed CI: makes a base image from Debian's packages, so
# that the image can be built and tried all the same. Not for what you publish: that is built on the Dockerfile's own.
#
#   eval "$(scripts/stand_in_base.sh)" && make image
#
# Prints the settings to take over: BASE_IMAGE, and CONTAINERS_CONF for podman without a service manager. Needs root.
set -eu

name=localhost/python-3.13-from-debian
conf=$(cd "$(dirname "$0")/.." && pwd)/build/containers.conf
certificates=/etc/ssl/certs/ca-certificates.crt

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "A base image can only be made by root, on Debian." >&2
    exit 1
fi

if ! command -v podman >/dev/null || ! command -v mmdebstrap >/dev/null || ! command -v runc >/dev/null; then
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            podman buildah runc mmdebstrap netavark uidmap
    } >&2
fi

mkdir -p "$(dirname "$conf")"
cat >"$conf" <<END
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
netns = "host"
volumes = ["$certificates:$certificates:ro"]
[engine]
runtime = "runc"
events_logger = "file"
END
export CONTAINERS_CONF="$conf"

if ! podman image exists "$name"; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
        awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}')
    {
        mmdebstrap --quiet --variant=apt --include=ca-certificates,python3,python3-pip,python3-venv \
            trixie "$work/root.tar" "deb $mirror trixie main"
        podman import --quiet "$work/root.tar" "$name-raw"
        # As in the real one: plain `pip install` is allowed.
        printf 'FROM %s\nRUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED\n' "$name-raw" >"$work/Dockerfile"
        podman build --quiet --tag "$name" "$work"
    } >&2
fi

echo "export BASE_IMAGE=$name CONTAINERS_CONF=$conf"
