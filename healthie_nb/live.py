"""Controls, chart and table that redraw together.

A chart's specification is kept; a changed control puts other rows into it. Wraps ipywidgets and Altair's JupyterChart.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import altair as alt
import ipywidgets
import polars as pl

from healthie_nb import controls, display
from healthie_nb.desk import Desk
from healthie_nb.panel import Panel, page
from healthie_nb.parameter import ParameterError
from healthie_nb.selection import Selection, selectable, selecting
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from healthie_nb.practice import Practice
    from healthie_nb.tables import Table


@dataclass(frozen=True)
class Answer:
    """One view: a sentence, its rows, and what chart and table need beside them; no rows where there are none to show.

    `picks` tells by which columns of the chart's rows one may select, and what they are in `rows`. `code` are the lines
    that give the same rows, chart and table.
    """

    sentence: str
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    options: Mapping[str, Any] = field(default_factory=dict)
    picks: Mapping[str, pl.Expr] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class Show:
    """One thing that an explorer shows: how it answers, draws and lists, and which controls bear on it."""

    title: str
    controls: tuple[str, ...]
    answer: Callable[[Mapping[str, Any]], Answer]
    table: Callable[..., Table]
    metric: str
    chart: Callable[..., alt.TopLevelMixin] | None = None
    parts: Callable[..., Mapping[str, Any]] | None = None  # of the chart's specification: what follows from the rows
    has_links: bool = False  # to clients' charts in Healthie
    unsplit: str = ""  # what the control for the split calls a choice of nothing


class Explorer:
    """Controls with the chart and the table of the view they are set to; `rows` are those of the table.

    `controls` are ipywidgets by the name of their parameter; setting a `value` is the same as doing it on the screen.
    """

    def __init__(
        self,
        notebook: str,
        shows: Mapping[str, Show],
        choices: Mapping[str, ipywidgets.Widget],
        *,
        practice: Practice,
        first: str,
        names: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        alt.JupyterChart.enable_offline()
        self.notebook, self.shows, self.practice = notebook, shows, practice
        self.names = names or {}
        titles = {show.title: name for name, show in shows.items()}
        self.controls = {"show": controls.one_of("Show", first, titles), **choices}
        self._initial = {name: control.value for name, control in self.controls.items()}
        self._kept: dict[tuple[object, ...], dict[str, Any]] = {}
        self._status, self._note, self._table = ipywidgets.HTML(), ipywidgets.HTML(), Panel()
        self._chart = alt.JupyterChart(selectable(), embed_options=display.EMBED)
        self.selection = Selection(self._chart, self._draw, self._list)
        self.desk = Desk(self)
        drawn = ipywidgets.HBox([self._chart, self.selection.list], layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.box = ipywidgets.VBox(
            [self._top(), self._status, drawn, self._note, self._table, self.desk.box],
            layout=ipywidgets.Layout(padding="0 0 1em 0"),
        )
        self._is_held = False
        self._shown: dict[str, Any] | None = None
        for control in self.controls.values():
            control.observe(self._redraw, "value")
        self._redraw()

    @property
    def show(self) -> Show:
        """What is shown."""
        return self.shows[self.controls["show"].value]

    @property
    def rows(self) -> pl.DataFrame:
        """Rows of the table: of the view that is shown, or of what is selected in its chart."""
        return self._rows

    @property
    def answer(self) -> Answer:
        """The view that is shown."""
        return self._now

    @property
    def spec(self) -> dict[str, Any] | None:
        """Specification of the chart that is shown, if any."""
        return dict(self._chart.spec) if self._has_chart else None

    @property
    def settings(self) -> dict[str, Any]:
        """What the controls are set to, as parameters have it."""
        return {name: controls.setting(control) for name, control in self.controls.items()}

    def set(self, settings: Mapping[str, Any]) -> list[str]:
        """Set several controls and redraw once; return the ids that no control offers."""
        values = {name: controls.fitting(self.controls[name], value) for name, value in settings.items()}
        self._hold(values)
        lists = [name for name, value in values.items() if isinstance(value, tuple)]
        return [key for name in lists for key in settings[name] if key not in values[name]]

    def reset(self) -> None:
        """Set every control back to the notebook's parameters, search and select nothing, and redraw once."""
        for control in self.controls.values():
            if isinstance(control, controls.Several):
                control.search.value = ""
        self._hold(self._initial)
        self.selection.clear()

    def _hold(self, values: Mapping[str, Any]) -> None:
        self._is_held = True
        for name, value in values.items():
            self.controls[name].value = value
        self._is_held = False
        self._redraw()

    def _top(self) -> ipywidgets.Widget:
        again = ipywidgets.Button(
            description="Reset",
            tooltip="Back to the notebook's parameters",
            layout=ipywidgets.Layout(width="6em", margin="2.2em 0 0 0"),
        )
        again.on_click(lambda _: self.reset())
        lists = [control for control in self.controls.values() if isinstance(control, controls.Several)]
        others = [control for control in self.controls.values() if control not in lists]
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
        return ipywidgets.VBox([ipywidgets.HBox([*others, again], layout=row), ipywidgets.HBox(lists, layout=row)])

    def _redraw(self, _: object = None) -> None:
        wanted = {name: control.value for name, control in self.controls.items()}
        if self._is_held or wanted == self._shown:
            return
        self._shown = wanted
        self._now = self._answered(wanted)
        for name, control in self.controls.items():
            control.layout.display = "" if name in ("show", *self.show.controls) else "none"
        if "split" in self.show.controls:
            self._is_held = True
            controls.rename(self.controls["split"], "", self.show.unsplit)
            self._is_held = False
        self._status.value = f'<div role="status">{html.escape(self._now.sentence)}</div>'
        self._has_chart = self.show.chart is not None and not self._now.rows.is_empty()
        self._chart.layout.display = "" if self._has_chart else "none"
        self._spec = self._drawn() if self._has_chart else {}
        self.selection.offer(self._now.rows, self._now.picks, self._spec.get("datasets", {}))
        if self._has_chart:
            self._draw()
        self._list()
        self.desk.refresh()

    def _answered(self, wanted: Mapping[str, Any]) -> Answer:
        if missing := [name for name in self.show.controls if wanted[name] is None]:
            labels = [self.controls[name].description for name in missing]
            return Answer(f"Give a day in {' and '.join(labels)}.")
        try:
            return self.show.answer(wanted)
        except (MetricError, ParameterError) as refused:
            return Answer(str(refused))

    def _drawn(self) -> dict[str, Any]:
        """Specification of the view: a kept one with other rows in it."""
        rows, options, show = self._now.rows, self._now.options, self.show
        assert show.chart
        words = (value for value in options.values() if isinstance(value, (str, int, bool)))
        key = (self.controls["show"].value, *words, *self._now.picks)
        if key not in self._kept or show.parts is None:
            made = display.finished(show.chart(rows, **options).to_dict())
            self._kept[key] = selecting(made, list(self._now.picks))
        return {**self._kept[key], **(show.parts(rows, **options) if show.parts else {})}

    def _draw(self) -> None:
        """Draw the view, and what is selected of it."""
        self.selection.put(self._spec)

    def _list(self) -> None:
        """List what is selected in the chart, or all."""
        self._rows = self.selection.of(self._now.rows)
        self._listed = None if self._rows.is_empty() else self.show.table(self._rows, **self._now.options)
        said = f"Selected: {self.selection.said}. For all, click beside it in the chart, or choose All."
        self._note.value = f'<div role="status">{html.escape(said)}</div>' if self.selection.list.value else ""
        # Links hold clients' ids. The page gets them; no output, and no widget's state, which a notebook might keep.
        links = self._rows["link"].to_list() if self.show.has_links and "link" in self._rows.columns else []
        self._table.show(page(self._listed, links) if self._listed else "")

    def __repr__(self) -> str:
        """Sentence and table of the view that is shown."""
        return "\n".join(str(part) for part in (self._now.sentence, self._listed) if part)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        picture = {"image/png": display.png(self._chart.spec)} if self._has_chart else {}
        return {**self.box._repr_mimebundle_(), **picture, "text/plain": repr(self)}
