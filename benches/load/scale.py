"""The workload `scale`: a large configuration, and its reloads."""
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from harness import Broken, Case, ask, end, free_port, get_json, memory, ready
from tables import Table

COUNT = 1000
RELOADS = 50
DOCUMENTS = """source: s{n}
url: {url}
query: {{ q: "{{term}}" }}
params:
  term: {{ type: string }}
timeout: {timeout}s
cache: {cache}
project:
  id: $.id
  total: $.summary.total
  skus: $.items[*].sku
---
route: /r/{n}/{{term}}
sources:
  s{n}: {{ params: {{ term: "{{path.term}}" }} }}
  s{next}: {{}}
respond: merge
"""
COLUMNS = {
    "start": "start ms",
    "reload": "reload ms",
    "reload_max": "slowest",
    "loaded": "under load ms",
    "loaded_max": "slowest",
    "rest": "RSS MiB",
    "after": "RSS after reloads",
    "peak": "peak RSS",
    "requests": "requests meanwhile",
    "failed": "failed",
    "p99": "p99 ms",
    "generation": "generation",
}


def scale(bench):
    """1,000 sources and 1,000 routes: start, 50 reloads at rest, 50 under 300 requests a second"""
    table = Table(scale.__doc__, COLUMNS, bench.interleave([Case("aggd", "", None, ())], lambda _: measure(bench)))
    rounds = table.rounds["aggd"]
    table.say("aggd", "start", table.median("aggd", "start"), 1000)
    table.say("aggd", "reload", table.median("aggd", "reload"), 300)
    table.say("aggd", "failed", max(r["failed"] for r in rounds), 0)
    table.say("aggd", "reloads applied", min(r["generation"] - 1 for r in rounds), 2 * RELOADS, at_least=True)
    table.say("aggd", "RSS", max(table.median("aggd", "rest"), table.median("aggd", "after")), 100)
    return [table]


def measure(bench):
    folder, port = Path(tempfile.mkdtemp(dir=bench.folder)), free_port()
    # Reloads are asked for and timed one by one: the watcher would come in between.
    settings = f"listen: 127.0.0.1:{port}\ndatabase: off\nreload: {{ watch: false, poll: off }}\n"
    (folder / "aggd.yaml").write_text(settings)
    (folder / "sources.d").mkdir()
    for n in range(COUNT):
        write(bench, folder, n, 5)
    process = bench.spawn([bench.aggd, "--config", "aggd.yaml"], of_load=False, folder=folder)
    try:
        start = ready(process, port, "/readyz") * 1000
        # Its two sources are not cached, and cached.
        path = f"/r/{COUNT // 2 + 1}/x"
        status, body = ask(port, path)
        if status != 200 or len(json.loads(body)) != 2:
            raise Broken(f"scale: wrong answer: status {status}: {body[:200]}")
        rest = memory(process.pid, "VmRSS")
        quiet = [reload(bench, folder, port, turn) for turn in range(RELOADS)]
        pace = max(0.1, 2 * max(quiet) / 1000)
        result = bench.load(port, path, 64, math.ceil(RELOADS * pace), rate=300)
        loaded = []
        for turn in range(RELOADS, 2 * RELOADS):
            due = time.monotonic() + pace
            loaded.append(reload(bench, folder, port, turn))
            time.sleep(max(0.0, due - time.monotonic()))
        figures, _ = result()
        return {
            "start": start,
            "reload": statistics.median(quiet),
            "reload_max": max(quiet),
            "loaded": statistics.median(loaded),
            "loaded_max": max(loaded),
            "rest": rest,
            "after": memory(process.pid, "VmRSS"),
            "peak": memory(process.pid, "VmHWM"),
            "requests": figures["requests"],
            "failed": figures["errors"],
            "p99": figures["p99"],
            "generation": get_json(port, "/health")["config"]["generation"],
        }
    finally:
        end(process)


def write(bench, folder, n, timeout):
    cache = "off" if n % 2 else "{ ttl: 30s }"
    text = DOCUMENTS.format(n=n, next=(n + 1) % COUNT, url=bench.url(n), timeout=timeout, cache=cache)
    (folder / "sources.d" / f"{n:04}.yaml").write_text(text)


def reload(bench, folder, port, turn):
    """Changes one file and has it applied; how many ms that took."""
    write(bench, folder, turn * 7 % COUNT, 6 + turn)
    began = time.monotonic()
    status, body = ask(port, "/admin/reload", "POST")
    if status != 200:
        raise Broken(f"reload: status {status}: {body[:300]}")
    return (time.monotonic() - began) * 1000
