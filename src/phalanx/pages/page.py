"""One self-contained HTML page, made on ``base.html.j2``.

A page holds its own style, script and data and asks for nothing else: a content security policy
in its head forbids every connection and every script but ours (by hash). All words that a template
is given are untrusted and escaped by jinja2; JSON is embedded with ``<`` escaped.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from phalanx.pages.charts import Chart
from phalanx.pages.figures import figure, interval
from phalanx.pages.language import SHARED, Catalogue
from phalanx.pages.values import plain, value_lines

CHART_WORDS = ("chart_help", "data_table", "model", "no_points", "position")


def render(
    part: str,
    template: str,
    words: Catalogue,
    charts: dict[str, Chart],
    context: dict[str, Any],
    *,
    style: str,
    scripts: Sequence[str] = (),
    chart_words: Sequence[str] = (),
) -> str:
    """Render a page of a product part.

    Args:
        part: the package that holds the files named below.
        template: extends ``base.html.j2``.
        words: the catalogue of the page's language.
        charts: by the name that the template gives their figures.
        context: what the template itself asks for.
        style: the part's own rules, after the shared ones.
        scripts: the part's own kinds of charts.
        chart_words: keys of the words that those scripts say.
    """
    script = _script([_file(SHARED, "charts.js"), *(_file(part, name) for name in scripts)])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    said = {key: words.text(key) for key in (*CHART_WORDS, *chart_words)}
    shared = {
        "language": words.language,
        "text": words.text,
        "name": words.name,
        "sentence": words.sentence,
        "figure": figure,
        "interval": interval,
        "plain": lambda value: plain(value, words),
        "lines": lambda value, key: value_lines(value, words, key),
        # Our own files, nothing of the user's.
        "style": Markup(_file(SHARED, "style.css") + _file(part, style)),
        "script": Markup(script),
        "script_hash": f"sha256-{digest}",
        "chart_data": embed(charts),
        "chart_words": embed(said),
    }
    return _environment(part).get_template(template).render(shared | context)


def embed(data: Any) -> Markup:
    """Return JSON that is safe inside a script element: nothing in it can close the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _script(files: Sequence[str]) -> str:
    """Return the files as one function, so that they see each other and nothing else does."""
    return "(() => {\n" + '"use strict";\n' + "".join(files) + "start();\n})();"


def _file(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


@cache
def _environment(part: str) -> Environment:
    """Return where templates come from: the part's own first, then the shared ones."""

    def load(name: str) -> str:
        for package in (part, SHARED):
            if name.endswith(".j2") and (resources.files(package) / name).is_file():
                return _file(package, name)
        raise TemplateNotFound(name)

    return Environment(
        loader=FunctionLoader(load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
