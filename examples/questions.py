"""Questions over all providers, asked of what the demo has synced. `make questions` runs it.

They need the unified streams `recordings` and `utterances`; the share of recorded calls also needs the providers' own
streams of calls. Durations outside 0 to 24 hours are errors of whoever sent them: they are left out, and counted.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pictures import save_pictures
from tables import connect, print_table, say, shortest, table_names

ROOT = Path(__file__).resolve().parent.parent
DAY = 24 * 60 * 60
NOT_TOLD = "not told"

# Recordings that will never come are no minutes. A transcript that was made anew may have fewer pieces than the old one:
# what an earlier sync brought of it is no part of it any more. The rows of one transcript come within milliseconds.
VIEWS = rf"""
create or replace temp view timed_recordings as
select *, coalesce(started_at, created_at) as moment,
    case when duration_seconds between 0 and {DAY} then duration_seconds::double end as seconds
from recordings;

create or replace temp view said as
select *, len(regexp_extract_all(text, '\S+')) as words,
    case when start_seconds between 0 and {DAY} and end_seconds between start_seconds and {DAY}
        then (end_seconds - start_seconds)::double end as seconds
from utterances
qualify _airbyte_extracted_at
    >= max(_airbyte_extracted_at) over (partition by provider, transcript_id) - interval 1 minute;

create or replace temp view unsaid as
select * from timed_recordings r
where coalesce(transcript_text, '') = ''
    and not exists (from said s where s.provider = r.provider and s.recording_id = r.recording_id)
    and not exists (
        from said s where s.provider = r.provider and s.recording_id is null and s.call_id = r.call_id
    );
"""

MINUTES = """
select moment::date::varchar, provider, count(*), sum(seconds) / 60
from timed_recordings
where seconds is not null and moment is not null and status is distinct from 'unavailable'
group by all order by all
"""

IGNORED = """
select 'recordings', provider, count(*) from timed_recordings
where duration_seconds is not null and seconds is null group by all
union all
select 'utterances', provider, count(*) from said
where start_seconds is not null and end_seconds is not null and seconds is null group by all
order by all
"""

ROLES = f"""
select provider, coalesce(speaker_role, '{NOT_TOLD}') as role, count(*), sum(words)::bigint, sum(seconds)
from said group by all order by provider, role
"""

SPEAKERS = f"""
select provider, coalesce(speaker, '{NOT_TOLD}') as who, coalesce(speaker_role, '{NOT_TOLD}') as role,
    count(*), sum(words)::bigint as words, sum(seconds)
from said group by all order by words desc, provider, who, role limit 15
"""

SILENT = """
select provider, recording_id, moment::varchar, seconds
from unsaid
where seconds is not null and status is distinct from 'unavailable'
order by seconds desc, provider, recording_id limit 10
"""

# What counts as answered: the provider tells when the call was picked up. Amigo does not; there it is a call that is or
# was a conversation by its status. With each: its table, and the column that `call_id` of a recording refers to.
ANSWERED = {
    "amigo": ("amigo_calls", "call_sid", "status in ('in-progress', 'completed')"),
    "bird": ("bird_calls", "id", "answeredat is not null"),
    "quo": ("quo_calls", "id", "answeredat is not null"),
    "tether": ("tether_calls", "callid", "answertime is not null"),
}

RECORDED = """
select '{provider}', count(*), count(*) filter (where recorded), 100 * avg(recorded::int)
from (
    select exists (
        from recordings r where r.provider = '{provider}' and r.call_id = c."{key}" and r.status = 'available'
    ) as recorded
    from "{table}" c where {answered}
)
having count(*) > 0
"""

# DuckDB's extension for full-text search has to be downloaded; this needs none. Letters count without accents and case.
# First come the texts with the whole phrase, then those with the most of its words, then the newest.
SEARCH = r"""
with texts as (
    select provider, coalesce(recording_id, call_id) as id, position, created_at, coalesce(speaker, '') as who,
        start_seconds::double as second, text
    from said
    union all
    select provider, recording_id, null, created_at, '', null, transcript_text
    from timed_recordings r
    where transcript_text <> '' and not exists (
        from said s where s.provider = r.provider and s.recording_id = r.recording_id
    )
),
folded as (select *, lower(strip_accents(text)) as plain from texts),
wanted as (
    select distinct unnest(string_split_regex(trim(lower(strip_accents($search))), '\s+')) as word
)
select provider, id, position, who, second, count(*) as hits, text
from folded join wanted on contains(plain, word)
group by provider, id, position, created_at, who, second, text, plain
order by contains(plain, trim(lower(strip_accents($search)))) desc, hits desc, created_at desc nulls last,
    provider, id, position
limit 20
"""
SEARCHED = "Each text that has one of the words, the best 20. Plain SQL: DuckDB's full-text extension is not installed."


@dataclass(frozen=True)
class Answer:
    question: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


def prepare(connection: Any) -> None:
    """Makes the views that the questions use. They are temporary: the database stays as it is."""
    connection.execute(VIEWS)


def ask(connection: Any, sql: str, **values: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(sql, values or None).fetchall()
    return rows


def recorded_calls(connection: Any) -> list[tuple[Any, ...]]:
    tables = table_names(connection)
    return [
        row
        for provider, (table, key, answered) in ANSWERED.items()
        if table in tables
        for row in ask(connection, RECORDED.format(provider=provider, table=table, key=key, answered=answered))
    ]


def answers(connection: Any, search: str = "") -> dict[str, Answer]:
    """Each question's answer by a short name."""
    prepare(connection)
    if search.strip():
        found = ask(connection, SEARCH, search=search)
        head = ("provider", "recording or call", "position", "speaker", "second", "words found", "text")
        return {"search": Answer(f"Where was it said: {search}", head, found, SEARCHED)}
    return {
        "minutes": Answer(
            "How many minutes were recorded, per day and provider?",
            ("day", "provider", "recordings", "minutes"),
            ask(connection, MINUTES),
        ),
        "ignored": Answer(
            "Which durations were left out, because they are not between 0 and 24 hours?",
            ("what", "provider", "left out"),
            ask(connection, IGNORED),
        ),
        "roles": Answer(
            "Who speaks how much?",
            ("provider", "role", "utterances", "words", "seconds"),
            ask(connection, ROLES),
            "Words are what stands between spaces, of which some languages have none. Seconds: where a piece has an end.",
        ),
        "speakers": Answer(
            "Which 15 speakers say most?",
            ("provider", "speaker", "role", "utterances", "words", "seconds"),
            ask(connection, SPEAKERS),
        ),
        "silent": Answer(
            "Which are the 10 longest recordings without a transcript?",
            ("provider", "recording", "when", "seconds"),
            ask(connection, SILENT),
        ),
        "recorded": Answer(
            "How many of the answered calls have a recording?",
            ("provider", "answered calls", "with a recording", "percent"),
            recorded_calls(connection),
            "Answered: Bird, Quo and Tether tell when it was picked up; at Amigo the status is in-progress or completed.",
        ),
    }


def main() -> None:
    options = _options()
    folder: Path = options.folder.resolve()
    with connect(folder) as connection:
        found = answers(connection, options.search)
    if options.json:
        print(json.dumps({name: asdict(answer) for name, answer in found.items()}))
        return
    for answer in found.values():
        say(f"\n{answer.question}")
        if answer.rows:
            print_table(answer.head, answer.rows)
        else:
            say("  none")
        if answer.note:
            say(answer.note)
    if "minutes" in found:
        files = save_pictures(folder, found["minutes"].rows, found["roles"].rows)
        say("\nPictures: " + ", ".join(str(shortest(file)) for file in files))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where the demo has written")
    parser.add_argument(
        "--search", default="", help="words to look for in what was said, in the place of the questions"
    )
    parser.add_argument("--json", action="store_true", help="print the answers for a program, draw nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
