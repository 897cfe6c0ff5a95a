"""What the four commands take from the start of the process to its end, beside the import of the CDK alone."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.peers.control import Server
from benchmarks.peers.ours import STREAMS, Connector
from benchmarks.peers.process import run

EMPTY = 'python -c "pass"'
BARE = 'python -c "import airbyte_cdk.entrypoint"'


def measure(version: str, connector: Connector, server: Server, output: Path, found: dict[str, list[float]]) -> None:
    """Each command once; `read` of a list without rows."""
    server.prepare()
    config = connector.config_of_empty_list()
    with_config = ("--config", config)
    commands: dict[str, list[str | Path]] = {
        EMPTY: [connector.python, "-c", "pass"],
        BARE: [connector.python, "-c", "import airbyte_cdk.entrypoint"],
        "spec": connector.program("spec"),
        "check": connector.program("check", *with_config),
        "discover": connector.program("discover", *with_config),
        "read": connector.read_with(STREAMS["list"], config),
    }
    for name, command in commands.items():
        ran = run(command, output, cwd=connector.folder)
        found.setdefault(f"{version}/{name}", []).append(ran.ended - ran.started)


def times(found: Mapping[str, list[float]]) -> dict[tuple[str, str], float]:
    """The medians, by version and command."""
    medians = {}
    for key, seconds in found.items():
        version, _, command = key.partition("/")
        medians[version, command] = median(seconds)
    return medians
