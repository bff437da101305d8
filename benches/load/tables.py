"""Figures as Markdown tables, held against their bars."""
import statistics
from dataclasses import dataclass, field

# What is shown of a target under load: figure → heading.
LOAD = {
    "rps": "rps",
    "cpu_us": "CPU µs/req",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "p999": "p99.9 ms",
    "rss": "peak RSS MiB",
    "calls": "upstream calls/req",
    "errors": "errors",
    "wrong": "wrong answers",
    "others": "others' CPU %",
}
NOISY = "\nOther programs used the machine meanwhile: trust only large differences, and measure again."


@dataclass
class Table:
    """Rows of figures, and what is said of them."""

    title: str
    columns: dict[str, str]
    rounds: dict[str, list[dict]]
    verdicts: dict[str, list[str]] = field(default_factory=dict)
    missed: int = 0

    def median(self, name, of):
        """Of a row: the median of a figure (its key), or of what a function makes of the number of a round."""
        rounds = self.rounds[name]
        values = [r[of] for r in rounds] if isinstance(of, str) else [of(n) for n in range(len(rounds))]
        values = [v for v in values if v is not None]
        return statistics.median(values) if values else None

    def say(self, name, what, value, limit=None, at_least=False):
        """A verdict on a row; with a limit it is a bar, met or missed."""
        text = f"{what} {number(value)}"
        if limit is not None:
            good = value is not None and (value >= limit if at_least else value <= limit)
            self.missed += not good
            text += f" ({'≥' if at_least else '≤'} {limit:g}) {'ok' if good else 'MISS'}"
        self.verdicts.setdefault(name, []).append(text)

    def against(self, name, base, figure, limit=None, at_least=False):
        """The ratio to a row of the same run: the median of each round's ratio."""
        ours, theirs = self.rounds[name], self.rounds[base]
        value = self.median(name, lambda n: ours[n][figure] / theirs[n][figure] if theirs[n][figure] else None)
        self.say(name, f"{self.columns[figure]} × {base}:", value, limit, at_least)

    def markdown(self):
        out = [f"### {self.title}", ""]
        out.append(f"| target | {' | '.join(self.columns.values())} | verdict |")
        out.append(f"|---|{'---:|' * len(self.columns)}---|")
        for name in self.rounds:
            cells = [number(self.median(name, key)) for key in self.columns]
            out.append(f"| {name} | {' | '.join(cells)} | {'; '.join(self.verdicts.get(name, []))} |")
        if "others" in self.columns and any((self.median(name, "others") or 0) > 20 for name in self.rounds):
            out.append(NOISY)
        return "\n".join(out) + "\n"


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
