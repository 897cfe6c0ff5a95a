"""The expressions of a provider.yaml: what they give, what they can't reach, and what becomes of a value in a path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_recordings.expressions import BadExpression, BadSegment, compile_expression, compile_path, segment

NAMES: dict[str, Any] = {
    "row": {"id": "r1", "status": "completed", "items": [1, 2], "to": {"phone": "+1"}, "n": None},
    "config": {"api_key": "k"},
    "quirks": {"twice": lambda value: value * 2},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("row.id", "r1"),
        ("row.to.phone", "+1"),
        ("row", NAMES["row"]),
        ("row.n", None),
        ("row.missing", None),
        ("row.missing.deeper", None),
        ("row.id.deeper", None),
        ("row.n.deeper", None),
        ("nobody.knows", None),
        ("true", True),
        ("false", False),
        ("none", None),
    ],
)
def test_a_dotted_path_is_its_value_or_none(text: str, value: Any) -> None:
    assert compile_expression(text)(NAMES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("row.status == 'completed'", True),
        ("row.status in ['failed', 'deleted']", False),
        ("row.missing or row.id", "r1"),
        ("row.missing.deeper is string", False),
        ("row.id is string and row.n is none", True),
        ("row['missing']['deeper']", None),
        ("quirks.twice(row.id)", "r1r1"),
        ("row.items | length", 2),
        ("[row.id, 5]", ["r1", 5]),
        ("'5'", "5"),
    ],
)
def test_jinja_gives_native_values(text: str, value: Any) -> None:
    found = compile_expression(text)(NAMES)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("name", ["items", "keys", "get", "pop", "values", "update", "copy"])
@pytest.mark.parametrize("form", ["row.{}", "(row.{})"])
def test_a_field_is_never_a_method_of_the_dictionary(name: str, form: str) -> None:
    value = compile_expression(form.format(name))
    assert value({"row": {name: 5}}) == 5
    assert value({"row": {}}) is None


@pytest.mark.parametrize(
    "text",
    [
        "''.__class__.__mro__",
        "(row.id).__class__.__base__.__subclasses__()",
        "quirks.twice.__globals__",
        "row.items.append(3)",
        "row.__class__.__name__",
        "(row | attr('__class__')).__name__",
    ],
)
def test_the_sandbox_holds(text: str) -> None:
    """No way to Python's inside, and no way to change a row."""
    row = {"id": "r1", "items": [1, 2]}
    try:
        found = compile_expression(text)({**NAMES, "row": row})
    except Exception:
        found = None
    assert not found
    assert row == {"id": "r1", "items": [1, 2]}


@pytest.mark.parametrize("text", ["row.", "row.id ==", "{{ row.id }}", "(row", "a b", "", "{% if %}"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        compile_expression(text)


def test_a_path_is_text_with_expressions_in_it() -> None:
    path = compile_path("/v1/{config.workspace}/recordings/{row.id}.mp3")
    assert path({"config": {"workspace": "w 1"}, "row": {"id": 7}}) == "/v1/w%201/recordings/7.mp3"
    assert compile_path("/calls")({}) == "/calls"


def test_a_path_with_a_bad_expression_is_refused() -> None:
    with pytest.raises(BadExpression):
        compile_path("/calls/{row.}")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a%2Fb", "a%252Fb"),
        ("\u00fc\n\0", "%C3%BC%0A%00"),
        ("...", "..."),
        (0, "0"),
        (12, "12"),
    ],
)
def test_a_segment_is_percent_encoded(value: Any, encoded: str) -> None:
    assert segment(value) == encoded


@pytest.mark.parametrize("value", ["", ".", "..", None, True, False, 1.5, ["a"], {}, b"a", "\ud800"])
def test_what_leads_elsewhere_is_no_segment(value: Any) -> None:
    with pytest.raises(BadSegment):
        segment(value)
    with pytest.raises(BadSegment):
        compile_path("/calls/{row.id}/recording")({"row": {"id": value}})


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: t not in (".", "..")))
def test_any_id_stays_one_segment_of_its_own_endpoint(value: str) -> None:
    url = "https://host" + compile_path("/calls/{row.id}/recording")({"row": {"id": value}})
    parts = urlsplit(url)
    assert not parts.query and not parts.fragment
    before, found, after = parts.path.lstrip("/").split("/")
    assert (before, unquote(found), after) == ("calls", value, "recording")
