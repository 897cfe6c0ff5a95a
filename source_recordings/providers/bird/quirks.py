"""What is said in a transcription, out of its WebVTT."""

from functools import lru_cache
from html import unescape
from typing import Any

from webvtt import Caption, WebVTT
from webvtt.errors import MalformedCaptionError, MalformedFileError

ARROW = "-->"
"""Between the two times of a cue, and nowhere else in a WebVTT."""

HELD = 32
"""So many are remembered: a transcription's text is looked at three times in a row."""

Cue = dict[str, Any]


@lru_cache(maxsize=HELD)
def cues(vtt: str) -> list[Cue] | None:
    """Each thing said, in the order of the text: from when to when in seconds, and by which voice if there is one.

    None for what is no WebVTT, and for one of which a cue can't be read: half of a conversation would pass for all of it.
    Source of the form: https://www.w3.org/TR/webvtt1/
    """
    try:
        captions = WebVTT.from_string(vtt).captions
    except (MalformedFileError, MalformedCaptionError):
        return None
    # The library passes over a cue that it can't read.
    return [_cue(caption) for caption in captions] if len(captions) == vtt.count(ARROW) else None


def said(vtt: str) -> str | None:
    """All that is said, a cue after the other."""
    found = cues(vtt)
    return None if found is None else "\n".join(cue["text"] for cue in found)


def _cue(caption: Caption) -> Cue:
    voices = {unescape(name).strip() for name in Caption.VOICE_SPAN_PATTERN.findall(caption.raw_text)}
    return {
        "start": caption.start_time.in_milliseconds() / 1000,
        "end": caption.end_time.in_milliseconds() / 1000,
        "text": unescape(caption.text),
        # Whose words are whose in a cue of several voices, the text alone does not say.
        "voice": voices.pop() if len(voices) == 1 else None,
    }
