"""Controls, chart and table that redraw together.

The chart's specification is kept; a changed control puts other rows into it.
Wraps ipywidgets and Altair's JupyterChart.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import altair as alt
import ipywidgets
import polars as pl

from healthie_nb import controls, display

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from healthie_nb.tables import Table


@dataclass(frozen=True)
class Answer:
    """One view: a sentence, and what is shown, or nothing where there is nothing to show."""

    sentence: str
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    parts: Mapping[str, Any] = field(default_factory=dict)  # of the chart's specification: what follows from the rows
    table: Table | None = None


class Explorer:
    """Controls with the chart and the table of the view they are set to; `rows` is that view's frame.

    `controls` are ipywidgets by name; setting a `value` there is the same as setting it on the screen.
    """

    def __init__(
        self,
        chart: alt.LayerChart | alt.FacetChart,
        choices: Mapping[str, ipywidgets.Widget],
        answer: Callable[..., Answer],
    ) -> None:
        alt.JupyterChart.enable_offline()
        self.controls = dict(choices)
        self._answer = answer
        self._initial = {name: control.value for name, control in choices.items()}
        self._spec = display.finished(chart.to_dict())
        self._chart = alt.JupyterChart(chart, embed_options=display.EMBED)
        self._status, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        beside_inputs = ipywidgets.Layout(width="6em", margin="2.2em 0 0 0")
        again = ipywidgets.Button(
            description="Reset", tooltip="Back to the notebook's parameters", layout=beside_inputs
        )
        again.on_click(lambda _: self.reset())
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
        self.box = ipywidgets.VBox(
            [ipywidgets.HBox([*choices.values(), again], layout=row), self._status, self._chart, self._table]
        )
        self._is_held = False
        self._shown: dict[str, Any] | None = None
        for control in choices.values():
            control.observe(self._redraw, "value")
        self._redraw()

    @property
    def rows(self) -> pl.DataFrame:
        """Rows of the view that is shown."""
        return self._now.rows

    def reset(self) -> None:
        """Set every control back to the notebook's parameters, and redraw once."""
        self._is_held = True
        for name, control in self.controls.items():
            control.value = self._initial[name]
        self._is_held = False
        self._redraw()

    def _redraw(self, _: object = None) -> None:
        wanted = {name: controls.value(control) for name, control in self.controls.items()}
        if self._is_held or wanted == self._shown:
            return
        self._shown, self._now = wanted, self._answer(**wanted)
        self._status.value = f'<div role="status">{html.escape(self._now.sentence)}</div>'
        self._chart.layout.display = self._table.layout.display = "" if self._now.table else "none"
        if self._now.table:
            self._chart.spec = {**self._spec, **self._now.parts}
            self._table.value = self._now.table._repr_html_()

    def __repr__(self) -> str:
        """Sentence and table of the view that is shown."""
        return "\n".join(str(part) for part in (self._now.sentence, self._now.table) if part)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        picture = {"image/png": display.png(self._chart.spec)} if self._now.table else {}
        return {**self.box._repr_mimebundle_(), **picture, "text/plain": repr(self)}
