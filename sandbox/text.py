"""Fictional numbers and words in many scripts. 555 numbers are reserved for fiction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

LABELS = (
    "Front desk",
    "Zoe\u0308 \u00d8rsted-Nu\u00f1ez (example)",  # a combining mark
    # Right to left.
    "\u0645\u0643\u062a\u0628 \u0627\u0644\u0627\u0633\u062a\u0642\u0628\u0627\u0644",
    "\u5ba2\u670d\u4e2d\u5fc3",
    "Support \U0001f4de\U0001f468\u200d\U0001f469\u200d\U0001f467",  # joined emoji
    'quotes "and" \\ back\\slashes, commas',
    "line\nbreak\tand tab",
    "x" * 300,
)

SENTENCES = (
    "Hello, thank you for calling the example company.",
    "Ol\u00e1, posso ajudar? \U0001f642",
    "\u05e9\u05dc\u05d5\u05dd, \u05d0\u05d9\u05da \u05d0\u05e4\u05e9\u05e8?",
    "\u3082\u3057\u3082\u3057\u3001\u6ce8\u6587\u306e\u4ef6\u3067\u3059\u3002",
    "Cafe\u0301 de\u0301ja\u0300 vu: e\u0301 is not \u00e9.",
    "Yes. No. {{ not a template }} %7B%7B ${nor this}",
    "<b>1 < 2 & 3 > 2</b>; DROP TABLE calls; --",
    "",
)


def phone(dice: random.Random) -> str:
    return f"+1415555{dice.randrange(10_000):04d}"


def label(dice: random.Random) -> str:
    return dice.choice(LABELS)


def sentence(dice: random.Random) -> str:
    return dice.choice(SENTENCES)
