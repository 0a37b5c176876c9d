"""A made-up patient in every text of what a box is given is in nothing that it puts out but the objects it keeps."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.commands.trace import trace_command
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.outlets.cef import cef_line
from cathrt.runtime.outlets.message import Lane, message_from
from tests.e2e.canary import CHARACTER_SETS, FREE, ID, NAME, burned, names_below, sightings
from tests.e2e.commands import cathrt
from tests.e2e.running_box import Box
from tests.listener.listening import EXPLICIT_LITTLE, XA, associated
from tests.metrics.prometheus_messages import families_from

ASKS_FOR_PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


class _JsonBox(Box):
    """With JSON logs and a watched folder."""

    def _config(self) -> str:
        watched = self.folder / "watched"
        watched.mkdir(exist_ok=True)
        return (
            f'{super()._config()}\n[log]\nformat = "json"\n[study]\nwatched_folders = ["{watched}"]\nsettle_s = 0.1\n'
        )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[_JsonBox]:
    made = _JsonBox(tmp_path / "box")
    made.start()
    yield made
    made.end()


# Every output is searched each time; with all character sets it is slow. The quick two: two alphabets with escape
# sequences between them, and one that libraries complain of.
SETS = pytest.mark.parametrize(
    "character_sets",
    [
        pytest.param(("\\ISO 2022 IR 87", "NO SUCH SET"), id="two"),
        pytest.param(tuple(CHARACTER_SETS), id="all", marks=pytest.mark.slow),
    ],
)


def runs(folder: Path, character_sets: tuple[str, ...]) -> list[Path]:
    """A readable and an unreadable run for each character set, under names that say nothing."""
    folder.mkdir()
    made = []
    for number, character_set in enumerate(character_sets):
        for technical in (False, True):
            path = folder / f"{number}{technical:d}.dcm"
            path.write_bytes(burned(character_set, f"1.2.826.7.{number}.{technical:d}", technical=technical))
            made.append(path)
    return made


def store(box: Box, paths: list[Path]) -> None:
    """By C-STORE, as a modality would."""
    with associated(box.listener_port, ((XA, EXPLICIT_LITTLE),)) as association:
        for path in paths:
            assert association.send_c_store(path).Status == 0


def rows(journal: Path) -> list[StoredRecord]:
    reader, place, found = JournalReader(journal), Head(), []
    while batch := reader.read(place):
        found += [followed.stored for followed in batch]
        place = batch[-1].place
    reader.close()
    return found


def ended(box: Box) -> int:
    """How many confirmed runs have a summary or a refusal."""
    if not box.state.study_journal.exists():
        return 0
    types = Counter(row.type for row in rows(box.state.study_journal))
    return types["run"] + types["refusal"]


def get(box: Box, path: str, accept: str = "*/*") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", box.feed_port, timeout=30.0)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        return connection.getresponse().read()
    finally:
        connection.close()


def command(*words: str | Path) -> bytes:
    done = cathrt(*words)
    assert "Traceback" not in done.stderr
    return (done.stdout + done.stderr).encode()


@SETS
@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom in the sender, on odd character sets
def test_what_stands_in_the_elements_and_names_of_inputs_is_in_nothing_that_a_box_puts_out(
    tmp_path: Path, box: _JsonBox, character_sets: tuple[str, ...]
) -> None:
    made = runs(tmp_path / "given", character_sets)
    box.wait_for(lambda: box.met() > 0 and box.pid("study") and ended(box) == 0 and get_answers(box))
    watched = box.folder / "watched" / f"{NAME} {FREE}"
    watched.mkdir()
    for path in (*made[:2], tmp_path / "notes"):
        content = path.read_bytes() if path.exists() else NAME.encode()
        (watched / f"{ID} {NAME} {path.stem}{path.suffix}.part").write_bytes(content)
    for path in sorted(watched.iterdir()):
        path.rename(path.with_suffix(""))
    store(box, made)
    expected = len(made) + 2
    box.wait_for(lambda: ended(box) == expected)

    put_out = {
        "feed page": get(box, "/"),
        "metrics as text": get(box, "/metrics"),
        "metrics as protobuf": get(box, "/metrics", ASKS_FOR_PROTOBUF),
        "health over HTTP": get(box, "/health"),
        "health": command("health", box.state.path),
        "health as JSON": command("health", box.state.path, "--json"),
    }
    assert "cathrt_stage_seconds" in families_from(put_out["metrics as protobuf"])
    for path in box.state.memory.iterdir():
        put_out[f"shared memory: {path.name.partition('-')[0]}"] = path.read_bytes()
    assert box.stop() == 0, box.said
    trace_command(box.state.path, tmp_path / "trace.json")
    put_out["trace"] = (tmp_path / "trace.json").read_bytes()
    put_out["standard output"] = (box.folder / "out").read_bytes()
    put_out["log"] = (box.folder / "err").read_bytes()
    put_out["names of files"] = names_below(box.state.path)
    for name, journal in (("live", box.state.live_journal), ("study", box.state.study_journal)):
        stored = rows(journal)
        put_out[f"records of {name}"] = b"\n".join(row.body for row in stored)
        for names in (False, True):
            messages = [message_from(row, Lane(name, 0, names), time.monotonic_ns()) for row in stored]
            put_out[f"messages of {name}, names {names}"] = b"\n".join(one.payload for one in messages)
            put_out[f"syslog lines of {name}, names {names}"] = "\n".join(map(cef_line, messages)).encode()
    types = Counter(row.type for row in rows(box.state.study_journal))
    assert types["run"] >= len(character_sets), "runs that could be read were judged"
    leaks = [leak for what, content in put_out.items() for leak in sightings(what, content)]
    assert leaks == []
    logged = [json.loads(line) for line in put_out["log"].splitlines()]
    assert {line["process"] for line in logged} >= {"run", "gateway"}


def get_answers(box: Box) -> bool:
    try:
        return b"cathrt" in get(box, "/")
    except OSError:
        return False


@SETS
def test_replay_says_nothing_of_the_patient_either(tmp_path: Path, character_sets: tuple[str, ...]) -> None:
    made = runs(tmp_path / "given", character_sets)
    journal, page = tmp_path / "day.journal", tmp_path / "page"
    said = command("replay", *made, "--journal", journal)
    said += command("replay", *made, "--json", "--journal", journal, "--summary-page", page)
    assert b"REFUSED" in said
    assert b"RUN" in said
    assert sightings("replay", said) == []
    assert sightings("records", b"\n".join(row.body for row in rows(journal))) == []
    assert sightings("page", b"".join(path.read_bytes() for path in page.rglob("*") if path.is_file())) == []


def test_the_search_finds_what_it_looks_for() -> None:
    for character_set in CHARACTER_SETS:
        for technical in (False, True):
            assert sightings("the object", burned(character_set, "1.2.3", technical=technical))
    assert sightings("escaped", json.dumps({"name": "金糸雀太郎"}).encode())
