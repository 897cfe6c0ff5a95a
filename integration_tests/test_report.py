"""What the demo's database answers, counted once more in Python; and the demo's page in a browser."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import unicodedata
import wave
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from integration_tests.browser import browser, needs_browser
from integration_tests.demo_run import PYTHON, ROOT, command, demo, needs_demo

pytestmark = [pytest.mark.slow, needs_demo]

Row = dict[str, Any]
Tables = dict[str, list[Row]]

HOSTILE = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'><!-- & {{DATA}} $x^2$ \u2028"
SHOWN = "<b>1 < 2 & 3 > 2</b>"  # of the sandbox itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one run of the demo has written."""
    made = tmp_path_factory.mktemp("report") / "demo"
    demo(made, "--size", "40")
    return made


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    dump = [
        str(PYTHON),
        str(ROOT / "integration_tests" / "dump_tables.py"),
        "duckdb",
        str(folder / "calls.duckdb"),
        "main",
    ]
    written = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    return {name: content["rows"] for name, content in json.loads(written).items()}


def questions(folder: Path, *options: str) -> dict[str, list[list[Any]]]:
    answers = json.loads(demo(folder, "--json", *options, program="questions.py"))
    return {name: answer["rows"] for name, answer in answers.items()}


def seconds(row: Row) -> float | None:
    told = row["duration_seconds"]
    return float(told) if told is not None and 0 <= Decimal(told) <= 86_400 else None


def moment(row: Row) -> str | None:
    at: str | None = row["started_at"] or row["created_at"]
    return at


def said(tables: Tables) -> list[Row]:
    """The pieces of each transcript as it was synced last, with their seconds."""
    newest: dict[tuple[str, str], datetime] = {}
    for row in tables["utterances"]:
        key, at = (row["provider"], row["transcript_id"]), datetime.fromisoformat(row["_airbyte_extracted_at"])
        newest[key] = max(at, newest.get(key, at))
    found = []
    for row in tables["utterances"]:
        at = datetime.fromisoformat(row["_airbyte_extracted_at"])
        if at < newest[row["provider"], row["transcript_id"]] - timedelta(minutes=1):
            continue
        start, end = (None if row[name] is None else Decimal(row[name]) for name in ("start_seconds", "end_seconds"))
        good = start is not None and end is not None and 0 <= start <= end <= 86_400
        found.append({**row, "seconds": float(end - start) if good and start is not None and end is not None else None})
    return found


def has_transcript(tables: Tables) -> Callable[[Row], bool]:
    spoken = said(tables)
    of_recording = {(row["provider"], row["recording_id"]) for row in spoken if row["recording_id"]}
    of_call = {(row["provider"], row["call_id"]) for row in spoken if not row["recording_id"] and row["call_id"]}

    def has(row: Row) -> bool:
        provider = row["provider"]
        found = (provider, row["recording_id"]) in of_recording or (provider, row["call_id"]) in of_call
        return bool(found or row["transcript_text"])

    return has


def close(ours: list[list[Any]], theirs: list[list[Any]]) -> bool:
    """Equal, but for the last digits of a float."""
    return len(ours) == len(theirs) and all(
        len(one) == len(other)
        and all(a == pytest.approx(b) if isinstance(b, float) else a == b for a, b in zip(one, other, strict=True))
        for one, other in zip(ours, theirs, strict=True)
    )


def test_the_questions_have_the_answers_that_the_rows_give(folder: Path, tables: Tables) -> None:
    answers = questions(folder)
    recordings = tables["recordings"]

    minutes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in recordings:
        length, at = seconds(row), moment(row)
        if length is not None and at is not None and row["status"] != "unavailable":
            minutes[at[:10], row["provider"]].append(length)
    counted = [[*key, len(lengths), sum(lengths) / 60] for key, lengths in sorted(minutes.items())]
    assert {provider for _, provider in minutes} == {"amigo", "bird", "bota", "quo", "tether"}
    assert close(answers["minutes"], counted)

    pieces = said(tables)
    wrong = Counter(("recordings", r["provider"]) for r in recordings if r["duration_seconds"] and seconds(r) is None)
    wrong += Counter(
        ("utterances", r["provider"])
        for r in pieces
        if r["start_seconds"] is not None and r["end_seconds"] is not None and r["seconds"] is None
    )
    assert wrong["recordings", "tether"], "the sandbox has absurd durations"
    assert answers["ignored"] == [[*key, number] for key, number in sorted(wrong.items())]

    def shares(*names: str) -> list[list[Any]]:
        groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in pieces:
            groups[tuple(row[name] or "not told" for name in names)].append(row)
        found = []
        for key, rows in groups.items():
            words = sum(len(re.findall(r"\S+", row["text"], re.ASCII)) for row in rows)
            timed = [row["seconds"] for row in rows if row["seconds"] is not None]
            found.append([*key, len(rows), words, sum(timed) if timed else None])
        return sorted(found)

    assert close(answers["roles"], shares("provider", "speaker_role"))
    most = sorted(shares("provider", "speaker", "speaker_role"), key=lambda row: (-row[4], *row[:3]))
    assert close(answers["speakers"], most[:15])

    has = has_transcript(tables)
    silent = [row for row in recordings if seconds(row) is not None and row["status"] != "unavailable" and not has(row)]
    silent.sort(key=lambda row: (-(seconds(row) or 0), row["provider"], row["recording_id"]))
    assert len(silent) > 10
    assert [[row[0], row[1], row[3]] for row in answers["silent"]] == [
        [row["provider"], row["recording_id"], seconds(row)] for row in silent[:10]
    ]


def test_the_share_of_recorded_calls_is_that_of_the_rows(folder: Path, tables: Tables) -> None:
    recorded = {(row["provider"], row["call_id"]) for row in tables["recordings"] if row["status"] == "available"}
    answered = {
        "amigo": [r["call_sid"] for r in tables["amigo_calls"] if r["status"] in ("in-progress", "completed")],
        "bird": [r["id"] for r in tables["bird_calls"] if r["answeredat"]],
        "quo": [r["id"] for r in tables["quo_calls"] if r["answeredat"]],
        "tether": [r["callid"] for r in tables["tether_calls"] if r["answertime"]],
    }
    counted: list[list[Any]] = []
    for provider, calls in answered.items():
        number = sum((provider, call) in recorded for call in calls)
        assert 0 < number < len(calls)
        counted.append([provider, len(calls), number, 100 * number / len(calls)])
    assert close(questions(folder)["recorded"], counted)


def folded(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).lower()


@pytest.mark.parametrize("search", ["cafe DEJA", "posso thank", "2</b>; drop", "' or 1=1 --", "אפשר?", "nowhere"])
def test_a_search_finds_what_has_its_words(folder: Path, tables: Tables, search: str) -> None:
    words = set(folded(search).split())
    texts = [(row["provider"], row["text"], row["created_at"]) for row in said(tables)]
    has = {(row["provider"], row["recording_id"]) for row in said(tables)}
    texts += [
        (row["provider"], row["transcript_text"], row["created_at"])
        for row in tables["recordings"]
        if row["transcript_text"] and (row["provider"], row["recording_id"]) not in has
    ]
    hits = [(p, t, at, sum(word in folded(t) for word in words)) for p, t, at in texts]
    hits = [hit for hit in hits if hit[3]]
    hits.sort(key=lambda hit: hit[2] or "", reverse=True)
    hits.sort(key=lambda hit: (folded(search) not in folded(hit[1]), -hit[3]))
    found = questions(folder, "--search", search)["search"]
    # Which of two equally good ones comes first is not what counts.
    assert [(row[0], row[5]) for row in found] == [(hit[0], hit[3]) for hit in hits[:20]]
    assert all(any(word in folded(row[6]) for word in words) for row in found)
    assert bool(found) == (search != "nowhere")


def test_the_answers_are_printed_and_drawn(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "demo"
    copy.mkdir()
    shutil.copy(folder / "calls.duckdb", copy)
    printed = demo(copy, program="questions.py")
    for words in (
        "minutes were recorded",
        "Who speaks how much?",
        "without a transcript",
        "answered calls",
        "left out",
    ):
        assert words in printed
    for name in ("minutes.svg", "speakers.svg"):
        drawn = (copy / name).read_text(encoding="utf-8")
        assert "<svg" in drawn and ">tether</text>" in drawn
    missing = subprocess.run(
        command(tmp_path / "none", program="questions.py"), capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1 and "run `make demo` first" in missing.stderr


def page_data(folder: Path) -> Any:
    page = (folder / "report.html").read_text(encoding="utf-8")
    return json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])


def test_the_page_has_what_the_tables_have(folder: Path, tables: Tables) -> None:
    data = page_data(folder)
    counts = {(provider, stream): rows for provider, stream, rows in data["counts"]}
    own = {stream: rows for (_, stream), rows in counts.items() if stream not in ("recordings", "utterances")}
    assert own == {name: len(rows) for name, rows in tables.items() if name not in ("recordings", "utterances")}
    for name in ("recordings", "utterances"):
        by_provider = Counter(row["provider"] for row in tables[name])
        assert {p: rows for (p, stream), rows in counts.items() if stream == name} == by_provider

    assert len(data["recordings"]) == len(tables["recordings"]) <= 200
    times = [row["at"] or "" for row in data["recordings"]]
    assert times == sorted(times, reverse=True)
    has = has_transcript(tables)
    expected = {(row["provider"], row["recording_id"]): has(row) for row in tables["recordings"]}
    assert {
        (r["provider"], r["recording_id"]): bool(r["sentences"] or r["text"]) for r in data["recordings"]
    } == expected
    stored = {
        "media/" + row["media_path"]
        for name, rows in tables.items()
        if name.endswith("_recording_files")
        for row in rows
        if (row["media_type"] or "").startswith("audio/")
    }
    assert {file["src"] for row in data["recordings"] for file in row["audio"]} == stored
    assert all((folder / source).is_file() for source in stored)


def test_the_page_is_one_file_that_names_no_other_host(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 2_000_000 and re.search(r"24 hours: \d+ recordings of tether", page)
    around = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    assert not re.findall(r"https?://|@import|<link|\burl\(", unescape(around))
    assert not re.findall(r"[<>&]", page.partition('id="data">')[2].partition("</script>")[0])


def real_sound(file: Path, length: int) -> None:
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(b"\0\0" * 8000 * length)


def playable(folder: Path) -> tuple[int, Row]:
    """The first recording that has a WAV file, and two sentences with seconds that do not overlap; with its place."""
    for place, row in enumerate(page_data(folder)["recordings"]):
        timed = [s for s in row["sentences"] if s[2] is not None]
        if row["audio"] and row["audio"][0]["name"].endswith(".wav") and len(row["audio"]) == 1 and len(timed) > 1:
            return place, row
    raise AssertionError("no recording to play")


@needs_browser
def test_the_sentence_that_is_spoken_is_highlighted(folder: Path, tmp_path: Path) -> None:
    place, row = playable(folder)
    # The sandbox's files are noise behind a header, and too short for what is said in them.
    real_sound(folder / row["audio"][0]["src"], 30)
    spans = [(i, s[2], s[3] if s[3] is not None else 30) for i, s in enumerate(row["sentences"]) if s[2] is not None]
    article = f"document.querySelectorAll('article')[{place}]"
    audio = f"{article}.querySelector('audio')"
    current = f"[...{article}.querySelectorAll('.sentence')].flatMap((s, i) => s.ariaCurrent ? [i] : [])"

    async def watch() -> None:
        async with browser(tmp_path, "--autoplay-policy=no-user-gesture-required") as page:
            await page.open(folder / "report.html")
            assert await page.run(current) == []
            await page.run(f"{article}.scrollIntoView()")

            # By itself, from the beginning into the second sentence. The page notes what it shows, and when.
            await page.run(
                f"void (window.seen = [], {audio}.addEventListener('timeupdate', () => seen.push([{audio}.currentTime,"
                f" {current}])), {audio}.play())"
            )
            await page.until(f"{audio}.currentTime > {spans[1][1] + 0.6}")
            await page.run(f"{audio}.pause()")
            seen = await page.run("seen")
            assert any(spans[0][0] in shown for _, shown in seen) and any(spans[1][0] in shown for _, shown in seen)
            for now, shown in seen:
                if all(abs(now - edge) > 0.1 for _, *edges in spans for edge in edges):
                    assert shown == [index for index, start, end in spans if start <= now < end]

            # Wherever the player is moved to.
            for _, start, end in spans:
                middle = (start + end) / 2
                await page.run(
                    f"new Promise((done) => {{ {audio}.addEventListener('seeked', () => setTimeout(done), {{once: true}});"
                    f" {audio}.currentTime = {middle}; }})"
                )
                spoken = [index for index, from_, to in spans if from_ <= middle < to]
                assert await page.run(current) == spoken

            # A click goes to the sentence and plays it.
            index, start, _ = spans[-1]
            now, paused, shown = await page.run(
                f"new Promise((done) => {{ {audio}.addEventListener('seeked', () => setTimeout(() =>"
                f" done([{audio}.currentTime, {audio}.paused, {current}])), {{once: true}});"
                f" {article}.querySelectorAll('.sentence')[{index}].click(); }})"
            )
            assert start <= now < start + 2 and not paused and index in shown
            assert page.errors == []
            assert {address.partition(":")[0] for address in page.requests} == {"file", "data"}

    asyncio.run(watch())


@needs_browser
def test_what_cannot_be_played_says_so_and_the_list_can_be_filtered(folder: Path, tmp_path: Path) -> None:
    data = page_data(folder)

    async def look() -> None:
        async with browser(tmp_path) as page:
            await page.open(folder / "report.html")
            await page.run("void document.querySelector('audio[src$=\".mp3\"]').play().catch(() => {})")
            await page.until('document.body.textContent.includes("This browser can\'t play the file")')

            shown = "[...document.querySelectorAll('article')].filter((a) => a.checkVisibility()).length"
            typing = "(words) => { const b = document.getElementById('words'); b.value = words;"
            typing += " b.dispatchEvent(new Event('input', {bubbles: true})); }"
            assert await page.run(shown) == len(data["recordings"])
            for words in ("cafe DEJA", "<b>1", "nowhere"):
                await page.run(f"({typing})({json.dumps(words)})")
                texts = [folded(" ".join(s[4] for s in row["sentences"]) + row["text"]) for row in data["recordings"]]
                assert await page.run(shown) == sum(all(w in text for w in folded(words).split()) for text in texts)
            await page.run(f"({typing})('')")
            choose = "const s = document.getElementById('provider'); s.value = 'quo';"
            await page.run(f"{{ {choose} s.dispatchEvent(new Event('input', {{bubbles: true}})); }}")
            assert await page.run(shown) == sum(row["provider"] == "quo" for row in data["recordings"])

    asyncio.run(look())


@needs_browser
def test_hostile_text_is_text_and_nothing_leaves_the_machine(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("cache", "logs"))
    spoil = f"""
import duckdb
with duckdb.connect({str(copy / "calls.duckdb")!r}) as connection:
    for table, column in (("utterances", "text"), ("utterances", "speaker"), ("utterances", "speaker_role"),
                          ("recordings", "from_number"), ("recordings", "status"), ("recordings", "transcript_text")):
        connection.execute(f"update {{table}} set {{column}} = ? where hash({{column}}) % 3 = 0", [{HOSTILE!r}])
    connection.execute("update recordings set provider = ? where provider = 'bota'", [{HOSTILE!r}])
    connection.execute("update recordings set duration_seconds = 1e15, created_at = '9999-12-31' where provider = 'quo'")
    connection.execute("update utterances set start_seconds = -5, end_seconds = 1e15 where provider = 'bird'")
    connection.execute("update bird_recording_files set media_path = '../calls.duckdb'")
"""
    subprocess.run([str(PYTHON), "-c", spoil], check=True)
    demo(copy, "--note", HOSTILE, program="report.py")
    demo(copy, program="questions.py")
    assert not any(row["audio"] for row in page_data(copy)["recordings"] if row["provider"] == "bird")

    async def look() -> None:
        with socket.create_server(("127.0.0.1", 0)) as outside:
            outside.settimeout(0.5)
            async with browser(tmp_path) as page:
                await page.open(copy / "report.html")
                assert await page.run("window.hit === undefined")
                assert (
                    await page.run("document.querySelectorAll('b, main img:not(figure img), article script').length")
                    == 0
                )
                for text in (HOSTILE, SHOWN):
                    assert await page.run(
                        f"document.getElementById('recordings').textContent.includes({json.dumps(text)})"
                    )
                assert await page.run(f"document.querySelector('header').textContent.includes({json.dumps(HOSTILE)})")
                assert page.errors == []
                # The page could not even if it were told to.
                address = f"http://127.0.0.1:{outside.getsockname()[1]}/"
                tries = f"fetch({address!r}).then(() => 'came', () => 'refused')"
                assert await page.run(tries) == "refused"
                await page.run(f"void (new Image().src = {address!r})")
                await page.run("new Promise((done) => setTimeout(done, 500))")
            with pytest.raises(TimeoutError):
                outside.accept()

    asyncio.run(look())
