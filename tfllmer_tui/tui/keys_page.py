"""The page of all keys: `python -m tfllmer_tui.tui.keys_page > docs/keys.md`."""

from __future__ import annotations

from collections.abc import Iterator

from tfllmer_tui.tui import app  # noqa: F401 - the page lists what is imported
from tfllmer_tui.tui.keys import bound, shortcuts
from tfllmer_tui.view.printing import put

PAGE = """\
# Keys

Every key of `tfllmer tui` can be another one. `?` on any screen lists the keys that hold there, as they are set now.

## Other keys

Write a file `keys.json` that maps ids, as they are listed below, to keys:

```json
{
    "runs.mark": "m",
    "runs.missing": "f5",
    "table.down": "down,j,ctrl+n"
}
```

It is read when `tfllmer tui` starts, from the folder that the platform has for settings: `~/.config/tfllmer` on Linux
(or `$XDG_CONFIG_HOME/tfllmer`), `~/Library/Application Support/tfllmer` on macOS. The last lines of the help (`?`) say
where. Several keys have commas between them; what is listed replaces all keys of that id. A key is a character (`m`,
`M`), a name (`f2`, `space`, `slash`, `plus`, `vertical_line`, `left`, `pagedown`), and before it `ctrl+`, `alt+` or
`shift+`. Two ids of one screen or widget cannot share a key: a binding that is in the way needs another key in the
same file. A file with an unknown id, a wrong key or such a clash is refused in one line, and the command ends with
exit code 2.

Four keys are Textual's own and stay: `ctrl+p` opens the command palette, `ctrl+q` quits, `tab` and `shift+tab` go
from pane to pane.
"""


TITLES = {
    "TfllmerApp": "Everywhere",
    "Page": "On every screen",
    "ChartKeys": "On screens with charts",
    "Chart": "In a chart",
    "ColumnsScreen": "Choosing columns",
    "ConfirmScreen": "When asked",
    "HelpScreen": "Help",
    "MetricScreen": "Choosing a metric",
    "NoteScreen": "In a note",
    "TagScreen": "Choosing a tag",
    "ViewsScreen": "Saved views",
    "RunKeys": "On screens with runs",
    "ViewKeys": "On the screen of runs, for views",
    "FilterLine": "In the line that filters runs",
    "FormLine": "In a line of a form",
    "LogView": "In a log or another text",
    "SettingLine": "In a line of the list of settings",
    "SettingsTable": "In the list of settings",
    "TextLine": "In every line of text on a screen",
    "VirtualTable": "In every table",
}
"""Headings of classes that have none of their own."""


def page() -> str:
    """The text of docs/keys.md."""
    return "\n".join([PAGE, *_sections()])


def _sections() -> Iterator[str]:
    for node in bound():
        yield f"## {getattr(node, 'HEADING', '') or TITLES[node.__name__]}\n"
        yield "| keys | id | what it does |"
        yield "|---|---|---|"
        for shortcut in shortcuts(node):
            keys = " ".join(f"`{key}`" for key in shortcut.keys.split(","))
            yield f"| {keys} | `{shortcut.id}` | {shortcut.description} |"
        yield ""


if __name__ == "__main__":
    put(page(), end="")
