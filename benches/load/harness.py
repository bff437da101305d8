"""Starts, watches, loads and ends what is compared; every process here is one that we started."""
import contextlib
import http.client
import json
import os
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SOURCES = 3  # mock upstreams, each on a port of its own

# wrk: the figures as one line of JSON (latencies in milliseconds).
WRK_REPORT = """done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nJSON {"requests":%d,"wall":%f,"p50":%f,"p99":%f,"p999":%f,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end"""


class Broken(Exception):
    """A target that does not start, answers wrongly or dies: no figure of it can be trusted."""


@dataclass
class Case:
    """One row of a table: what to start, and what to ask it for."""

    name: str
    path: str
    # The command line for this port; it may write files into the folder. None: the first mock upstream itself.
    command: Callable[[int, Path], list[str]] | None
    # Texts that every good answer holds.
    holds: tuple[str, ...]
    ready: str = "/"
    # Another path, asked for 50 times a second beside what is measured.
    beside: str | None = None


@dataclass
class Bench:
    """The machine, the options, and the mock upstreams."""

    aggd: str
    tools: Path
    rounds: int
    seconds: int
    pin: bool
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="aggd-compare-")))

    def __enter__(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 65536 else max(soft, 65536), hard))
        (self.folder / "report.lua").write_text(WRK_REPORT)
        self.cpus = sorted(os.sched_getaffinity(0))
        self.pin = self.pin and len(self.cpus) > 1
        if self.pin:
            os.sched_setaffinity(0, self.cpus[1:])
        self.spawned = []
        self.ports = [free_port() for _ in range(SOURCES)]
        self.mock = self.spawn([self.tools / "upstreams", *self.ports], of_load=True)
        ready(self.mock, self.ports[0], "/__count")
        return self

    def __exit__(self, *_):
        for process in reversed(self.spawned):
            end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, command, of_load, folder=None, **pipes):
        """Starts a process: the target on the first CPU, load and upstreams on the others."""
        folder = folder or self.folder
        mine = os.sched_getaffinity(0)
        try:
            if self.pin:
                os.sched_setaffinity(0, self.cpus[1:] if of_load else self.cpus[:1])
            with open(folder / "log", "ab") as log:
                options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True} | pipes
                self.spawned.append(subprocess.Popen(list(map(str, command)), cwd=folder, **options))
            return self.spawned[-1]
        finally:
            os.sched_setaffinity(0, mine)

    def url(self, id, more=""):
        """Where the source with this number is."""
        return f"http://127.0.0.1:{self.ports[id % SOURCES]}/json?id={id}{more}"

    def calls(self):
        """Upstream calls so far, by port."""
        return get_json(self.ports[0], "/__count")

    @contextlib.contextmanager
    def started(self, case):
        """The case's process, ready and checked; (process, port)."""
        if case.command is None:
            yield self.mock, self.ports[0]
            return
        folder, port = Path(tempfile.mkdtemp(dir=self.folder)), free_port()
        process = self.spawn(case.command(port, folder), of_load=False, folder=folder)
        try:
            ready(process, port, case.ready)
            check(case, port)
            yield process, port
            if process.poll() is not None:
                raise Broken(f"{case.name} died")
        except (OSError, Broken, http.client.HTTPException) as e:
            log = (folder / "log").read_text(errors="replace")[-500:]
            raise Broken(f"{case.name}: {type(e).__name__} {e}\n{log}") from e
        finally:
            status = end(process)
            if case.ready == "/readyz" and status != 0:
                print(f"{case.name} ended with {status} on SIGTERM", file=sys.stderr)

    def load(self, port, path, connections, seconds, rate=None):
        """Starts wrk (closed loop), or with a rate our open loop; call the result for (figures, its CPU seconds)."""
        url = f"http://127.0.0.1:{port}{path}"
        command = [self.tools / "openloop", url, rate, seconds, connections] if rate else [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency",
            "-s", self.folder / "report.lua", url]
        process = self.spawn(command, of_load=True, stdout=subprocess.PIPE)

        def result():
            with process.stdout as out:
                text = out.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            if status:
                raise Broken(f"{command[0]} ended with {status}: {text[-300:]}")
            line = next(line for line in text.splitlines() if "{" in line)
            return json.loads(line[line.index("{"):]), usage.ru_utime + usage.ru_stime

        return result

    def measure(self, case, connections, rate=None, sample=True):
        """Starts the case, warms it up, loads it, and ends it; its figures. Answers are checked meanwhile if `sample`."""
        with self.started(case) as (process, port):
            self.load(port, case.path, connections, 1, rate)()
            before, calls, began = self.spent(process), sum(self.calls()), time.monotonic()
            beside = self.load(port, case.beside, 300, self.seconds, 50) if case.beside else None
            with sampling(case, port) if sample else contextlib.nullcontext([]) as wrong:
                figures, load_cpu = self.load(port, case.path, connections, self.seconds, rate)()
            wall, after = time.monotonic() - began, self.spent(process)
            if beside:
                load_cpu += beside()[1]
            used, others = after[0] - before[0], after[1] - before[1] - load_cpu
            answered = figures["requests"]
            if not answered:
                raise Broken(f"no answer within {wall:.1f} s")
            return figures | {
                "rps": answered / figures["wall"],
                "cpu_us": used / answered * 1e6,
                "calls": (sum(self.calls()) - calls) / answered,
                "rss": memory(process.pid, "VmHWM"),
                "wrong": len(wrong),
                "others": max(0.0, others) / wall * 100,
            }

    def spent(self, process):
        """CPU seconds so far: of the process and its children; of all else but the upstreams and us."""
        machine = Path("/proc/stat").read_text().split(None, 9)[1:9]
        busy = sum(int(machine[i]) for i in (0, 1, 2, 5, 6)) / TICK
        used = cpu_seconds(process.pid)
        ours = used + time.process_time() + (0 if process is self.mock else cpu_seconds(self.mock.pid))
        return used, busy - ours

    def interleave(self, cases, measure):
        """Rounds over all cases, each beginning one further on, so that drift of the machine meets them alike.
        {name: [figures of each round]}"""
        found = {case.name: [None] * self.rounds for case in cases}
        for n in range(self.rounds):
            first = n % len(cases)
            for case in cases[first:] + cases[:first]:
                found[case.name][n] = measure(case)
                shown = "  ".join(f"{k} {v:.4g}" for k, v in found[case.name][n].items() if v is not None)
                print(f"[{n + 1}/{self.rounds}] {case.name}: {shown}", file=sys.stderr, flush=True)
        return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, path, method="GET", timeout=15.0):
    """(status, body)"""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def get_json(port, path):
    return json.loads(ask(port, path)[1])


def ready(process, port, path, limit=30.0):
    """Waits until the path answers below 500; the seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if process.poll() is not None:
            raise Broken(f"ended with {process.returncode} before it was ready")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(port, path)[0] < 500:
                return time.monotonic() - began
        time.sleep(0.002)
    raise Broken(f"not ready within {limit:.0f} s")


def check(case, port):
    """Asks twice, as the second answer may come from a cache; both must hold the sources' data."""
    for _ in range(2):
        status, body = ask(port, case.path)
        lacking = [text for text in case.holds if text not in body]
        if status != 200 or lacking:
            raise Broken(f"wrong answer: status {status}, without {lacking}: {body[:200]}")
        json.loads(body)
    return body


@contextlib.contextmanager
def sampling(case, port):
    """Checks answers while the load runs: a target that answers with nothing is fast. Gives the wrong ones."""
    wrong, ending = [], threading.Event()

    def sample():
        while not ending.wait(0.25):
            try:
                check(case, port)
            except (OSError, ValueError, Broken, http.client.HTTPException) as e:
                wrong.append(e)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield wrong
    finally:
        ending.set()
        thread.join(15.0)


def end(process):
    """Ends a process of ours, if it still runs; its exit status."""
    process.terminate()  # does nothing to one that was waited for
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def cpu_seconds(pid):
    """User and system time of a process and its live children."""
    total = 0
    for one in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory(pid, key):
    """`VmRSS` or `VmHWM` in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def connect(port, count):
    sockets = [socket.create_connection(("127.0.0.1", port), 10.0) for _ in range(count)]
    for s in sockets:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def one_request_each(sockets, path, at_once):
    """One GET on every socket, so many at once; the milliseconds of each that answered 200."""
    message = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    waiting, active, took = list(sockets), {}, []
    with selectors.DefaultSelector() as selector:
        until = time.monotonic() + 30
        while (waiting or active) and time.monotonic() < until:
            while waiting and len(active) < at_once:
                s = waiting.pop()
                s.sendall(message)
                active[s] = (b"", time.monotonic())
                selector.register(s, selectors.EVENT_READ)
            for key, _ in selector.select(0.5):
                s = key.fileobj
                got, sent = active[s]
                piece = s.recv(65536)
                got += piece
                head, blank, body = got.partition(b"\r\n\r\n")
                lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                length = int(lengths[0]) if lengths else 0
                active[s] = (got, sent)
                if not piece or (blank and len(body) >= length):
                    selector.unregister(s)
                    del active[s]
                    if head.startswith(b"HTTP/1.1 200"):
                        took.append((time.monotonic() - sent) * 1000)
    return sorted(took)
