"""The config's JSON Schema: what is common to all, and a section for each provider."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_yaml

DOCUMENTATION_URL = "https://docs.airbyte.com/integrations/sources/recordings"

HTTPS_OR_LOOPBACK = r"^(https://[^/?#@\s]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?)(/[^?#\s]*)?$"


def build_spec(providers: Mapping[str, Provider]) -> dict[str, Any]:
    """The connectionSpecification."""
    spec: dict[str, Any] = load_yaml(Path(__file__).with_name("spec.yaml"))
    for order, provider in enumerate(providers.values()):
        spec["properties"][provider.name] = _section(provider, order)
    return spec


def _section(provider: Provider, order: int) -> dict[str, Any]:
    """A drop-down of two: the form of a provider that is connected, or nothing at all."""
    off = {"type": "string", "const": "disabled", "default": "disabled", "order": 0}
    on = {"type": "string", "const": "enabled", "default": "enabled", "order": 0}
    properties = {
        name: {**form, "order": number} for number, (name, form) in enumerate(_properties(provider).items(), start=1)
    }
    properties["base_url"] |= {
        "pattern": HTTPS_OR_LOOPBACK,
        "pattern_descriptor": "https://host (http:// only for this machine)",
    }
    return {
        "type": "object",
        "title": provider.title,
        "description": f"Connect an account at {provider.title}, or leave it out.",
        "order": order,
        "group": "providers",
        "always_show": True,
        "default": {"connection": "disabled"},
        "oneOf": [
            {"type": "object", "title": "Not used", "required": ["connection"], "properties": {"connection": off}},
            {
                "type": "object",
                "title": "Connected",
                "required": list(provider.spec["required"]),
                "properties": {"connection": on} | properties,
            },
        ],
    }


def _properties(provider: Provider) -> dict[str, Any]:
    """What a person must fill in first; what is rarely changed last."""
    own: dict[str, Any] = deepcopy(dict(provider.spec["properties"]))
    required = {name: own.pop(name) for name in provider.spec["required"]}
    found = {**required, **_ids(provider), **own}
    if provider.base_url:
        found["base_url"] = {
            "type": "string",
            "title": "Base URL",
            "description": provider.base_url_help,
            "default": provider.base_url,
        }
    if limit := provider.limit:
        found[limit.key] = {
            "type": "integer",
            "minimum": 1,
            "default": limit.requests,
            "title": limit.key.replace("_", " ").title().replace(" Per ", " per "),
            "description": limit.description,
        }
    return found


def _ids(provider: Provider) -> dict[str, Any]:
    if not provider.ids:
        return {}
    form = provider.ids.form
    return {
        provider.ids.key: {
            "type": "array",
            "items": {"type": "string", "pattern": form["pattern"]},
            "uniqueItems": True,
            "title": form["title"],
            "description": form["description"],
            "examples": [form["example"]],
        }
    }
