"""What is compared, and the bars. Each workload measures, and gives back its tables."""
import contextlib
import shutil
import time

from harness import Broken, Case, check, connect, memory, one_request_each
from overload import overload
from scale import scale
from tables import LOAD, Table
from targets import aggd, documents, floor, handwritten, nginx_cache, sources


def hit(bench):
    """/aggregate from cache, three sources of 1 KB, 64 connections"""
    three = sources(bench)
    ours = aggd(bench, "/aggregate", three, more="")
    audited = aggd(bench, "/aggregate", three, name="aggd + audit log", more="", database="sqlite://audit.db")
    with bench.started(ours) as (_, port):
        body = check(ours, port)
    if '"cached":true' not in body:
        raise Broken(f"the second answer is not from cache: {body[-200:]}")
    cases = [floor(bench, body, ours.holds), handwritten(bench, "/aggregate", three, ttl=60), ours, audited]
    if shutil.which("nginx"):
        cases.append(nginx_cache(bench, len(body.encode())))
    table = Table(hit.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 64)))
    table.against("handwritten", "floor", "cpu_us")
    table.against("aggd", "floor", "cpu_us", 1.5)
    if "nginx cache" in table.rounds:
        table.against("aggd", "nginx cache", "cpu_us", 1)
    table.against("aggd + audit log", "floor", "cpu_us")
    return [table]


def miss(bench):
    """/aggregate not cached, three fast upstreams, all policies at their defaults, 64 connections"""
    three = sources(bench)
    cases = [handwritten(bench, "/aggregate", three), aggd(bench, "/aggregate", three)]
    return [against_handwritten(bench, miss.__doc__, cases)]


def single(bench):
    """one source of 1 KB, not cached, 64 connections"""
    one = sources(bench, 1)
    cases = [handwritten(bench, "/source/s0", one), aggd(bench, "/aggregate/s0", one)]
    return [against_handwritten(bench, single.__doc__, cases)]


def against_handwritten(bench, title, cases):
    table = Table(title, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 64)))
    table.against("aggd", "handwritten", "cpu_us", 1.1)
    return table


def latency(bench):
    """upstreams of 10, 20 and 30 ms, 1,500 requests a second, open loop; added: over the slowest upstream alone"""
    slow = {name: f"{url}&delay_ms={10 * (n + 1)}" for n, (name, url) in enumerate(sources(bench).items())}
    cases = [
        Case("slowest upstream", "/json?delay_ms=30", None, documents(1)),
        handwritten(bench, "/aggregate", slow),
        # 90 calls are in flight on average: the default limit of 100 would measure its own queue.
        aggd(bench, "/aggregate", slow, server="limits: { concurrency: 1000 }"),
    ]
    table = Table(latency.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 256, rate=1500)))

    def added(name, figure):
        ours, alone = table.rounds[name], table.rounds["slowest upstream"]
        return table.median(name, lambda n: ours[n][figure] - alone[n][figure])

    for name, limits in (("handwritten", (None, None)), ("aggd", (0.4, 1.5))):
        table.say(name, "added p50 ms", added(name, "p50"), limits[0])
        table.say(name, "added p99 ms", added(name, "p99"), limits[1])
    return [table]


def policies(bench):
    """not cached, with retry, breaker, bulkhead and rate limit all off and all on; 64 connections"""
    # With room for everything: what they cost, not what they hold up.
    off = "retry: off\nbreaker: off\nbulkhead: off\nrate_limit: off\n"
    on = "retry: {}\nbreaker: {}\nbulkhead: { max_concurrent: 1000 }\nrate_limit: { rate: 1000000/second }\n"
    tables = []
    for path, of in (("/aggregate/s0", sources(bench, 1)), ("/aggregate", sources(bench))):

        def ours(name, keys):
            server = "limits: { concurrency: 1000 }"
            return aggd(bench, path, of, name, server=server, more=f"cache: off\n{keys}")  # noqa: B023 (called at once)

        found = bench.interleave([ours("all off", off), ours("all on", on)], lambda case: bench.measure(case, 64))
        count = "one source" if len(of) == 1 else f"{len(of)} sources"
        table = Table(f"{count}: {policies.__doc__}", LOAD, found)
        table.against("all on", "all off", "cpu_us", 1.05)
        tables.append(table)
    return tables


def one_hang(bench):
    """two fast sources, while 50 requests a second ask for a third, which hangs; 64 connections"""
    two = documents(2)
    routes = "route: /pair\nsources: [s0, s1]\n---\nroute: /third\nsources: [s2]\n"

    def cases(suffix, hang):
        three = sources(bench, 2) | {"s2": bench.url(2, f"&hang={hang}")}
        theirs = handwritten(bench, "/pair", three, "handwritten" + suffix, holds=two, beside="/source/s2")
        return [theirs, aggd(bench, "/pair", three, "aggd" + suffix, two, routes=routes, beside="/third")]

    hung = ", one hangs"
    table = bench.interleave(cases("", 0) + cases(hung, 1), lambda case: bench.measure(case, 64))
    table = Table(one_hang.__doc__, LOAD, table)
    table.against("handwritten" + hung, "handwritten", "rps")
    table.against("aggd" + hung, "aggd", "rps", 0.9, at_least=True)
    return [table]


def stampede(bench):
    """cold key, 500 callers at once, upstreams of 100 ms"""
    slow = sources(bench, more="&delay_ms=100")
    # Both are checked on a path that leaves the key cold.
    cases = [
        handwritten(bench, "/pair", slow, ttl=60, holds=documents(2)),
        aggd(bench, "/livez", slow, holds=(), more=""),
    ]

    def measure(case):
        with bench.started(case) as (process, port), contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(s) for s in connect(port, 500)]
            before = bench.calls()
            took = one_request_each(sockets, "/aggregate", 500)
            return {
                "calls": max(after - n for n, after in zip(before, bench.calls(), strict=True)),
                "answered": len(took),
                "p50": took[len(took) // 2] if took else None,
                "max": took[-1] if took else None,
                "rss": memory(process.pid, "VmHWM"),
            }

    headings = ("upstream calls per source", "answered 200", "p50 ms", "slowest ms", "peak RSS MiB")
    columns = dict(zip(("calls", "answered", "p50", "max", "rss"), headings, strict=True))
    table = Table(stampede.__doc__, columns, bench.interleave(cases, measure))
    table.say("aggd", "calls", max(r["calls"] for r in table.rounds["aggd"]), 1)
    table.say("aggd", "answered", min(r["answered"] for r in table.rounds["aggd"]), 500, at_least=True)
    return [table]


def large(bench):
    """five fields of a large document, not cached, 4 connections; cost: beyond moving the bytes, Value = 1"""
    return [large_of(bench, size) for size in (1_000_000, 5_000_000)]


def large_of(bench, size):
    one = sources(bench, 1, f"&bytes={size}")
    fields = ("doc-00000", "4711.5", "active", "2026-03-14T09:29:58Z")
    project = "{ id: $.id, name: $.name, total: $.summary.total, status: $.status, updated_at: $.updated_at }"
    cases = [
        handwritten(bench, "/bytes", one, "bytes alone", holds=(str(size),)),
        handwritten(bench, "/value", one, "Value", holds=fields),
        handwritten(bench, "/project", one, "handwritten", holds=fields),
        aggd(bench, "/aggregate/s0", one, holds=fields, more=f"cache: off\nproject: {project}"),
    ]
    found = bench.interleave(cases, lambda case: bench.measure(case, 4))
    table = Table(f"{size / 1e6:g} MB: {large.__doc__}", LOAD, found)

    def cost(name):
        def of(n):
            cpu = {row: found[row][n]["cpu_us"] for row in found}
            return (cpu[name] - cpu["bytes alone"]) / (cpu["Value"] - cpu["bytes alone"])

        return table.median(name, of)

    table.say("handwritten", "cost", cost("handwritten"))
    # The bar is for large documents: the smaller one fits the caches, and a tree of it is cheap.
    table.say("aggd", "cost", cost("aggd"), 0.15 if size == 5_000_000 else None)
    return table


def fanout(bench):
    """3, 30 and 100 sources of 1 KB, not cached, 16 connections"""
    cases = []
    for count in (3, 30, 100):
        of = sources(bench, count)
        cases.append(handwritten(bench, "/aggregate", of, f"handwritten, {count}"))
        cases.append(aggd(bench, "/aggregate", of, f"aggd, {count}"))
    table = Table(fanout.__doc__, LOAD, bench.interleave(cases, lambda case: bench.measure(case, 16)))

    def slope(who, low, high):
        """A function of the round: CPU µs per source more."""
        few, many = table.rounds[f"{who}, {low}"], table.rounds[f"{who}, {high}"]
        return lambda n: (many[n]["cpu_us"] - few[n]["cpu_us"]) / (high - low)

    def ratio(one, other):
        return table.median("aggd, 100", lambda n: one(n) / other(n))

    whole = slope("aggd", 3, 100)
    table.say("aggd, 100", "µs per source", table.median("aggd, 100", whole))
    table.say("aggd, 100", "by handwritten's", ratio(whole, slope("handwritten", 3, 100)), 1.2)
    table.say("aggd, 100", "from 30 by up to 30", ratio(slope("aggd", 30, 100), slope("aggd", 3, 30)), 1.2)
    return [table]


def idle(bench):
    """memory at rest, and with 5,000 idle keep-alive connections that each asked once"""
    three = sources(bench)
    cases = [
        handwritten(bench, "/aggregate", three, ttl=60),
        aggd(bench, "/aggregate", three, more=""),
        aggd(bench, "/aggregate", three, "aggd + audit log", more="", database="sqlite://audit.db"),
    ]

    def measure(case):
        with bench.started(case) as (process, port), contextlib.ExitStack() as stack:
            time.sleep(0.5)
            rest = memory(process.pid, "VmRSS")
            sockets = [stack.enter_context(s) for s in connect(port, 5000)]
            answered = len(one_request_each(sockets, case.path, 64))
            time.sleep(1.0)
            return {"rest": rest, "full": memory(process.pid, "VmRSS"), "answered": answered}

    columns = {"rest": "RSS at rest MiB", "full": "RSS with 5,000 MiB", "answered": "answered 200"}
    table = Table(idle.__doc__, columns, bench.interleave(cases, measure))
    for name in ("aggd", "aggd + audit log"):
        table.say(name, "at rest", table.median(name, "rest"), 30)
        table.say(name, "with 5,000", table.median(name, "full"), 120)
        table.say(name, "answered", table.median(name, "answered"), 5000, at_least=True)
    return [table]


WORKLOADS = {
    "hit": hit,
    "miss": miss,
    "single": single,
    "latency": latency,
    "policies": policies,
    "one-hang": one_hang,
    "stampede": stampede,
    "overload": overload,
    "large": large,
    "fanout": fanout,
    "idle": idle,
    "scale": scale,
}
