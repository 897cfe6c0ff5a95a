"""Checks a config against the spec and says what is wrong in words that name the key."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from source_recordings import times
from source_recordings.addresses import problem_of
from source_recordings.cdk import ab_datetime_parse

Schema = Mapping[str, Any]

CLOCKS_DIFFER = timedelta(minutes=5)
"""A start date that is further ahead of the clock than this lies in the future."""

_NAME = re.compile(r"[A-Za-z_]{1,40}")
"""An unknown key that is repeated. Another one may be a secret in the wrong place."""


def without_nulls(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without the keys that are null, also inside a section: they are as if they were not there."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if value is not None
    }


def problems(config: Any, spec: Schema) -> list[str]:
    """What a person has to change in the config, one sentence each; empty if nothing.

    `spec` is the connectionSpecification. Values are not repeated: they may be secret.
    """
    if not isinstance(config, Mapping):
        return ["The config must be a JSON object."]
    config = without_nulls(config)
    properties: Mapping[str, Schema] = spec["properties"]
    providers = {name: s for name, s in properties.items() if s.get("group") == "providers"}
    found: list[str] = []
    for name, schema in properties.items():
        if name in config:
            if name in providers:
                found += _in_provider(name, config[name], schema)
            else:
                found += _in_value(config[name], schema, name)
    if not found and not any(is_connected(config.get(name)) for name in providers):
        found.append(f"No provider is connected. Fill in at least one of: {', '.join(providers)}.")
    if not found:
        found += [*_in_dates(config), *_in_addresses(config, providers), *_in_text(config, "")]
    return found


def unknown_keys(config: Mapping[str, Any], spec: Schema) -> list[str]:
    """What the config has that the spec does not know, one sentence each: it is ignored, and may be misspelt."""
    return list(_unknown(without_nulls(config), spec, ""))


def _unknown(value: Mapping[str, Any], schema: Schema, path: str) -> Iterator[str]:
    options = [schema, *schema.get("oneOf", [])]
    known = {name: p for option in options for name, p in option.get("properties", {}).items()}
    for name, inner in value.items():
        if name in known:
            yield from _unknown(_mapping(inner), known[name], f"{path}{name}.")
        elif not name.startswith("__"):  # the CDK's own
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean `{path}{close[0]}`?" if close else "."
            if not _NAME.fullmatch(name):
                yield f"{f'`{path[:-1]}`' if path else 'The config'} has a key that is none of this config and is ignored."
                continue
            yield f"`{path}{name}` is not a key of this config and is ignored{hint}"


def is_connected(section: Any) -> bool:
    """Whether a provider's section of the config is in use."""
    return isinstance(section, Mapping) and section.get("connection") != "disabled"


def _in_provider(name: str, section: Any, schema: Schema) -> Iterator[str]:
    if not isinstance(section, Mapping):
        yield f"`{name}` must be an object with the keys of this provider."
        return
    if section.get("connection", "enabled") not in ("enabled", "disabled"):
        yield f"`{name}.connection` must be enabled or disabled."
    elif is_connected(section):
        connected = next(o for o in schema["oneOf"] if o["title"] == "Connected")
        yield from _in_value(section, connected, name)


def _whole_pattern(_validator: Any, pattern: str, instance: Any, _schema: Schema) -> Iterator[ValidationError]:
    """`pattern` as the Airbyte UI has it: a line break at the end is no match, as `$` is in Python."""
    if isinstance(instance, str) and not re.fullmatch(pattern, instance):
        yield ValidationError("does not match")


Validator = extend(Draft7Validator, {"pattern": _whole_pattern})  # type: ignore[no-untyped-call]


def _in_value(value: Any, schema: Schema, path: str) -> Iterator[str]:
    validator = Validator(schema, format_checker=FormatChecker())
    told = set()
    for error in sorted(validator.iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path]):
        # A key that is wrong in two ways is told once.
        where = (*error.absolute_path, error.validator == "required")
        if where not in told:
            told.add(where)
            yield from _in_words(error, path)


def _in_words(error: ValidationError, root: str) -> Iterator[str]:
    path = ".".join([root, *(str(p) for p in error.absolute_path)])
    schema: Schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "required":
        for key in schema["required"]:
            if key not in _mapping(error.instance):
                wanted = schema["properties"][key]
                yield f"`{path}.{key}` is missing: {wanted.get('description') or wanted['title']}"
    elif error.validator == "oneOf":
        yield from _in_choice(error.instance, schema, path)
    elif error.validator == "type":
        yield f"`{path}` must be of type {error.validator_value}."
    elif error.validator in ("pattern", "format"):
        wanted = schema.get("pattern_descriptor") or schema.get("pattern") or schema.get("format")
        yield f"`{path}` must have the form: {wanted}."
    elif error.validator == "minLength":
        yield f"`{path}` is empty: {schema.get('description') or schema.get('title')}"
    elif error.validator in ("minimum", "maximum"):
        bound = "at least" if error.validator == "minimum" else "at most"
        yield f"`{path}` must be {bound} {error.validator_value}."
    elif error.validator == "uniqueItems":
        yield f"`{path}` names an entry twice."
    else:
        yield f"`{path}` does not fit the spec ({error.validator})."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _in_choice(instance: Any, schema: Schema, path: str) -> Iterator[str]:
    """A `oneOf` whose options share one property with a `const`: that property picks the option."""
    if not isinstance(instance, Mapping):
        yield f"`{path}` must be an object."
        return
    key = next(k for k, p in schema["oneOf"][0]["properties"].items() if "const" in p)
    options = {o["properties"][key]["const"]: o for o in schema["oneOf"]}
    if instance.get(key) not in list(options):  # it may be anything, a list too
        yield f"`{path}.{key}` must be one of: {', '.join(options)}."
    else:
        yield from _in_value(instance, options[instance[key]], path)


def _in_dates(config: Mapping[str, Any]) -> Iterator[str]:
    dates: dict[str, datetime] = {}
    for key in ("start_date", "end_date"):
        if config.get(key):
            try:
                dates[key] = ab_datetime_parse(config[key])
            except ValueError:
                yield f"`{key}` is no date that exists."
    if len(dates) == 2 and dates["end_date"] <= dates["start_date"]:
        yield "`end_date` must be later than `start_date`."
    if "start_date" in dates and dates["start_date"] > times.utc_now() + CLOCKS_DIFFER:
        yield (
            "`start_date` lies in the future: nothing has been created since then, so nothing would be synced. Set an "
            "earlier time, in UTC, or check this machine's clock."
        )


def _in_addresses(config: Mapping[str, Any], providers: Mapping[str, Schema]) -> Iterator[str]:
    for name in providers:
        section = _mapping(config.get(name))
        if is_connected(section) and "base_url" in section:
            problem = problem_of(section["base_url"])
            if problem:
                yield f"`{name}.base_url` is no address that can be asked: {problem}. It must have the form: https://host."


def _in_text(value: Mapping[str, Any], path: str) -> Iterator[str]:
    """JSON can write half of a character, which no request can carry."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and is_connected(inner):
            yield from _in_text(inner, f"{path}{key}.")
        elif isinstance(inner, str) and any("\ud800" <= letter <= "\udfff" for letter in inner):
            yield f"`{path}{key}` has half of a character (a lone surrogate). Copy it again."
