"""A notebook that was run as one HTML page: text, tables and pictures, no code, no script, nothing from a network.

Wraps nbconvert's basic template, which names no other host; its other templates load scripts from a CDN.
"""

from __future__ import annotations

import base64
import html as markup
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from nbconvert import HTMLExporter

from healthie_nb import pictures
from healthie_nb.display import VEGALITE
from healthie_nb.handover import MAY_LEAVE

if TYPE_CHECKING:
    from collections.abc import Mapping


# What a page may do, told to the browser: show what is in it. A script in an analyst's own output does not run either.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
WIDGET: Final = "application/vnd.jupyter.widget-view+json"
STATES: Final = "application/vnd.jupyter.widget-state+json"
LAB_ONLY: Final = "lab-only"  # tag of cells about what can be done in JupyterLab alone
FRAME: Final = re.compile(r'<small>shape: [^<]*</small>(<table border="1" class="dataframe">.*?</table>)', re.DOTALL)
TYPES: Final = re.compile(r"<tr>(<td>[^<]*</td>)+</tr>(?=</thead>)")
SHOWN: Final = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
STYLE: Final = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; background: white; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.2rem }
h1, h2, h3 { line-height: 1.25 } h2 { margin-top: 2.2em; border-bottom: 1px solid #ddd; padding-bottom: .2em }
img { max-width: 100%; height: auto } pre { white-space: pre-wrap; font-size: 12px }
table { border-collapse: collapse; font-size: 13px } th, td { padding: 3px 8px; text-align: left; vertical-align: top }
.output { overflow-x: auto; margin: .6em 0 } .notice { background: #fff3cd; padding: .5em .8em; border-radius: 4px }
.provenance { margin-top: 3em; border-top: 1px solid #ddd; color: #555 } .provenance th { white-space: nowrap }
@media print { body { max-width: none; margin: 0 } .output, img { break-inside: avoid } }
"""
MADE_UP: Final = "Demo practice: all data on this page is made up."
OUTSIDE: Final = (
    "For readers outside the practice: counts of 1 to 10, and what would follow from them, are hidden. Where nothing "
    "stands, or a bar is short, it is not nothing."
)
PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{notices}<main>
{body}
</main>
<footer class="provenance">
<h2>Where these numbers come from</h2>
<table>{said}</table>
</footer>
</body>
</html>
"""


def html(notebook: Any, said: Mapping[str, str], *, title: str = "") -> str:
    """Page of a notebook's text and outputs, with its provenance at the end.

    Code, progress, errors and cells tagged lab-only are left out. A chart is drawn anew, finer, and so is the view that
    an explorer is set to; of other outputs the first is shown of HTML, Markdown, pictures and text that they have.
    """
    shown = _shown(notebook)
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(shown)
    notices = [MADE_UP] * said["data"].startswith("made up") + [OUTSIDE] * said["audience"].startswith("outside")
    return PAGE.format(
        policy=POLICY,
        title=markup.escape(title or _first_heading(shown)),
        style=STYLE,
        notices="".join(f'<p class="notice">{notice}</p>\n' for notice in notices),
        body=body,
        said="".join(f"<tr><th>{markup.escape(n)}</th><td>{markup.escape(text)}</td></tr>" for n, text in said.items()),
    )


def may_leave(notebook: Any) -> bool:
    """Whether this notebook was run for readers outside: each of its outputs says that it may leave the practice."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    return bool(outputs) and all(output.metadata.get(MAY_LEAVE) for output in outputs)


def _shown(notebook: Any) -> Any:
    """Copy of the notebook with one form of each output, and with no state of widgets."""
    copy = deepcopy(notebook)
    widgets = copy.metadata.pop("widgets", {}).get(STATES, {}).get("state", {})
    copy.cells = [cell for cell in copy.cells if LAB_ONLY not in cell.metadata.get("tags", [])]
    for cell in copy.cells:
        if cell.cell_type == "code":
            is_progress = "nbval-ignore-output" in cell.metadata.get("tags", [])
            outputs = [] if is_progress else [output for output in cell.outputs if "data" in output]
            cell.outputs = [_as_shown(output, widgets) for output in outputs]
    return copy


def _as_shown(output: Any, widgets: Mapping[str, Any]) -> Any:
    data = output.data
    if VEGALITE in data:
        output.data = {"text/html": _drawn(data[VEGALITE])}
    elif WIDGET in data:
        output.data = {"text/html": _explored(data, widgets)}
    else:
        output.data = {form: data[form] for form in [f for f in SHOWN if f in data][:1]}
    if "text/html" in output.data:
        output.data["text/html"] = _plain(output.data["text/html"])
    output.metadata = {}
    return output


def _explored(data: Mapping[str, Any], widgets: Mapping[str, Any]) -> str:
    """View that an explorer is set to: its sentence and its chart, or its table where it has no chart."""
    sentence, _, rest = data.get("text/plain", "").partition("\n")
    box = widgets.get(data[WIDGET].get("model_id"), {}).get("state", {})
    children = (widgets.get(child.removeprefix("IPY_MODEL_"), {}).get("state", {}) for child in box.get("children", []))
    specs = [child["spec"] for child in children if child.get("spec") and "image/png" in data]
    shown = _drawn(specs[0]) if specs else f"<pre>{markup.escape(rest)}</pre>"
    return f"<h2>The view that was chosen</h2><p>{markup.escape(sentence)}</p>{shown}"


def _plain(text: str) -> str:
    """Take away what a frame of polars says for programmers: its shape, its types, and the quotes around texts."""
    return FRAME.sub(lambda found: TYPES.sub("", found[1]).replace("&quot;", ""), text)


def _drawn(spec: Mapping[str, Any]) -> str:
    """Chart as a picture with its words, twice as fine as it is shown, and the same on every machine."""
    picture = pictures.png(spec, {})
    words = markup.escape(" ".join(str(spec.get("description", "")).split()))
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return f'<img alt="{words}" width="{pictures.width(picture):.0f}" src="{source}">'


def _first_heading(notebook: Any) -> str:
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = (re.search(r"^#+ +(.+)$", text, re.MULTILINE) for text in texts)
    return next((match[1] for match in found if match), "healthie-nb")
