"""Exports the providers as one declarative manifest of the CDK's own components: no Python of this package.

`python -m source_recordings.manifest` prints it, for the Connector Builder and for the CDK's `source-declarative-manifest`.
The connector itself does not use it. What the CDK's components can't do is left out:

- file streams, and requests for each item within a row;
- streams whose answers are text, such as Bird's transcripts, and redirects to another host;
- the other ways to ask (`else`), and all but the first of several IDs: Bota's transcriptions in its newer revision, where no
  recording names them, are not there;
- paging by offset where there is also a cursor, as in Bota's older revisions: such an answer fails the sync, since its
  first page would pass for all of the list;
- the choice of an ID that is found out in the sync: a call's details are asked for by the first one, `call_sid`, and a call
  without it has none;
- a new login after a 401: a session is renewed by its age instead.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from source_recordings.manifest.streams import Streams
from source_recordings.manifest.words import Component, condition
from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_providers, load_yaml
from source_recordings.spec import DOCUMENTATION_URL, build_spec

COMMON = Path(__file__).with_name("common.yaml")


def build_manifest() -> Component:
    """The whole manifest: every stream's schema inline, `$ref`s only within it."""
    providers = load_providers()
    manifest: Component = load_yaml(COMMON)
    defaults = manifest["spec"].pop("config_normalization_rules")
    for provider in providers.values():
        streams = Streams(provider)
        manifest["definitions"][provider.name] = {"streams": streams.components}
        manifest["streams"] += _conditional_streams(provider, streams)
        manifest["api_budget"]["policies"].append(_policy(provider, streams.words.paths))
        defaults["transformations"] += _config_defaults(provider)
    manifest["spec"] |= {
        "documentation_url": DOCUMENTATION_URL,
        "connection_specification": build_spec(providers),
        "config_normalization_rules": defaults,
    }
    return manifest


def _conditional_streams(provider: Provider, streams: Streams) -> list[Component]:
    """Streams exist for a connected provider only, and an ID list replaces the listing ones."""
    name = provider.name
    connected = f"config.get('{name}', {{}}).get('connection') == 'enabled'"

    def group(when: str, found: list[str]) -> Component:
        return {
            "type": "ConditionalStreams",
            "condition": condition(when),
            "streams": [{"$ref": f"#/definitions/{name}/streams/{stream}"} for stream in found],
        }

    if not provider.ids:
        return [group(connected, streams.listed)]
    by_id = f"(config['{name}'].get('{provider.ids.key}') or []) | length > 0"
    return [group(f"{connected} and not ({by_id})", streams.listed), group(f"{connected} and {by_id}", streams.by_id)]


def _policy(provider: Provider, paths: list[str]) -> Component:
    """A matcher sees no host of its provider, since the address may be a proxy's: paths tell the requests apart.

    The first policy that matches counts, so a provider without a limit has one too.
    """
    matchers = [
        {"type": "HttpRequestRegexMatcher", "url_path_pattern": re.sub(r"\{[^{}]+\}", "[^/]+", path) + "$"}
        for path in paths
    ]
    limit = provider.limit
    if not limit:
        return {"type": "UnlimitedCallRatePolicy", "matchers": matchers}
    chosen = f"(config.get('{provider.name}') or {{}}).get('{limit.key}')"
    rate = {"type": "Rate", "limit": f"{{{{ {chosen} or {limit.requests} }}}}", "interval": f"PT{limit.seconds:.0f}S"}
    return {"type": "MovingWindowCallRatePolicy", "rates": [rate], "matchers": matchers}


def _config_defaults(provider: Provider) -> list[Component]:
    """Fills in what a hand-written section may leave out, so that the streams need not ask."""
    name = provider.name
    used = f"config.get('{name}') is mapping and config['{name}'].get('connection') != 'disabled'"

    def default(key: str, value: str) -> Component:
        field: Mapping[str, Any] = {
            "type": "AddedFieldDefinition",
            "path": [name, key],
            "value": value,
            "value_type": "string",
        }
        return {"type": "ConfigAddFields", "condition": condition(used), "fields": [field]}

    # The CDK evaluates a value before its condition, so it must hold for any config.
    section = f"(config.get('{name}') if config.get('{name}') is mapping else {{}})"
    url = f"({section}.get('base_url') or '{provider.base_url or ''}').rstrip('/')"
    return [default("connection", "enabled"), default("base_url", f"{{{{ {url} }}}}")]


def main() -> None:
    """Prints the manifest as YAML on stdout."""
    yaml.safe_dump(build_manifest(), sys.stdout, sort_keys=False, allow_unicode=True, width=120)
