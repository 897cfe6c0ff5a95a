"""Two pictures of what was recorded, drawn with matplotlib as SVG."""

import io
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

# Colours that also people tell apart who see few, on light and on dark ground (Okabe and Ito).
COLOURS = {"amigo": "#e69f00", "bird": "#0072b2", "bota": "#cc79a7", "quo": "#009e73", "tether": "#56b4e9"}
OTHERS = "#d55e00"
ROLES = {"agent": "#0072b2", "customer": "#e69f00", "not told": "#999999"}
DAYS = 60
DARK_ON_LIGHT = "#1d2733"
LIGHT_ON_DARK = "#e4e9ef"

Rows = Sequence[Sequence[Any]]


def provider_colours(providers: Iterable[str]) -> dict[str, str]:
    return {name: COLOURS.get(name, OTHERS) for name in sorted(set(providers))}


def save_pictures(folder: Path, minutes: Rows, roles: Rows) -> list[Path]:
    """Writes both pictures, dark on white."""
    files = {"minutes.svg": minutes_per_day(folder, minutes), "speakers.svg": who_speaks(folder, roles)}
    for name, svg in files.items():
        (folder / name).write_text(svg, encoding="utf-8")
    return [folder / name for name in files]


def minutes_per_day(folder: Path, rows: Rows, ink: str = DARK_ON_LIGHT) -> str:
    """A bar for each day, made of the providers' minutes. The rows: day, provider, recordings, minutes."""
    plot = _Plot(folder, ink, (9, 3.4))
    with plot:
        axes = plot.figure.subplots()
        # One recording with a wrong year must not stretch the axis over centuries.
        today = datetime.now(timezone.utc).date()
        days = [date.fromisoformat(day) for day, *_ in rows if day[:4].isdigit() and len(day) == len("2026-01-01")]
        newest = max((day for day in days if day <= today), default=today)
        shown = [newest - timedelta(days=n) for n in range(DAYS)]
        first = min((day for day in days if day in shown), default=newest)
        shown = [day for day in reversed(shown) if day >= first]
        colours = provider_colours(provider for _, provider, *_ in rows)
        below: dict[date, float] = defaultdict(float)
        for provider, colour in colours.items():
            minutes = {day: value for day, name, _, value in rows if name == provider}
            heights = [minutes.get(day.isoformat(), 0.0) for day in shown]
            axes.bar(shown, heights, 0.8, bottom=[below[day] for day in shown], color=colour, label=provider)
            for day, height in zip(shown, heights, strict=True):
                below[day] += height
        axes.set_ylabel("minutes")
        axes.xaxis.set_major_locator(plot.dates.AutoDateLocator(minticks=3, maxticks=10))
        axes.xaxis.set_major_formatter(plot.dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        if colours:
            axes.legend(ncols=len(colours), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
        return plot.svg()


def who_speaks(folder: Path, rows: Rows, ink: str = DARK_ON_LIGHT) -> str:
    """For each provider how words and seconds are shared. The rows: provider, role, utterances, words, seconds."""
    providers = sorted({row[0] for row in rows}, reverse=True)
    plot = _Plot(folder, ink, (9, 1.3 + 0.42 * max(1, len(providers))))
    with plot:
        for axes, column, unit in zip(
            plot.figure.subplots(1, 2, sharey=True), (3, 4), ("words", "seconds"), strict=True
        ):
            amounts = {(provider, role): float(row[column] or 0) for row in rows for provider, role in [row[:2]]}
            totals = {p: sum(amount for (name, _), amount in amounts.items() if name == p) for p in providers}
            left = dict.fromkeys(providers, 0.0)
            for role, colour in ROLES.items():
                widths = [100 * amounts.get((p, role), 0) / totals[p] if totals[p] else 0.0 for p in providers]
                axes.barh(providers, widths, 0.7, left=list(left.values()), color=colour, label=role)
                left = {p: left[p] + width for p, width in zip(providers, widths, strict=True)}
            for place, provider in enumerate(providers):
                total = totals[provider]
                axes.text(103, place, f"{total:,.0f}" if total else "none told", va="center", fontsize=9)
            axes.set_xlim(0, 100)
            axes.set_xlabel(f"% of the {unit}; right: how many")
        handles, labels = plot.figure.axes[0].get_legend_handles_labels()
        plot.figure.legend(handles, labels, ncols=len(ROLES), loc="outside upper left", frameon=False)
        return plot.svg()


class _Plot:
    """A figure with its settings, as long as it is drawn."""

    def __init__(self, folder: Path, ink: str, inches: tuple[float, float]) -> None:
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "cache" / "matplotlib"))  # else it writes to the home folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import matplotlib as mpl
            from matplotlib import dates, figure
        self.dates: Any = dates
        self._light = ink == DARK_ON_LIGHT
        inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        settings = {
            **dict.fromkeys(inks, ink),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "font.size": 10,
            "svg.fonttype": "none",  # text stays text, in the reader's own font
            "svg.hashsalt": "recordings",  # the same numbers, the same file
            "text.parse_math": False,  # a dollar sign in a provider's text is a dollar sign
        }
        self._settings: Any = mpl.rc_context(settings)
        self._warnings = warnings.catch_warnings()
        self._figure_of: Any = figure.Figure
        self._inches = inches
        self.figure: Any = None

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")  # letters that its own font lacks: a browser has others
        self._settings.__enter__()
        self.figure = self._figure_of(figsize=self._inches, layout="constrained")

    def __exit__(self, *error: Any) -> None:
        self._settings.__exit__(*error)
        self._warnings.__exit__(*error)

    def svg(self) -> str:
        written = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        # On dark ground the page's own shows through.
        ground = {"facecolor": "white"} if self._light else {"transparent": True}
        self.figure.savefig(written, format="svg", metadata=nothing, **ground)
        return written.getvalue()
