"""What is compared, and the bars. Each workload measures and gives back its tables."""
import contextlib
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness import Broken, Case, ask, check, connect, end, free_port, get_json, median, memory, one_request_each, ready


@dataclass
class Table:
    """Rows of figures, and what is said of them."""

    title: str
    columns: dict[str, str]  # figure → heading
    rounds: dict[str, list[dict]]
    verdicts: dict[str, list[str]] = field(default_factory=dict)
    missed: int = 0

    def bar(self, name, what, value, limit, at_least=False):
        """Holds a figure of a row against its bar."""
        good = value is not None and (value >= limit if at_least else value <= limit)
        self.missed += not good
        sign = "≥" if at_least else "≤"
        self.verdicts.setdefault(name, []).append(f"{what} {number(value)} ({sign} {limit:g}) {'ok' if good else 'MISS'}")

    def say(self, name, what, value):
        self.verdicts.setdefault(name, []).append(f"{what} {number(value)}")

    def against(self, name, base, figure, limit, at_least=False):
        """The ratio to a row of the same run: the median of the ratios of each round."""
        value = median(self.rounds[name], lambda n: self.rounds[name][n][figure] / self.rounds[base][n][figure])
        what = f"{self.columns[figure]} × {base}:"
        if limit is None:
            self.say(name, what, value)
        else:
            self.bar(name, what, value, limit, at_least)

    def markdown(self):
        out = [f"### {self.title}", "", "| target | " + " | ".join(self.columns.values()) + " | verdict |",
               "|---|" + "---:|" * len(self.columns) + "---|"]
        for name, rounds in self.rounds.items():
            cells = [number(median(rounds, key)) for key in self.columns]
            out.append(f"| {name} | {' | '.join(cells)} | {'; '.join(self.verdicts.get(name, []))} |")
        return "\n".join(out) + "\n"


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


LOAD = {"rps": "rps", "cpu_us": "CPU µs/req", "p50": "p50 ms", "p99": "p99 ms", "p999": "p99.9 ms", "rss": "peak RSS MiB",
        "calls": "upstream calls/req", "errors": "errors", "wrong": "wrong answers", "others": "others' CPU %"}


def aggd(bench, name, path, sources, holds=None, server="", more="cache: off", routes="", database="off", beside=None):
    """aggd with these sources (name → URL, or URL and YAML of its own) and otherwise defaults."""
    def command(port, folder):
        (folder / "aggd.yaml").write_text(f"listen: 127.0.0.1:{port}\ndatabase: {database}\n{server}\n")
        documents = [f"source: {n}\nurl: {url}\n{more}\n" for n, url in sources.items()]
        (folder / "sources.d").mkdir()
        (folder / "sources.d" / "bench.yaml").write_text("---\n".join([*documents, *([routes] if routes else [])]))
        return [bench.aggd, "--config", "aggd.yaml"]

    return Case(name, path, command, documents_of(sources) if holds is None else holds, "/readyz", beside)


def handwritten(bench, path, sources, ttl=0, holds=None, name="handwritten", beside=None):
    def command(port, _):
        return [bench.tools / "handwritten", port, ttl, *(f"{n}={url}" for n, url in sources.items())]

    return Case(name, path, command, documents_of(sources) if holds is None else holds, beside=beside)


def documents_of(sources):
    return tuple(f"doc-{n:05}" for n in range(len(sources)))


def sources(bench, count=3, more=""):
    return {f"s{n}": bench.url(n, more) for n in range(count)}


def hit(bench):
    """/aggregate from cache, three sources of 1 KB, 64 connections"""
    three = sources(bench)
    cached = dict(holds=(*documents_of(three), '"cached":true'), more="")
    ours = aggd(bench, "aggd", "/aggregate", three, **cached | {"holds": documents_of(three)})
    with bench.started(ours) as (_, port):
        (bench.folder / "body").write_text(check(ours, port))
    floor = Case("floor", "/", lambda port, _: [bench.tools / "floor", port, bench.folder / "body"], documents_of(three))
    cases = [floor, handwritten(bench, "/aggregate", three, ttl=60), ours,
             aggd(bench, "aggd + audit log", "/aggregate", three, database="sqlite://audit.db", **cached | {"holds": documents_of(three)})]
    table = Table(hit.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 64)))
    table.against("handwritten", "floor", "cpu_us", None)
    table.against("aggd", "floor", "cpu_us", 1.5)
    table.against("aggd + audit log", "floor", "cpu_us", None)
    return [table]


def against_handwritten(bench, title, cases, connections):
    table = Table(title, LOAD, bench.interleave(cases, lambda case: bench.measure(case, connections)))
    table.against("aggd", "handwritten", "cpu_us", 1.1)
    return [table]


def miss(bench):
    """/aggregate not cached, three fast upstreams, all policies at their defaults, 64 connections"""
    three = sources(bench)
    cases = [handwritten(bench, "/aggregate", three), aggd(bench, "aggd", "/aggregate", three)]
    return against_handwritten(bench, miss.__doc__, cases, 64)


def single(bench):
    """one source of 1 KB, not cached, 64 connections"""
    one = sources(bench, 1)
    cases = [handwritten(bench, "/source/s0", one), aggd(bench, "aggd", "/aggregate/s0", one)]
    return against_handwritten(bench, single.__doc__, cases, 64)


def latency(bench):
    """upstreams of 10, 20 and 30 ms, 1,500 requests a second, open loop; added: over the slowest upstream asked directly"""
    slow = {name: f"{url}&delay_ms={10 * (n + 1)}" for n, (name, url) in enumerate(sources(bench).items())}
    # 90 calls are in flight on average: the default limit of 100 would measure its own queue.
    cases = [Case("slowest upstream", "/json?delay_ms=30", None, ("doc-00000",)), handwritten(bench, "/aggregate", slow),
             aggd(bench, "aggd", "/aggregate", slow, server="limits: { concurrency: 1000 }")]
    rounds = bench.interleave(cases, lambda case: bench.measure(case, 256, rate=1500))
    table = Table(latency.__doc__, LOAD, rounds)
    for figure, limit in (("p50", 0.4), ("p99", 1.5)):
        for name in ("handwritten", "aggd"):
            added = median(rounds[name], lambda n: rounds[name][n][figure] - rounds["slowest upstream"][n][figure])
            if name == "aggd":
                table.bar(name, f"added {figure} ms", added, limit)
            else:
                table.say(name, f"added {figure} ms", added)
    return [table]


def one_hang(bench):
    """two fast sources while 50 requests a second ask for a third that hangs, 64 connections"""
    def three(hang):
        return sources(bench, 2) | {"s2": bench.url(2, f"&hang={hang:d}")}

    def ours(name, hang, more="cache: off"):
        routes = "route: /pair\nsources: [s0, s1]\n---\nroute: /third\nsources: [s2]\n"
        return aggd(bench, name, "/pair", three(hang), ("doc-00000", "doc-00001"), more=more, routes=routes, beside="/third")

    def theirs(name, hang):
        return handwritten(bench, "/pair", three(hang), holds=("doc-00000", "doc-00001"), name=name, beside="/source/s2")

    unprotected = "cache: off\nbreaker: off\ntimeout: 1s"
    cases = [theirs("handwritten", False), theirs("handwritten, one hangs", True), ours("aggd", False), ours("aggd, one hangs", True),
             ours("aggd, one hangs, no breaker, timeout 1 s", True, unprotected)]
    table = Table(one_hang.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 64)))
    table.against("handwritten, one hangs", "handwritten", "rps", None)
    table.against("aggd, one hangs", "aggd", "rps", 0.9, at_least=True)
    table.against("aggd, one hangs, no breaker, timeout 1 s", "aggd", "rps", 0.9, at_least=True)
    return [table]


def stampede(bench):
    """cold key, 500 callers at once, upstreams of 100 ms"""
    slow = sources(bench, more="&delay_ms=100")
    # Both are checked on a path that leaves the key cold.
    cases = [handwritten(bench, "/pair", slow, 60, ("doc-00000", "doc-00001")),
             aggd(bench, "aggd", "/livez", slow, (), more="")]

    def measure(case):
        with bench.started(case) as (process, port), contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(s) for s in connect(port, 500)]
            before = bench.calls()
            took = one_request_each(sockets, "/aggregate", 500)
            calls = max(b - a for a, b in zip(before, bench.calls()))
            at = lambda share: took[int(share * (len(took) - 1))] if took else None
            return {"calls": calls, "answered": len(took), "p50": at(0.5), "p99": at(0.99), "rss": memory(process.pid, "VmHWM")}

    columns = {"calls": "upstream calls per source", "answered": "answered 200", "p50": "p50 ms", "p99": "p99 ms", "rss": "peak RSS MiB"}
    table = Table(stampede.__doc__, columns, bench.interleave(cases, measure))
    table.bar("aggd", "calls", max(r["calls"] for r in table.rounds["aggd"]), 1)
    table.bar("aggd", "answered", min(r["answered"] for r in table.rounds["aggd"]), 500, at_least=True)
    return [table]


def large(bench):
    """five fields of a large document, not cached, 4 connections; cost: over moving the bytes, by that of a serde_json::Value"""
    tables = []
    for size in (1_000_000, 5_000_000):
        one = sources(bench, 1, f"&bytes={size}")
        fields = "\n  ".join(f"{key}: $.{key}" for key in ("id", "name", "summary.total", "status", "updated_at")).replace("summary.total:", "total:")
        held = ("doc-00000", "4711.5", "active", "2026-03-14T09:29:58Z")
        by_hand = lambda name, path, holds: handwritten(bench, path, one, holds=holds, name=name)
        cases = [by_hand("handwritten, bytes alone", "/bytes", (str(size),)), by_hand("handwritten, Value", "/value", held),
                 by_hand("handwritten, typed", "/project", held),
                 aggd(bench, "aggd", "/aggregate/s0", one, held, more=f"cache: off\nproject:\n  {fields}\n")]
        table = Table(f"{size / 1e6:g} MB: {large.__doc__}", LOAD, bench.interleave(cases, lambda case: bench.measure(case, 4)))
        cpu = {name: [r["cpu_us"] for r in rounds] for name, rounds in table.rounds.items()}
        moved, tree = cpu["handwritten, bytes alone"], cpu["handwritten, Value"]
        for name in ("handwritten, typed", "aggd"):
            cost = median(table.rounds[name], lambda n: (cpu[name][n] - moved[n]) / (tree[n] - moved[n]))
            table.bar(name, "cost", cost, 0.15) if name == "aggd" else table.say(name, "cost", cost)
        tables.append(table)
    return tables


def fanout(bench):
    """3, 30 and 100 sources of 1 KB, not cached, 16 connections"""
    counts = (3, 30, 100)
    cases = []
    for n in counts:
        cases.append(handwritten(bench, "/aggregate", sources(bench, n), name=f"handwritten, {n}"))
        cases.append(aggd(bench, f"aggd, {n}", "/aggregate", sources(bench, n)))
    table = Table(fanout.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 16)))

    def slope(who, n, low, high):
        cost = lambda count: table.rounds[f"{who}, {count}"][n]["cpu_us"]
        return (cost(high) - cost(low)) / (high - low)

    rounds = table.rounds["aggd, 100"]
    table.say("aggd, 100", "µs per source", median(rounds, lambda n: slope("aggd", n, 3, 100)))
    table.bar("aggd, 100", "slope × handwritten:", median(rounds, lambda n: slope("aggd", n, 3, 100) / slope("handwritten", n, 3, 100)), 1.2)
    table.bar("aggd, 100", "slope 30–100 × 3–30:", median(rounds, lambda n: slope("aggd", n, 30, 100) / slope("aggd", n, 3, 30)), 1.2)
    return [table]


def idle(bench):
    """memory at rest, and with 5,000 idle keep-alive connections that each asked once"""
    three = sources(bench)
    cases = [handwritten(bench, "/aggregate", three, ttl=60), aggd(bench, "aggd", "/aggregate", three, more=""),
             aggd(bench, "aggd + audit log", "/aggregate", three, more="", database="sqlite://audit.db")]

    def measure(case):
        with bench.started(case) as (process, port), contextlib.ExitStack() as stack:
            time.sleep(0.5)
            rest = memory(process.pid, "VmRSS")
            sockets = [stack.enter_context(s) for s in connect(port, 5000)]
            answered = len(one_request_each(sockets, case.path, 64))
            time.sleep(1.0)
            return {"rest": rest, "full": memory(process.pid, "VmRSS"), "answered": answered}

    columns = {"rest": "RSS idle MiB", "full": "RSS with 5,000 MiB", "answered": "answered 200"}
    table = Table(idle.__doc__, columns, bench.interleave(cases, measure))
    for name in ("aggd", "aggd + audit log"):
        table.bar(name, "idle", median(table.rounds[name], "rest"), 30)
        table.bar(name, "5,000", median(table.rounds[name], "full"), 120)
        table.bar(name, "answered", median(table.rounds[name], "answered"), 5000, at_least=True)
    return [table]


def scale(bench):
    """1,000 sources and 1,000 routes: start, 50 reloads at rest, 50 under 300 requests a second"""
    def file(n, timeout):
        return (f"source: s{n}\nurl: {bench.url(n)}\ntimeout: {timeout}s\nquery: {{ q: '{{term}}' }}\nparams:\n  term: {{ type: string }}\n"
                f"cache: {'off' if n % 2 else '{ ttl: 30s }'}\nproject:\n  id: $.id\n  total: $.summary.total\n  skus: $.items[*].sku\n"
                f"---\nroute: /r/{n}/{{term}}\nsources:\n  s{n}: {{ params: {{ term: '{{path.term}}' }} }}\n  s{(n + 1) % 1000}: {{}}\nrespond: merge\n")

    def measure(_):
        folder, port = Path(tempfile.mkdtemp(dir=bench.folder)), free_port()
        # Reloads are asked for, and timed, one by one: the watcher would come in between.
        (folder / "aggd.yaml").write_text(f"listen: 127.0.0.1:{port}\ndatabase: off\nreload: {{ watch: false, poll: off }}\n")
        (folder / "sources.d").mkdir()
        for n in range(1000):
            (folder / f"sources.d/{n:04}.yaml").write_text(file(n, 5))
        process = bench.spawn([bench.aggd, "--config", "aggd.yaml"], of_load=False, folder=folder)

        def reload(turn):
            (folder / f"sources.d/{turn * 7 % 1000:04}.yaml").write_text(file(turn * 7 % 1000, 6 + turn))
            began = time.monotonic()
            status, body = ask(port, "/admin/reload", "POST")
            if status != 200:
                raise Broken(f"reload: {status} {body[:300]}")
            return (time.monotonic() - began) * 1000

        try:
            start = ready(process, port, "/readyz") * 1000
            if ask(port, "/r/501/x")[0] != 200 or len(json.loads(ask(port, "/r/501/x")[1])) != 2:
                raise Broken("scale: wrong answer")
            rest = memory(process.pid, "VmRSS")
            quiet = [reload(turn) for turn in range(50)]
            pace = max(0.1, 3 * max(quiet) / 1000)
            load = bench.load(port, "/r/501/x", 64, math.ceil(50 * pace), rate=300)
            busy = []
            for turn in range(50, 100):
                due = time.monotonic() + pace
                busy.append(reload(turn))
                time.sleep(max(0.0, due - time.monotonic()))
            figures = load()[0]
            generation = get_json(port, "/health")["config"]["generation"]
            return {"start": start, "reload": statistics.median(quiet), "worst": max(quiet), "busy": statistics.median(busy),
                    "busy_worst": max(busy), "rest": rest, "after": memory(process.pid, "VmRSS"), "peak": memory(process.pid, "VmHWM"),
                    "requests": figures["requests"], "failed": figures["errors"], "p99": figures["p99"], "generation": generation}
        finally:
            end(process)

    columns = {"start": "start ms", "reload": "reload ms", "worst": "worst", "busy": "under load ms", "busy_worst": "worst",
               "rest": "RSS MiB", "after": "after 100 reloads", "peak": "peak", "requests": "requests", "failed": "failed",
               "p99": "p99 ms", "generation": "generation"}
    table = Table(scale.__doc__, columns, bench.interleave([Case("aggd", "", None, ())], measure))
    rounds = table.rounds["aggd"]
    table.bar("aggd", "start ms", median(rounds, "start"), 1000)
    table.bar("aggd", "reload ms", median(rounds, "reload"), 300)
    table.bar("aggd", "failed", max(r["failed"] for r in rounds), 0)
    table.bar("aggd", "generations", min(r["generation"] for r in rounds), 101, at_least=True)
    table.bar("aggd", "RSS MiB", max(median(rounds, "rest"), median(rounds, "after")), 100)
    return [table]


WORKLOADS = {"hit": hit, "miss": miss, "single": single, "latency": latency, "one-hang": one_hang, "stampede": stampede,
             "large": large, "fanout": fanout, "idle": idle, "scale": scale}
