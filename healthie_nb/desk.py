"""What one does with a view: save it by name and load it again, export it, read the lines that give it."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from healthie_nb import export, provenance, views
from healthie_nb.parameter import ParameterError
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import altair as alt
    import polars as pl

    from healthie_nb.live import Explorer

FOLDER: Final = Path("exports")  # beside the notebook
TABLES: Final = {"Table as CSV": "csv", "Table as Excel": "xlsx", "Table as Parquet": "parquet"}
CHARTS: Final = {"Chart as PNG": "png", "Chart as SVG": "svg"}
AUDIENCES: Final = {"Choose": "", "inside the practice": "internal", "outside the practice": "external"}
NO_VIEW: Final = {"Choose": ""}
_ABOVE: Final = {"description_width": "initial"}


class Desk:
    """Buttons under an explorer. `said` is the last thing it said."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self.view = _list("Saved view", NO_VIEW)
        self.name = ipywidgets.Text(description="Save as", placeholder="name", style=_ABOVE, layout=_above("17em"))
        self.audience = _list("Export for", AUDIENCES)
        self.format = _list("What", TABLES | CHARTS)
        self.code = ipywidgets.HTML()
        self._said = ipywidgets.HTML()
        self.shows_code = ipywidgets.ToggleButton(
            description="Show as code", tooltip="The lines that give this view", layout=_button("9em")
        )
        self.shows_code.observe(self._toggle, "value")
        self.code.layout.display = "none"
        buttons = {"Load": self._load, "Remove": self._remove, "Save": self._save, "Export": self._export}
        made = {name: _pressed(self, name, does) for name, does in buttons.items()}
        rows = [
            [self.view, made["Load"], made["Remove"], self.name, made["Save"]],
            [self.audience, self.format, made["Export"], self.shows_code],
        ]
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
        boxes = [ipywidgets.HBox(widgets, layout=row) for widgets in rows]
        self.box = ipywidgets.VBox([*boxes, self._said, self.code])
        self._offer()

    @property
    def said(self) -> str:
        """What the last button pressed has to say."""
        return html.unescape(self._said.value.partition(">")[2].removesuffix("</div>"))

    def refresh(self) -> None:
        """Take up a view that has changed."""
        self._say("")
        code = html.escape(self._explorer.answer.code)
        self.code.value = f'<pre aria-label="Code of this view" tabindex="0" style="line-height:1.4">{code}</pre>'

    def _load(self) -> str:
        name = self.view.value
        if not name:
            return "Choose a saved view first."
        settings = views.read(self._explorer.notebook, name)
        lacking = self._explorer.set({key: settings[key] for key in settings if key in self._explorer.controls})
        gone = f" Not offered here any more, and left out: {', '.join(lacking)}." if lacking else ""
        return f"{name} is loaded.{gone}"

    def _save(self) -> str:
        name = self.name.value.strip()
        views.save(self._explorer.notebook, name, self._explorer.settings)
        self._offer(name)
        return f'{name} is saved; notebook and report take it as view = "{name}".'

    def _remove(self) -> str:
        name = self.view.value
        if not name:
            return "Choose a saved view first."
        views.remove(self._explorer.notebook, name)
        self._offer()
        return f"{name} is removed."

    def _export(self) -> str:
        explorer, audience, ending = self._explorer, self.audience.value, self.format.value
        if not audience:
            return "Choose first for whom: outside the practice small counts are hidden and ids left out."
        if explorer.answer.rows.is_empty():
            return "There is nothing to export in this view."
        show, options, names = explorer.show, explorer.answer.options, explorer.names
        if ending in CHARTS.values() and not show.chart:
            return "This view has no chart: export its table."
        path = FOLDER / f"{explorer.notebook}-{explorer.settings['show']}-{audience}-{_now()}.{ending}".replace(
            " ", "-"
        )
        FOLDER.mkdir(exist_ok=True)
        source = provenance.of(explorer.practice, as_of=explorer.settings["as_of"], filters=explorer.settings)
        asked = {"audience": audience, "provenance": source, "names": names}
        if show.chart and ending in CHARTS.values():
            export.chart(_drawing(show.metric, show.chart, options), explorer.answer.rows, path, **asked)
        else:
            # A selection is for the desk: of a part nobody can tell what follows from the rest.
            rows = explorer.rows if audience == "internal" else explorer.answer.rows
            export.table(rows, path, metric=show.metric, **asked)
        return f"Written: {path}"

    def _toggle(self, change: dict[str, bool]) -> None:
        self.code.layout.display = "" if change["new"] else "none"

    def _offer(self, chosen: str = "") -> None:
        self.view.options = [*NO_VIEW.items(), *((name, name) for name in views.names(self._explorer.notebook))]
        self.view.value = chosen

    def _say(self, words: str) -> None:
        self._said.value = f'<div role="status">{html.escape(words)}</div>' if words else ""

    def press(self, does: Callable[[], str]) -> None:
        """Do it, and say how it went."""
        try:
            words = does()
        except (ParameterError, MetricError, ValueError, OSError) as refused:
            words = str(refused)
        self._say(words)


def _drawing(
    metric: str, chart: Callable[..., alt.TopLevelMixin], options: Mapping[str, Any]
) -> Callable[..., alt.TopLevelMixin]:
    """Chart of a metric, as it is drawn in this view."""

    def draw(rows: pl.DataFrame) -> alt.TopLevelMixin:
        return chart(rows, **options)

    draw.__name__ = metric
    return draw


def _now() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _pressed(desk: Desk, label: str, does: Callable[[], str]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=label, tooltip=label, layout=_button("6em"))
    button.on_click(lambda _: desk.press(does))
    return button


def _list(label: str, options: Mapping[str, str]) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=list(options.items()), description=label, style=_ABOVE, layout=_above("13em"))


def _above(width: str) -> ipywidgets.Layout:
    return ipywidgets.Layout(
        width=width, flex_flow="column", align_items="flex-start", height="58px", margin="0 0.5em 0.5em 0"
    )


def _button(width: str) -> ipywidgets.Layout:
    return ipywidgets.Layout(width=width, margin="2.2em 0.5em 0 0")
