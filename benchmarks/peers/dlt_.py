"""dlt's rest_api source: extract only, neither normalized nor loaded. dlt writes the rows into its own files.

As its documentation advises for many requests: the dependent resource is `parallelized`, and the extract pool has as many
threads as the other programs have workers.
"""

import json
import os
import shutil
from typing import Any

import dlt
from dlt.sources.helpers.requests import Client
from dlt.sources.rest_api import rest_api_source

from benchmarks.peers.job import KEY, Job, the_job
from benchmarks.peers.work import PAGE

TRIES = 20


def client(job: Job) -> dict[str, Any]:
    # The default's pool has 50 connections, and gives up a request after 5 tries.
    session = Client(raise_for_status=False, max_connections=job.workers, request_max_attempts=TRIES).session
    return {"base_url": job.base_url, "session": session, "headers": {"Authorization": KEY}}


def listed(job: Job) -> Any:
    recordings = {
        "name": "recordings",
        "primary_key": "id",
        "endpoint": {
            "path": "v1/recordings",
            "params": {"limit": PAGE},
            "data_selector": "data",
            "paginator": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"},
        },
    }
    return rest_api_source({"client": client(job), "resources": [recordings]})


def details(job: Job) -> Any:
    page = [{"id": call_id} for call_id in job.ids]
    calls = dlt.resource([page], name="calls", selected=False)
    recordings = {
        "name": "call_recordings",
        "primary_key": "id",
        "parallelized": True,
        "include_from_parent": ["id"],
        "endpoint": {
            "path": "v1/call-recordings/{resources.calls.id}",
            "data_selector": "data",
            "paginator": "single_page",
        },
    }
    return rest_api_source({"client": client(job), "resources": [calls, recordings]})


def main() -> None:
    job = the_job()
    os.environ |= {
        "EXTRACT__WORKERS": str(job.workers),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(2 * job.workers),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    pipelines = job.folder / "pipelines"
    pipeline = dlt.pipeline("peers", pipelines_dir=str(pipelines))
    info = pipeline.extract(listed(job) if job.kind == "list" else details(job))
    rows = sum(
        table.items_count
        for packages in info.metrics.values()
        for package in packages
        for name, table in package["table_metrics"].items()
        if not name.startswith("_dlt")
    )
    print(json.dumps({"rows": rows}), flush=True)
    shutil.rmtree(pipelines)


if __name__ == "__main__":
    main()
