"""The spec as Airbyte's web form takes it.

The form crashes on or misreads some of what JSON Schema allows and the CDK's own checks let pass. Each test is one of its
rules, held against every part of the spec; each rule is also tried on a part that breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft7Validator

from source_recordings.config import problems
from source_recordings.provider_yaml import load_providers
from source_recordings.spec import build_spec

Node = dict[str, Any]
Rule = Callable[[str, Node], str]

SPEC: Node = build_spec(load_providers())
PROVIDERS = list(load_providers())
SECRET = re.compile(r"key$|token$|password$|secret")


def fields(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every property at whatever depth, by its path in the form."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, child
        yield from fields(child, here)
    for number, option in enumerate(node.get("oneOf", [])):
        yield from fields(option, f"{path}[{number}]")


def choices(node: Node) -> list[str]:
    """The properties that tell the options of a oneOf apart."""
    options = [option.get("properties", {}) for option in node["oneOf"]]
    shared = set.intersection(*(set(option) for option in options))
    return [name for name in shared if all("const" in option[name] for option in options)]


# --- the rules: what is wrong with a field, or nothing ------------------------------------------


def a_choice_is_an_object_of_objects(path: str, field: Node) -> str:
    if "oneOf" not in field:
        return ""
    if any(node.get("type") != "object" for node in [field, *field["oneOf"]]):
        return "the form crashes on a oneOf without `type: object` on it and on every option"
    return ""


def a_choice_has_one_constant(path: str, field: Node) -> str:
    if "oneOf" not in field:
        return ""
    names = choices(field)
    if len(names) != 1:
        return "the form needs exactly one property that every option has with a `const`"
    constants = [option["properties"][names[0]] for option in field["oneOf"]]
    if len({constant["const"] for constant in constants}) != len(constants):
        return "two options have the same `const`"
    if any(constant.get("default", constant["const"]) != constant["const"] for constant in constants):
        return "a `default` beside a `const` must be that"
    return ""


def an_option_has_a_label(path: str, field: Node) -> str:
    titles = [option.get("title") for option in field.get("oneOf", [])]
    return "" if all(titles) and len(set(titles)) == len(titles) else "options need titles of their own"


def a_choice_is_not_in_a_list(path: str, field: Node) -> str:
    return "the form crashes on a list of oneOf" if "oneOf" in field.get("items", {}) else ""


def a_list_is_of_strings(path: str, field: Node) -> str:
    if field.get("type") == "array" and field.get("items", {}).get("type") != "string":
        return "only a list of strings becomes a tag input"
    return ""


def an_object_is_a_choice(path: str, field: Node) -> str:
    if field.get("type") == "object" and "oneOf" not in field:
        return "the form drops a plain object's title and demands its required fields of everybody"
    return ""


def a_field_says_what_it_is(path: str, field: Node) -> str:
    if "const" in field:
        return ""
    missing = [key for key in ("type", "title", "order") if key not in field]
    if "description" not in field and "oneOf" not in field:
        missing.append("description")
    return f"without {', '.join(missing)}" if missing else ""


def a_field_has_one_type(path: str, field: Node) -> str:
    return "" if isinstance(field.get("type"), str) else "the form can't render several types"


def a_pattern_is_explained(path: str, field: Node) -> str:
    if ("pattern" in field) != ("pattern_descriptor" in field):
        return "pattern and pattern_descriptor (the hint and the error text) come together"
    return ""


def a_pattern_is_javascript(path: str, field: Node) -> str:
    for node in (field, field.get("items", {})):
        if re.search(r"\(\?[P<#aiLmsux-]|\\[AZz]|\(\?\(", node.get("pattern", "")):
            return "the browser does not know Python's extensions of regular expressions"
    return ""


def a_time_is_picked(path: str, field: Node) -> str:
    if path.endswith("_date") and field.get("format") != "date-time":
        return "`format: date-time` makes the date picker"
    return ""


def a_secret_is_hidden(path: str, field: Node) -> str:
    secret = bool(SECRET.search(path)) and field.get("type") == "string" and "const" not in field
    if secret != bool(field.get("airbyte_secret")):
        return "airbyte_secret makes a password box, and belongs to secrets only"
    if secret and ("default" in field or "examples" in field):
        return "a secret shows no default or example"
    return ""


def a_default_is_valid(path: str, field: Node) -> str:
    if "default" in field and not Draft7Validator(field).is_valid(field["default"]):
        return "its default, which the form fills in, is refused"
    return ""


def an_example_is_valid(path: str, field: Node) -> str:
    shape = field["items"] if field.get("type") == "array" else field
    if any(not Draft7Validator(shape).is_valid(example) for example in field.get("examples", [])):
        return "its own example is refused"
    return ""


def what_counts_is_not_folded(path: str, field: Node) -> str:
    if path in [*PROVIDERS, "start_date"] and not field.get("always_show"):
        return "what is not required is folded under `Optional fields` unless `always_show: true`"
    return ""


RULES: list[Rule] = [
    a_choice_is_an_object_of_objects,
    a_choice_has_one_constant,
    an_option_has_a_label,
    a_choice_is_not_in_a_list,
    a_list_is_of_strings,
    an_object_is_a_choice,
    a_field_says_what_it_is,
    a_field_has_one_type,
    a_pattern_is_explained,
    a_pattern_is_javascript,
    a_time_is_picked,
    a_secret_is_hidden,
    a_default_is_valid,
    an_example_is_valid,
    what_counts_is_not_folded,
]

_OPTION = {"type": "object", "title": "A", "properties": {"kind": {"type": "string", "const": "a"}}}
_OTHER = {"type": "object", "title": "B", "properties": {"kind": {"type": "string", "const": "b"}}}
BROKEN: dict[Rule, Node] = {
    a_choice_is_an_object_of_objects: {"oneOf": [_OPTION, _OTHER]},
    a_choice_has_one_constant: {"oneOf": [_OPTION, {**_OTHER, "properties": {}}]},
    an_option_has_a_label: {"oneOf": [_OPTION, {**_OTHER, "title": "A"}]},
    a_choice_is_not_in_a_list: {"type": "array", "items": {"oneOf": [_OPTION, _OTHER]}},
    a_list_is_of_strings: {"type": "array", "items": {"type": "object"}},
    an_object_is_a_choice: {"type": "object", "properties": {"host": {"type": "string"}}},
    a_field_says_what_it_is: {"type": "string", "title": "A", "order": 1},
    a_field_has_one_type: {"type": ["string", "null"]},
    a_pattern_is_explained: {"type": "string", "pattern": "^a$"},
    a_pattern_is_javascript: {"type": "string", "pattern": r"^(?P<a>a)\Z"},
    a_time_is_picked: {"type": "string", "format": "date"},
    a_secret_is_hidden: {"type": "string"},
    a_default_is_valid: {"type": "integer", "default": "3"},
    an_example_is_valid: {"type": "array", "items": {"pattern": "^a$"}, "examples": ["b"]},
    what_counts_is_not_folded: {"type": "string"},
}
BROKEN_PATHS: dict[Rule, str] = {
    a_time_is_picked: "start_date",
    a_secret_is_hidden: "bird[1].access_key",
    what_counts_is_not_folded: "start_date",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_field_keeps_the_rule(rule: Rule) -> None:
    assert {path: wrong for path, field in fields(SPEC) if (wrong := rule(path, field))} == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_breaks_it(rule: Rule) -> None:
    assert rule(BROKEN_PATHS.get(rule, "field"), BROKEN[rule])


# --- the form as a whole ------------------------------------------------------------------------


def test_the_spec_is_json_schema() -> None:
    Draft7Validator.check_schema(SPEC)
    assert {name for name, _ in fields(SPEC)} >= {*PROVIDERS, "start_date", "lookback_days"}


def test_fields_stand_in_named_groups() -> None:
    """`order` counts inside a group only, and fields without one come before all that have one."""
    groups = [group["id"] for group in SPEC["groups"]]
    assert len(set(groups)) == len(groups)
    assert all(group["title"] for group in SPEC["groups"])
    assert {field.get("group") for field in SPEC["properties"].values()} == set(groups)
    assert all("group" not in field for path, field in fields(SPEC) if "." in path or "[" in path)


def test_the_order_is_one_order() -> None:
    def orders(properties: Node) -> list[tuple[str, int]]:
        return [(field.get("group", ""), field["order"]) for field in properties.values()]

    forms = [SPEC] + [option for _, field in fields(SPEC) for option in field.get("oneOf", [])]
    for form in forms:
        found = orders(form["properties"])
        assert len(set(found)) == len(found), form.get("title")


def test_required_fields_exist() -> None:
    forms = [SPEC] + [option for _, field in fields(SPEC) for option in field.get("oneOf", [])]
    for form in forms:
        assert set(form.get("required", [])) <= set(form["properties"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_is_one_line_until_it_is_connected(provider: str) -> None:
    field = SPEC["properties"][provider]
    off, on = field["oneOf"]
    assert provider not in SPEC["required"]
    assert (off["title"], on["title"]) == ("Not used", "Connected")
    assert set(off["properties"]) == {"connection"}
    assert field["default"] == {"connection": off["properties"]["connection"]["const"]}
    assert "connection" in off["required"], "else a hand-written section would be both options"
    assert "connection" not in on["required"], "a hand-written section need not have it"


def submitted(*connected: str) -> Node:
    """What the form sends: its defaults, and the required fields of the connected providers typed in."""

    def typed(form: Node) -> Node:
        answers: Node = {}
        for name, field in form["properties"].items():
            if "oneOf" in field:
                answers[name] = typed(field["oneOf"][0])
            elif "const" in field or "default" in field:
                answers[name] = field.get("const", field.get("default"))
            elif name in form.get("required", []):
                answers[name] = field.get("examples", ["a-made-up-value"])[0]
        return answers

    config = {}
    for name, field in SPEC["properties"].items():
        if name in PROVIDERS:
            config[name] = typed(field["oneOf"][1]) if name in connected else deepcopy(field["default"])
        elif "default" in field:
            config[name] = field["default"]
    return config


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_form_with_one_provider_is_accepted(provider: str) -> None:
    assert list(problems(submitted(provider), SPEC)) == []


def test_a_form_with_all_providers_is_accepted() -> None:
    assert list(problems(submitted(*PROVIDERS), SPEC)) == []


def test_an_untouched_form_is_told_to_connect_a_provider() -> None:
    found = " ".join(problems(submitted(), SPEC))
    assert all(provider in found for provider in PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_required_field_left_empty_is_named(provider: str) -> None:
    """What is missing is named, and nothing is demanded of the providers that are not used."""
    on = SPEC["properties"][provider]["oneOf"][1]
    for name in on["required"]:
        config = submitted(provider)
        del config[provider][name]
        found = list(problems(config, SPEC))
        assert len(found) == 1
        assert f"{provider}" in found[0]
        assert name in found[0]
