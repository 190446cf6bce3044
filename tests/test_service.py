"""The service: its answers are those of the extractor, whoever asks at the same time; it refuses, and does not die."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import eq
from pathlib import Path
from random import Random
from time import monotonic, sleep
from urllib.parse import urlencode

import pytest

from browser import chromium  # noqa: F401
from commands import run as run_command
from documents import VOCABULARY, random_documents, untrained_run
from glre_pyg import Dictionary, RelationExtractor
from glre_pyg.formats.jsonl import format_jsonl
from glre_pyg.utils.exceptions import InputError

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi_offline")
pytest.importorskip("prometheus_client")

from glre_pyg.service.relation_service import RelationService  # noqa: E402
from glre_pyg.service.web_app import create_app  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "docs/example"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
LIMITS = {
    "max_bytes": 20_000,
    "max_documents": 8,
    "max_words": 1000,
    "max_sentences": 100,
    "max_waiting": 64,
    "max_batch": 16,
    "batch_wait": 0.005,
    "timeout": 60,
    "max_connections": 100,
}
TYPES = {"velorin": "Chemical", "ostamide": "Chemical", "brastol": "Chemical", "dexoril": "Chemical"}
TYPES |= {"rash": "Disease", "fevers": "Disease", "nausea": "Disease", "tremor": "Disease"}
NAMES = [(name, f"{kind[0]}{number}", kind) for number, (name, kind) in enumerate(TYPES.items())]
HOSTILE = "velorin </script><img src=x onerror=hacked=1> \"'&lt; </textarea> ${hacked=1} $text caused rash ."


@pytest.fixture(scope="module")
def extractor() -> RelationExtractor:
    return RelationExtractor(untrained_run(random_documents(6), threshold=0.5))


class Client:
    """Asks a service on this machine."""

    def __init__(self, url: str, service: RelationService | None = None) -> None:
        self.url, self.service = url, service

    def ask(self, path: str, body: bytes | None = None, kind: str = JSON) -> tuple[int, str, dict[str, str]]:
        """Return status, body and headers of an answer."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def extract(self, **request: object) -> list[dict]:
        """Return the documents of an answer."""
        status, text, _ = self.ask("/extract", json.dumps(request).encode())
        assert status == 200, text
        return json.loads(text)["documents"]

    def refused(self, **request: object) -> tuple[int, str]:
        """Return status and line of a refusal."""
        status, text, _ = self.ask("/extract", json.dumps(request).encode())
        return status, json.loads(text)["detail"]

    def metric(self, name: str) -> float:
        """Return the value of a metric."""
        [value] = re.findall(rf"^{re.escape(name)} (.*)$", self.ask("/metrics")[1], re.MULTILINE)
        return float(value)


@contextmanager
def served(extractor: RelationExtractor, *, finder=None, **limits: float) -> Iterator[Client]:
    """A service in a thread of this process."""
    service = RelationService(
        extractor,
        name="untrained",
        limits=LIMITS | limits,
        min_probability=0.05,
        dictionaries={"drugs": Dictionary(NAMES)},
        finder=finder,
    )
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Client(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(extractor) -> Iterator[Client]:
    with served(extractor) as made:
        yield made


class Held:
    """Holds the model before it predicts, until it is let go."""

    def __init__(self, extractor: RelationExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.predicted, predict = threading.Event(), [], extractor.predict

        def held(documents, **options):
            self.predicted.append([document.text for document in documents])
            assert self.go.wait(30)
            return predict(documents, **options)

        monkeypatch.setattr(extractor, "predict", held)


@pytest.fixture
def held(extractor, monkeypatch) -> Iterator[Held]:
    made = Held(extractor, monkeypatch)
    yield made
    made.go.set()


def wait_for(condition) -> None:
    """Wait until something holds."""
    end = monotonic() + 30
    while not condition():
        assert monotonic() < end
        sleep(0.01)


def text_of(number: int) -> str:
    """A text that no other number has, of a few sentences with names of the dictionary."""
    random = Random(number)
    words = [*VOCABULARY, *TYPES, *TYPES]
    sentences = [
        " ".join(random.choices(words, k=random.randint(5, 15))) for _ in range(random.randint(2, 5))
    ]
    return " . ".join([f"number {number}", *sentences]).capitalize() + " ."


def expected(found) -> list[dict]:
    """What the service answers for documents of the extractor."""
    return [json.loads(format_jsonl(document)) for document in found]


def close(given, wanted) -> bool:
    """Whether two answers are the same but for the last digits: in a batch, sums have another order."""
    return nearly(comparable(given), comparable(wanted))


def comparable(value):
    """A JSON value without what nearly equal numbers put in order, and without numbers as text."""
    if isinstance(value, dict):
        kept = {key: comparable(item) for key, item in value.items() if key not in ("extra", "context")}
        if kept.get("sentence_ablation"):
            kept["sentence_ablation"].sort(key=lambda row: row["sentence"])
        if "facts" in kept:
            kept["facts"].sort(key=lambda fact: (fact["head"], fact["relation"], fact["tail"]))
        return kept
    return [*map(comparable, value)] if isinstance(value, list) else value


def nearly(given, wanted) -> bool:
    """Whether two JSON values are the same but for the last digits of numbers."""
    if isinstance(wanted, dict):
        return given.keys() == wanted.keys() and all(nearly(given[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(given) == len(wanted) and all(map(nearly, given, wanted))
    return given == wanted or (isinstance(wanted, float) and given == pytest.approx(wanted, abs=1e-6))


# Answers


@pytest.mark.parametrize("options", [{}, {"reasons": False}, {"threshold": 0.52, "reasons": False}], ids=str)
def test_a_text_has_the_facts_that_the_extractor_finds(options, client, extractor):
    found = extractor(text_of(1), mentions=Dictionary(NAMES), **options)
    assert found[0].facts
    assert client.extract(text=text_of(1), dictionary="drugs", **options) == expected(found)


def test_documents_keep_their_mentions(client, extractor):
    given = random_documents(5)
    records = [json.loads(format_jsonl(document)) for document in given]
    found = expected(extractor(given))
    assert sum(bool(document["facts"]) for document in found) > 1
    assert close(client.extract(documents=records), found)


def test_a_dictionary_replaces_the_mentions_of_documents(client, extractor):
    given = random_documents(3)
    records = [json.loads(format_jsonl(document)) for document in given]
    found = expected(extractor(given, mentions=Dictionary(NAMES)))
    assert close(client.extract(documents=records, dictionary="drugs"), found)


@pytest.mark.parametrize("separator", [", ", "\t"])
def test_names_in_a_request_are_a_dictionary(separator, client, extractor):
    names = "\n".join(map(separator.join, NAMES[:6]))
    found = extractor(text_of(2), mentions=Dictionary(NAMES[:6]))
    assert client.extract(text=text_of(2), names=names) == expected(found)


def test_a_service_may_find_the_mentions_of_texts_itself(extractor):
    with served(extractor, finder=Dictionary(NAMES[:6])) as client:
        found = extractor(text_of(3), mentions=Dictionary(NAMES[:6]))
        assert client.extract(text=text_of(3)) == expected(found)
        assert "as the service is set up" in client.ask("/")[1]


@pytest.mark.parametrize(("max_batch", "same"), [(16, close), (1, eq)])
def test_32_clients_at_once_each_have_their_own_answer(max_batch, same, extractor):
    """To the last bit if each request is predicted alone."""
    texts = [text_of(number) for number in range(64)]
    alone = [expected(extractor(text, mentions=Dictionary(NAMES))) for text in texts]
    with served(extractor, batch_wait=0.2, max_batch=max_batch) as client, ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda text: client.extract(text=text, dictionary="drugs"), texts))
        batches = client.metric("glre_batch_documents_count")
        assert batches == len(texts) if max_batch == 1 else batches < len(texts) / 2
        assert client.metric("glre_batch_documents_sum") == len(texts)
    assert [answer[0]["text"] for answer in answers] == texts
    assert all(map(same, answers, alone))


def test_requests_with_different_options_are_not_predicted_together(extractor, held):
    with served(extractor) as client, ThreadPoolExecutor(3) as clients:
        clients.submit(client.extract, text=text_of(0), dictionary="drugs")
        wait_for(lambda: held.predicted)
        asked = [
            clients.submit(client.extract, text=text_of(1), dictionary="drugs", threshold=threshold)
            for threshold in (0.0, 1.0)
        ]
        wait_for(lambda: client.service.queue.num_waiting == 2)
        held.go.set()
        every, none = (each.result() for each in asked)
        assert len(held.predicted) == 3
    assert {fact["threshold"] for fact in every[0]["facts"]} == {0.0}
    assert none[0]["facts"] == []


# Refusals


def test_a_full_queue_refuses_and_the_others_are_answered(extractor, held):
    with served(extractor, max_waiting=2) as client, ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(client.extract, text=text_of(0), dictionary="drugs")]
        wait_for(lambda: held.predicted)
        asked += [clients.submit(client.extract, text=text_of(n), dictionary="drugs") for n in (1, 2)]
        wait_for(lambda: client.service.queue.num_waiting == 2)
        body = json.dumps({"text": text_of(3), "dictionary": "drugs"}).encode()
        status, text, headers = client.ask("/extract", body)
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(text) == {"detail": "2 documents are waiting: try again later"}
        page = client.ask("/relations", urlencode({"text": "a rash"}).encode(), FORM)
        assert page[0] == 429
        assert "2 documents are waiting" in page[1]
        assert client.ask("/ready")[0] == 429
        assert client.ask("/health")[0] == 200
        held.go.set()
        assert [each.result()[0]["text"] for each in asked] == [text_of(number) for number in range(3)]
        assert client.ask("/ready")[0] == 200
        assert client.metric('glre_requests_total{path="/extract",status="429"}') == 1


def test_what_takes_too_long_is_given_up(extractor, held):
    with served(extractor, timeout=0.3) as client:
        line = (504, "there was no answer after 0.3 s")
        assert client.refused(text=text_of(0), dictionary="drugs") == line
        assert client.refused(text="never predicted", dictionary="drugs") == line
        held.go.set()
        client.service.limits["timeout"] = 60
        [document] = client.extract(text=text_of(1), dictionary="drugs")
        assert document["text"] == text_of(1)
        assert held.predicted == [[text_of(0)], [text_of(1)]]


def test_a_body_that_does_not_end_is_given_up(extractor):
    with served(extractor, timeout=0.3) as client:
        host, port = client.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            head = (
                f"POST /extract HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: 99\r\n\r\n{{"
            )
            slow.sendall(head.encode())
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


SIZES = [
    ({"text": "word " * 1001}, "1001 words: a request may have at most 1000"),
    ({"documents": [{"id": "1", "text": "word " * 501}] * 2}, "1002 words: a request may have at most 1000"),
    ({"documents": [{"id": "1", "text": "a"}] * 9}, "9 documents: a request may have at most 8"),
    ({"text": "x" * 20_001}, "a request may have at most 20000 bytes"),
]


@pytest.mark.parametrize(("request_", "line"), SIZES, ids=[line for _, line in SIZES])
def test_what_is_too_large_is_refused(request_, line, client):
    assert client.refused(**request_) == (413, line)


MENTION = {"start": 0, "end": 9, "type": "Chemical", "ids": ["C1"]}
WRONG = [
    ({}, "text: give either text or documents"),
    ({"text": "a", "documents": []}, "text: give either text or documents"),
    ({"documents": []}, "documents: there are none"),
    ({"text": 1}, "text: expected `str | null`, got `int`"),
    ({"text": "a", "file": "/etc/passwd"}, "unknown field 'file'"),
    ({"text": "a"}, "text: has no marked mentions: give a dictionary or names that find them"),
    ({"text": " ", "dictionary": "drugs"}, "1: there is no text"),
    ({"text": "a", "dictionary": "/etc/passwd"}, "dictionary: '/etc/passwd' is not one of drugs"),
    ({"text": "a", "dictionary": "drugs", "names": "a"}, "names: give either dictionary or names"),
    ({"text": "a", "names": "rash, D1"}, "names:1: a line has 3 columns, name, id, type, this one 2"),
    (
        {"text": "a", "names": "rash, D1, Thing"},
        "names: of the types Thing, none is one of Chemical, Disease, Gene",
    ),
    ({"text": "\ud83d", "dictionary": "drugs"}, "1: text: half of a surrogate pair is in it"),
    ({"text": "a", "names": "\ud83d, D1, Disease"}, "names: half of a surrogate pair is in it"),
    ({"text": "a", "dictionary": "drugs", "threshold": 2}, "threshold: expected `float` <= 1.0"),
    (
        {"text": "a", "dictionary": "drugs", "threshold": "precision:0.9"},
        "threshold: precision:0.9: the run has no thresholds by precision",
    ),
    (
        {"documents": [{"id": "x", "text": "velorin", "mentions": [MENTION]}]},
        "documents[0]: mentions[0]: 0 to 9 is not inside 0 to 7",
    ),
    ({"documents": [{"id": "x"}]}, "documents[0].text: missing"),
]


@pytest.mark.parametrize(("request_", "line"), WRONG, ids=[line for _, line in WRONG])
def test_what_is_wrong_is_one_line(request_, line, client):
    assert client.refused(**request_) == (422, line)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b"9" * 5000, b"[" * 9000, b'{"text": "a", "text": "b"}', b'{"text": NaN}'],
    ids=lambda body: repr(body[:9]),
)
def test_what_is_no_request_is_one_line(body, client):
    status, text, _ = client.ask("/extract", body)
    assert status == 422
    assert len(json.loads(text)["detail"].splitlines()) == 1


@pytest.mark.parametrize("kind", ["text/plain", FORM, "multipart/form-data", ""])
def test_a_page_of_others_cannot_ask(kind, client):
    """Without asking the service first, a browser lets it send these types only."""
    assert client.ask("/extract", b'{"text": "a", "dictionary": "drugs"}', kind)[0] == 415


def test_the_error_of_a_request_is_its_own(extractor, monkeypatch):
    predict = extractor.predict

    def failing(documents, **options):
        for document in documents:
            if document.text in errors:
                raise errors[document.text]
        return predict(documents, **options)

    errors = {text_of(1): InputError("1: wrong"), text_of(2): ZeroDivisionError("secret")}
    monkeypatch.setattr(extractor, "predict", failing)
    with served(extractor, batch_wait=1) as client, ThreadPoolExecutor(4) as clients:
        bodies = [json.dumps({"text": text_of(n), "dictionary": "drugs"}).encode() for n in range(4)]
        answers = list(clients.map(lambda body: client.ask("/extract", body), bodies))
        assert client.metric("glre_batch_documents_count") < 4
        assert client.ask("/health")[0] == 200
    assert [status for status, _, _ in answers] == [200, 422, 500, 200]
    assert json.loads(answers[1][1]) == {"detail": "1: wrong"}
    assert "secret" not in answers[2][1]
    assert [json.loads(answers[n][1])["documents"][0]["text"] for n in (0, 3)] == [text_of(0), text_of(3)]


def test_nothing_of_a_request_is_kept(client, extractor):
    record = {"id": "x", "text": "velorin", "mentions": [MENTION | {"end": 7, "type": "Invented"}]}
    client.extract(documents=[record])
    wait_for(lambda: not extractor.left_out)


# Status


def test_health_metrics_and_the_page_for_programs(client):
    before = client.metric("glre_documents_total")
    [document] = client.extract(text=text_of(5), dictionary="drugs")
    assert client.metric("glre_documents_total") == before + 1
    assert client.metric("glre_facts_total") >= len(document["facts"])
    assert client.metric("glre_waiting_documents") == 0
    assert client.ask("/nowhere/at/all")[0] == 404
    assert client.metric('glre_requests_total{path="other",status="404"}') >= 1
    assert json.loads(client.ask("/health")[1]) == {"status": "ok", "model": "untrained"}
    schemas = json.loads(client.ask("/openapi.json")[1])["components"]["schemas"]
    assert schemas["ExtractionRequest"]["properties"].keys() >= {"text", "documents", "names"}
    used = set(re.findall(r'"#/components/schemas/(\w+)"', client.ask("/openapi.json")[1]))
    assert used <= schemas.keys()
    page = client.ask("/docs")[1]
    assert re.findall(r'(?:src|href|url)["\']?[=:] ?["\'](?!/)', page) == []


def test_a_service_without_a_model_is_not_healthy(extractor, monkeypatch):
    async def stopped(self):
        raise RuntimeError

    monkeypatch.setattr("glre_pyg.service.request_queue.RequestQueue.run", stopped)
    with served(extractor) as client:
        wait_for(lambda: client.ask("/health")[0] == 503)
        assert client.ask("/ready")[0] == 503


# Pages


def test_what_was_sent_stays_text_in_the_form(client):
    fields = {"text": HOSTILE, "names": HOSTILE, "dictionary": HOSTILE}
    status, page, headers = client.ask("/relations", urlencode(fields).encode(), FORM)
    assert status == 422
    assert page.count("<textarea") == page.count("</textarea>") == 2
    assert "<img" not in page
    assert "script" not in re.sub("&lt;/script&gt;", "", page)
    assert "default-src 'none'" in headers["content-security-policy"]
    unknown = client.ask("/relations", urlencode({"text": "a", "dictionary": "<img>"}).encode(), FORM)
    assert "dictionary: &#x27;&lt;img&gt;&#x27; is not one of drugs" in unknown[1]


@pytest.mark.parametrize(
    "body", [b"", b"text", b"text=%ff", b"text=" + b"a&" * 9, b"text=\xff", b"text=+", b"x=1"]
)
def test_a_malformed_form_is_one_line_on_the_form(body, client):
    status, page, _ = client.ask("/relations", body, FORM)
    assert status == 422
    assert page.count('<p role="alert">') == 1


def test_a_text_is_pasted_and_its_relations_are_looked_at(client, chromium):  # noqa: F811
    """In a browser: a dictionary is chosen, text stays text, and names may be one's own."""
    chromium.get(client.url)
    chromium.execute_script("document.getElementById('text').value = arguments[0]", HOSTILE)
    assert [each.text for each in chromium.find_elements("css selector", "#dictionary option")] == ["drugs"]
    chromium.find_element("css selector", "button[type=submit]").click()
    wait_for(lambda: chromium.find_elements("css selector", "#words .sentence"))
    assert chromium.current_url == f"{client.url}/relations"
    assert "<img src=x onerror=hacked=1>" in chromium.find_element("css selector", "#words").text
    assert chromium.execute_script("return [typeof hacked, document.images.length]") == ["undefined", 0]
    assert "velorin" in chromium.find_element("css selector", "#facts").text
    chromium.back()
    wait_for(lambda: chromium.find_elements("css selector", "details summary"))
    chromium.find_element("css selector", "details summary").click()
    chromium.find_element("css selector", "#names").send_keys("rash, D1, Thing")
    chromium.find_element("css selector", "button[type=submit]").click()
    wait_for(lambda: chromium.find_elements("css selector", "[role=alert]"))
    alert = chromium.find_element("css selector", "[role=alert]").text
    assert alert == "names: of the types Thing, none is one of Chemical, Disease, Gene"
    assert chromium.find_element("css selector", "#text").get_attribute("value") == HOSTILE
    assert chromium.find_element("css selector", "#names").get_attribute("value") == "rash, D1, Thing"
    errors = [entry for entry in chromium.get_log("browser") if "status of 422" not in entry["message"]]
    assert [
        entry for entry in errors if entry["level"] == "SEVERE" and "favicon" not in entry["message"]
    ] == []


# The command


@pytest.mark.slow
def test_a_signal_ends_the_command_after_the_answers():
    command = [sys.executable, "-m", "glre_pyg.serve", "run=cdr", "port=0", "limits.max_words=400"]
    names = f"dictionaries={{example: {EXAMPLE / 'names.tsv'}}}"
    process = subprocess.Popen([*command, names], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        client = Client(process.stdout.readline().partition(" ")[0])
        text = (EXAMPLE / "abstract.txt").read_text(encoding="utf-8").rstrip()
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(client.extract, text=text, dictionary="example")
            wait_for(lambda: client.metric("glre_batch_documents_count"))
            process.send_signal(signal.SIGTERM)
            [found] = asked.result()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert errors == "interrupted by SIGTERM: the requests in progress were answered\n"
    [document] = RelationExtractor.from_pretrained("cdr")(
        text, mentions=Dictionary.read(EXAMPLE / "names.tsv")
    )
    assert document.facts
    assert close([found], expected([document]))


def test_what_the_command_needs_is_named(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _, err = run_command("serve", "run=cdr", f"port={port}", cwd=tmp_path, code=2)
    assert err == f"error: host: 127.0.0.1, port {port}: Address already in use\n"
    _, err = run_command("serve", "run=cdr", "port=0", "dictionaries={a: b.tsv}", cwd=tmp_path, code=2)
    assert err == "error: b.tsv: cannot be read: No such file or directory\n"
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    _, err = run_command("serve", "run=cdr", cwd=tmp_path, code=2)
    assert err == "error: serve: uvicorn is not installed: pip install 'glre_pyg[serve]'\n"
