"""Assembles manifest.yaml and providers/*/provider.yaml into one self-contained declarative manifest.

`python -m source_recordings.manifest` prints it, for the Connector Builder and for the CDK's `source-declarative-manifest`.
"""

import json
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

PACKAGE = Path(__file__).parent
HTTPS_OR_LOOPBACK = (
    r"^(https://[^/?#@\s]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?)(/[^?#\s]*)?$"
)


def provider_folders() -> list[Path]:
    """The folders below providers/ that hold a provider.yaml, by name."""
    folders = (PACKAGE / "providers").iterdir()
    return sorted((f for f in folders if (f / "provider.yaml").is_file()), key=lambda f: f.name)


def build_manifest(*, files: bool = True) -> dict[str, Any]:
    """The whole manifest: every stream's schema inline, `$ref`s only within it.

    Without `files`, it is what runs outside of the package: the file streams need the package's downloader.
    """
    manifest: dict[str, Any] = _load(PACKAGE / "manifest.yaml")
    spec = manifest["spec"]
    for order, folder in enumerate(provider_folders()):
        provider = _load(folder / "provider.yaml")
        name = folder.name
        _add_schemas(provider["definitions"]["streams"], folder / "schemas")
        if files:
            provider["definitions"] |= provider.get("file_definitions", {})
            provider["streams"] += provider["file_streams"]
            provider["streams_by_id"] += provider["file_streams_by_id"]
        else:
            for stream in provider["file_streams"] + provider["file_streams_by_id"]:
                del provider["definitions"]["streams"][stream]
        manifest["definitions"][name] = provider["definitions"]
        manifest["streams"] += _conditional_streams(name, provider)
        manifest["api_budget"]["policies"] += provider["budget"]
        properties = spec["connection_specification"]["properties"]
        properties[name] = _spec_section(provider, order)
        spec["config_normalization_rules"]["transformations"] += _config_defaults(name, provider)
    return manifest


def _load(file: Path) -> dict[str, Any]:
    # libyaml, where PyYAML was built with it, takes a tenth of the time, which every command takes at its start.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    loaded: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506  both are safe
    return loaded


def _add_schemas(streams: Mapping[str, dict[str, Any]], schemas: Path) -> None:
    for stream in streams.values():
        schema = json.loads((schemas / f"{stream['name']}.json").read_text(encoding="utf-8"))
        stream["schema_loader"] = {"type": "InlineSchemaLoader", "schema": schema}


def _conditional_streams(name: str, provider: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Streams exist for a connected provider only, and an id list replaces the listing ones."""
    connected = f"config.get('{name}', {{}}).get('connection') == 'enabled'"
    by_id = f"(config['{name}'].get('{provider['ids_key']}') or []) | length > 0"

    def group(condition: str, streams: list[str]) -> dict[str, Any]:
        return {
            "type": "ConditionalStreams",
            "condition": f"{{{{ {condition} }}}}",
            "streams": [{"$ref": f"#/definitions/{name}/streams/{s}"} for s in streams],
        }

    return [
        group(f"{connected} and not ({by_id})", provider["streams"]),
        group(f"{connected} and {by_id}", provider["streams_by_id"]),
    ]


def _spec_section(provider: Mapping[str, Any], order: int) -> dict[str, Any]:
    """A drop-down of two: the form of a provider that is connected, or nothing at all."""
    section = deepcopy(provider["spec"])
    section["properties"]["base_url"] |= {
        "pattern": HTTPS_OR_LOOPBACK,
        "pattern_descriptor": "https://host (http:// only for this machine)",
    }
    off = {"type": "string", "const": "disabled", "default": "disabled", "order": 0}
    on = {"type": "string", "const": "enabled", "default": "enabled", "order": 0}
    return {
        "type": "object",
        "title": provider["title"],
        "description": f"Connect an account at {provider['title']}, or leave it out.",
        "order": order,
        "group": "providers",
        "always_show": True,
        "default": {"connection": "disabled"},
        "oneOf": [
            {
                "type": "object",
                "title": "Not used",
                "required": ["connection"],
                "properties": {"connection": off},
            },
            {
                "type": "object",
                "title": "Connected",
                "required": section["required"],
                "properties": {"connection": on} | section["properties"],
            },
        ],
    }


def _config_defaults(name: str, provider: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Fills in what a hand-written section may leave out, so that the streams need not ask."""
    used = f"config.get('{name}') is mapping and config['{name}'].get('connection') != 'disabled'"
    default_url = provider.get("base_url", "")

    def default(key: str, value: str) -> dict[str, Any]:
        return {
            "type": "ConfigAddFields",
            "condition": f"{{{{ {used} }}}}",
            "fields": [
                {
                    "type": "AddedFieldDefinition",
                    "path": [name, key],
                    "value": value,
                    "value_type": "string",
                }
            ],
        }

    # The CDK evaluates a value before its condition, so it must hold for any config.
    section = f"(config.get('{name}') if config.get('{name}') is mapping else {{}})"
    url = f"({section}.get('base_url') or '{default_url}').rstrip('/')"
    return [default("connection", "enabled"), default("base_url", f"{{{{ {url} }}}}")]


def main() -> None:
    """Prints the manifest as YAML on stdout."""
    yaml.safe_dump(
        build_manifest(files=False), sys.stdout, sort_keys=False, allow_unicode=True, width=120
    )


if __name__ == "__main__":
    main()
