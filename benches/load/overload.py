"""Ten times as much as can be answered: what is answered all the same, and how soon."""
from tables import LOAD, Table
from targets import aggd, sources

# Calls at a time, of this long each: 2,000 a second is all there is, whatever the machine can do.
PLACES = 40
DELAY_MS = 20
PEAK = PLACES * 1000 // DELAY_MS
# Let in, and waiting for one of those: a place that comes free is taken at once.
WAITING = 8
TIMES = 10
CONNECTIONS = 1024


def overload(bench):
    """one source of 20 ms and 40 places; as many callers, then 10 times what they ask, open loop, shedding on"""
    one = sources(bench, 1, f"&delay_ms={DELAY_MS}")
    # Normal requests may fill 85% of it.
    room = (PLACES + WAITING) * 100 // 85 + 1
    server = f"limits: {{ concurrency: {PLACES} }}\nload_shedding: {{ max_in_flight: {room} }}"
    more = f"cache: off\nbulkhead: {{ max_concurrent: {PLACES} }}"
    peak, over = "aggd at its peak", f"aggd, {TIMES} times that"
    cases = [aggd(bench, "/aggregate", one, name, server=server, more=more) for name in (peak, over)]

    def measure(case):
        if case.name == peak:
            return bench.measure(case, PLACES)
        # Most answers are refusals: those that are looked at meanwhile would be, too.
        return bench.measure(case, CONNECTIONS, rate=PEAK * TIMES, sample=False)

    columns = LOAD | {"rps": "answered 200 /s", "p99": "p99 ms of those", "errors": "turned away"}
    table = Table(overload.__doc__, columns, bench.interleave(cases, measure))
    table.against(over, peak, "rps", 0.9, at_least=True)
    table.against(over, peak, "p99", 2)
    return [table]
