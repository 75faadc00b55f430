"""Names that only the specification and the reports know, written down for the completion (`known.json`).

`python -m tfllmer_tui.cli.known` writes the file anew; a test compares it with what the packages say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def names() -> dict[str, Any]:
    """Settings with their choices and meanings, columns of lists, layouts, kinds of figures, statuses."""
    from engine.presets import setting_fields
    from engine.records import STATUSES
    from engine.reports.render.figures import KINDS
    from engine.reports.render.layouts import LAYOUTS
    from engine.spec import leaves
    from engine.store.queries.filter_fields import all_fields
    from engine.views.words import value_text

    defaults: dict[str, Any] = {}
    for leaf in leaves():
        defaults.setdefault(leaf.name, leaf.default)
    settings = {
        field.path: {
            "choices": list(field.choices),
            "default": value_text(defaults[field.path]),
            "meaning": field.description,
        }
        for field in setting_fields()
    }
    columns = [name for name, field in all_fields().items() if name not in settings and not field.measured]
    return {
        "settings": settings,
        "columns": columns,
        "layouts": list(LAYOUTS),
        "figures": list(KINDS),
        "statuses": list(STATUSES),
    }


def text() -> str:
    """The file."""
    return json.dumps(names(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from engine.files import write_text

    write_text(Path(__file__).with_name("known.json"), text())
