"""Expressions of a provider.yaml in the CDK's words."""

import re
from collections.abc import Mapping
from typing import Any

from source_recordings.provider import Provider

Component = dict[str, Any]
Entry = Mapping[str, Any]

_NAME = re.compile(
    r"(?P<text>'[^']*'|\"[^\"]*\")|(?<![\w.])(?P<root>row|answer|parent|id|config)(?P<path>(?:\.\w+)*)\b"
)
_HOLE = re.compile(r"\{([^{}]+)\}")


def condition(expression: str) -> str:
    return f"{{{{ {expression} }}}}"


def got(name: str, path: list[str]) -> str:
    """A field that may be missing, as may any on the way to it."""
    for number, key in enumerate(path):
        name = f"{f'({name} or {{}})' if number else name}.get('{key}')"
    return name


class Words:
    """Translates for one provider, and notes the paths that it has seen."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.paths: list[str] = []
        """The templates of all paths, for the budget."""

    def text(self, expression: str, answer: str = "response", parent: str = "") -> str:
        """An expression of ours in the CDK's words: `answer` and `parent` are called differently in different places."""

        def word(match: re.Match[str]) -> str:
            if match["text"]:
                return match["text"]
            path: list[str] = match["path"].split(".")[1:]
            if match["root"] == "config":
                return self.config(path)
            if match["root"] == "id":
                return "stream_partition['id']"
            if match["root"] == "parent" and not parent:
                return f"stream_slice.extra_fields['{path[0]}']"
            return got({"row": "record", "answer": answer, "parent": parent}[match["root"]], path)

        return _NAME.sub(word, expression)

    def config(self, path: list[str]) -> str:
        section = f"config['{self.provider.name}']"
        if path[0] in {"base_url", *self.provider.spec["required"]}:
            return section + "".join(f"['{key}']" for key in path)
        return got(section, path)

    def value(self, expression: str) -> str:
        return condition(self.text(expression))

    def url(self, path: str) -> str:
        if path not in self.paths:
            self.paths.append(path)
        filled = _HOLE.sub(lambda hole: condition(f"{self.text(hole[1])} | urlencode"), path)
        return condition(self.config(["base_url"])) + filled
