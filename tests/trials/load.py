"""The service under load: many clients of Locust, each of which checks that every answer is that to its own question.

    pip install locust
    python tests/trials/load.py CDR_TestSet.PubTator.txt --clients 32 --seconds 60
    python tests/trials/load.py CDR_TestSet.PubTator.txt --clients 32 --seconds 60 --reasons
    python tests/trials/load.py CDR_TestSet.PubTator.txt --clients 32 --seconds 60 --waiting 8

Clients and service share this machine, and the loopback address. Each client asks for the relations of one document of
the file, by chance, and asks again as soon as it has the answer. What the extractor finds in each document alone is
computed first. With ``--waiting``, so many documents may wait; answers of 429 are counted apart, and the client asks
again when they say.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

CASES = "GLRE_LOAD_CASES"


def facts_of(document: dict) -> dict[tuple[str, str, str], float]:
    """Probabilities of the facts of an answer."""
    return {(fact["head"], fact["relation"], fact["tail"]): fact["probability"] for fact in document["facts"]}


def is_answer(given: dict, wanted: dict) -> bool:
    """Whether a document of an answer is the one that was asked for, with the facts of the extractor."""
    found, expected = facts_of(given), facts_of(wanted)
    return (
        (given["id"], given["text"]) == (wanted["id"], wanted["text"])
        and found.keys() == expected.keys()
        and all(abs(found[key] - expected[key]) < 1e-6 for key in found)
    )


if CASES in os.environ:  # run by Locust
    from gevent import sleep
    from locust import FastHttpUser, events, task

    settings = json.loads(Path(os.environ[CASES]).read_text(encoding="utf-8"))

    class Client(FastHttpUser):
        """Asks without a pause."""

        network_timeout = connection_timeout = settings["timeout"]

        def on_start(self) -> None:
            self.random = Random(id(self))

        @task
        def extract(self) -> None:
            wanted = self.random.choice(settings["cases"])
            body = {"documents": [wanted | {"facts": []}], "reasons": settings["reasons"]}
            with self.client.post("/extract", json=body, catch_response=True, name="extract") as answer:
                if answer.status_code == 429 and settings["waiting"]:
                    answer.request_meta["name"] = "refused with 429"
                    answer.success()
                    sleep(float(answer.headers["Retry-After"]))
                elif answer.status_code != 200:
                    answer.failure(f"status {answer.status_code}")
                elif not is_answer(answer.json()["documents"][0], wanted):
                    answer.failure("the answer is another one")

    @events.quitting.add_listener
    def report(environment, **_: object) -> None:
        for name in ("extract", "refused with 429"):
            entry = environment.stats.get(name, "POST")
            if entry.num_requests:
                p50, p99 = (entry.get_response_time_percentile(share) / 1000 for share in (0.5, 0.99))
                answers = f"{entry.num_requests} answers, {entry.total_rps:.1f} a second"
                print(
                    f"{name}: {answers}, p50 {p50:.2f} s, p99 {p99:.2f} s, {entry.num_failures} lost or mixed"
                )
        environment.process_exit_code = int(environment.stats.total.num_failures > 0)


def cases_of(file: str, count: int, *, reasons: bool) -> list[dict]:
    """Documents of a file with the facts that the extractor finds in each alone."""
    from glre_pyg import RelationExtractor
    from glre_pyg.formats.detection import read_documents
    from glre_pyg.formats.jsonl import format_jsonl

    extractor = RelationExtractor.from_pretrained("cdr")
    documents = list(islice(read_documents(Path(file)), count))
    started = perf_counter()
    found = [extractor(document, reasons=reasons)[0] for document in documents]
    rate = len(documents) / (perf_counter() - started)
    print(f"the extractor alone, one document after the other: {rate:.1f} a second", flush=True)
    return [json.loads(format_jsonl(document)) for document in found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--waiting", type=int)
    parser.add_argument("--reasons", action="store_true")
    options = parser.parse_args()
    cases, timeout = cases_of(options.file, options.documents, reasons=options.reasons), 600
    given = {"cases": cases, "timeout": timeout, "reasons": options.reasons, "waiting": options.waiting}
    limits = [f"limits.timeout={timeout}", f"limits.max_waiting={options.waiting or options.clients}"]
    command = [sys.executable, "-m", "glre_pyg.serve", "run=cdr", "device=cpu", "port=0", *limits]
    with TemporaryDirectory() as folder:
        place = Path(folder, "cases.json")
        place.write_text(json.dumps(given), encoding="utf-8")
        service = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        try:
            url = service.stdout.readline().partition(" ")[0]
            locust = [sys.executable, "-m", "locust", "-f", __file__, "--headless"]
            clients = ["--users", str(options.clients), "--spawn-rate", str(options.clients)]
            time = [
                "--loglevel",
                "ERROR",
                "--run-time",
                f"{options.seconds}s",
                "--stop-timeout",
                f"{timeout}s",
            ]
            code = subprocess.run(
                [*locust, "--host", url, *clients, *time],
                env={**os.environ, CASES: str(place)},
            ).returncode
            with urllib.request.urlopen(f"{url}/metrics", timeout=timeout) as answer:
                metrics = answer.read().decode()
            count, total = (
                float(re.findall(rf"^glre_batch_documents_{name} (.*)$", metrics, re.MULTILINE)[0])
                for name in ("count", "sum")
            )
            print(f"the service still answers; {total / count:.1f} documents in a batch")
        finally:
            service.terminate()
            service.wait()
    sys.exit(code)


if __name__ == "__main__":
    main()
