"""One page about what the demo has synced: counts, pictures, and recordings with their audio and transcripts.

`make demo` writes it. The page is one file that asks no network for anything; the audio stays beside it. Whatever comes
from a provider is data in it, never markup.
"""

import argparse
import base64
import hashlib
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pictures import DARK_ON_LIGHT, LIGHT_ON_DARK, minutes_per_day, provider_colours, who_speaks
from questions import DAY, IGNORED, MINUTES, ROLES, ask, prepare
from tables import MEDIA, connect, say, shortest, table_names

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).with_name("report.html.template")
REPORT = "report.html"
# The page stays small, whatever was synced: so many of each provider's newest recordings, so many sentences of each.
RECORDINGS = 40
SENTENCES = 400
LETTERS = 2000

# Each provider's files of one recording.
FILES = {
    "amigo": ("amigo_recording_files", "call_sid"),
    "bird": ("bird_recording_files", "recordingid"),
    "bota": ("bota_recording_files", "recording_id"),
    "quo": ("quo_recording_files", "recordingid"),
    "tether": ("tether_recording_files", "callid"),
}

NEWEST = f"""
select provider, recording_id, call_id, status, direction, from_number, to_number, transcript_text, seconds,
    moment
from timed_recordings
qualify row_number() over (partition by provider order by moment desc nulls last, recording_id) <= {RECORDINGS}
order by moment desc nulls last, provider, recording_id
"""

# A recording's own transcript; where a provider ties transcripts to calls, that of its call. Of several the newest.
SPOKEN = """
with wanted as (select * from chosen),
pieces as (
    select w.recording_id as wanted_id, s.*
    from said s join wanted w on s.provider = w.provider and s.recording_id = w.recording_id
    union all
    select w.recording_id, s.*
    from said s join wanted w on s.provider = w.provider and s.recording_id is null and s.call_id = w.call_id
),
newest as (
    select provider, wanted_id, arg_max(transcript_id, (coalesce(created_at, '-infinity'::timestamp), transcript_id)) as id
    from pieces group by all
)
select p.provider, p.wanted_id, p.speaker, p.speaker_role, p.start_seconds::double, p.end_seconds::double,
    p.offset_basis, p.text
from pieces p join newest n
    on p.provider = n.provider and p.wanted_id = n.wanted_id and p.transcript_id is not distinct from n.id
order by p.provider, p.wanted_id, p.position
"""

# What a reader of the highlighted sentences has to know, by what the provider counts its seconds from.
BASES = {
    "media_start": "",
    "recording_start": "",
    "call_start": "The seconds count from the start of the call. If the recording began later, the highlight is late.",
    "synthetic": "The provider made these seconds up: they are no places in the audio, and nothing is highlighted.",
    None: "No document says where the provider's seconds begin: the highlight may be early or late.",
}

Row = dict[str, Any]
Key = tuple[str, str]


def write_report(folder: Path, note: str = "") -> Path:
    """Writes the page about the database in the folder, beside it."""
    with connect(folder) as connection:
        prepare(connection)
        minutes, roles = ask(connection, MINUTES), ask(connection, ROLES)
        ignored = ", ".join(f"{number:,} {what} of {provider}" for what, provider, number in ask(connection, IGNORED))
        data: dict[str, Any] = {"counts": counts(connection), "recordings": recordings(connection, folder)}
    data["colours"] = provider_colours(row[0] for row in data["counts"])
    data["each"] = RECORDINGS
    template = TEMPLATE.read_text(encoding="utf-8")
    script = template.partition("<script>")[2].partition("</script>")[0]
    parts = {
        "SCRIPT_HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "MADE": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "NOTE": html.escape(note),
        "MINUTES_LIGHT": data_url(minutes_per_day(folder, minutes, DARK_ON_LIGHT)),
        "MINUTES_DARK": data_url(minutes_per_day(folder, minutes, LIGHT_ON_DARK)),
        "SPEAKERS_LIGHT": data_url(who_speaks(folder, roles, DARK_ON_LIGHT)),
        "SPEAKERS_DARK": data_url(who_speaks(folder, roles, LIGHT_ON_DARK)),
        "MINUTES_TABLE": html_table(("day", "provider", "recordings", "minutes"), minutes),
        "SPEAKERS_TABLE": html_table(("provider", "role", "utterances", "words", "seconds"), roles),
        "IGNORED": html.escape(ignored or "none"),
        "DATA": as_json(data),
    }
    # In one pass: what is filled in is not looked through again.
    page = re.sub(r"\{\{([A-Z_]+)\}\}", lambda match: parts[match[1]], template)
    written = folder / REPORT
    written.write_text(page, encoding="utf-8")
    return written


def counts(connection: Any) -> list[tuple[str, str, int]]:
    """Provider, stream and rows. What is the same for all providers is counted for each."""
    found = []
    for table in sorted(table_names(connection)):
        if table in ("recordings", "utterances"):
            rows = ask(connection, f'select provider, count(*) from "{table}" where provider is not null group by 1')
            found += [(provider, table, number) for provider, number in rows]
        elif not table.startswith("_airbyte"):
            found.append((table.partition("_")[0], table, ask(connection, f'select count(*) from "{table}"')[0][0]))
    return sorted(found)


def recordings(connection: Any, folder: Path) -> list[Row]:
    """The newest recordings, with their files on disk and their transcripts."""
    connection.execute(f"create or replace temp table chosen as {NEWEST}")
    rows = connection.execute("select * from chosen order by moment desc nulls last, provider, recording_id")
    names = [column[0] for column in rows.description]
    chosen = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    files = audio(connection, folder)
    spoken: dict[Key, list[Sequence[Any]]] = defaultdict(list)
    for provider, recording, *piece in ask(connection, SPOKEN):
        spoken[provider, recording].append(piece)
    for row in chosen:
        key = (row["provider"], row["recording_id"])
        moment = row.pop("moment")
        row["at"] = moment and f"{moment:%Y-%m-%d %H:%M}"
        row["audio"] = files[key]
        row.update(transcript(spoken[key]))
        text = row.pop("transcript_text") or ""
        row["text"] = "" if row["sentences"] else text[: LETTERS * 10]
    return chosen


def audio(connection: Any, folder: Path) -> dict[Key, list[Row]]:
    """The audio files on disk of each recording, by an address that is relative to the page."""
    tables = table_names(connection)
    media = (folder / MEDIA).resolve()
    found: dict[Key, list[Row]] = defaultdict(list)
    for provider, (table, key) in FILES.items():
        if table not in tables:
            continue
        sql = f"""select "{key}", media_path, media_type from "{table}"
            where media_status = 'stored' and media_type like 'audio/%' order by media_path"""
        for recording, path, kind in ask(connection, sql):
            file = (media / path).resolve()
            if file.is_file() and file.is_relative_to(media):
                found[provider, recording].append({"src": f"{MEDIA}/{quote(path)}", "type": kind, "name": file.name})
    return found


def transcript(pieces: Sequence[Sequence[Any]]) -> Row:
    """Its sentences, each with the seconds in which it is highlighted, and what there is to know about these."""
    timed = [piece for piece in pieces if _second(piece[2]) is not None]
    bases = sorted({piece[4] or "" for piece in timed})
    known = [BASES[basis or None] if (basis or None) in BASES else BASES[None] for basis in bases]
    sentences = []
    for index, (speaker, role, start, end, basis, text) in enumerate(pieces[:SENTENCES]):
        start, end = (None, None) if basis == "synthetic" else (_second(start), _second(end))
        if start is not None and (end is None or end < start):
            # A provider may tell only when a sentence begins: then it lasts until the next one begins.
            later = (_second(piece[2]) for piece in pieces[index + 1 :])
            end = next((second for second in later if second is not None and second > start), None)
        text = text if len(text) <= LETTERS else text[:LETTERS] + " …"
        sentences.append([speaker, role, start, end, text])
    return {
        "sentences": sentences,
        "more": max(0, len(pieces) - SENTENCES),
        "basis": " ".join(dict.fromkeys(note for note in known if note)),
    }


def _second(value: float | None) -> float | None:
    return round(value, 3) if value is not None and 0 <= value <= DAY else None


def as_json(data: Any) -> str:
    """JSON that ends no script, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_url(svg: str) -> str:
    # As an image nothing in it runs, and its styles and names stay apart from the page's.
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def html_table(head: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    def cells(tag: str, values: Iterable[Any]) -> str:
        return "".join(f"<{tag}>{html.escape(_shown(value))}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str("" if value is None else value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where the demo has written")
    parser.add_argument("--note", default="", help="a sentence to stand at the top of the page")
    options = parser.parse_args()
    say(str(shortest(write_report(options.folder.resolve(), options.note))))


if __name__ == "__main__":
    main()
