"""Keys: what the page says of them, and a user's own."""

import re
from collections import Counter
from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from engine.errors import UserError
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.keys import bound, is_key, keys_file, own_keys, shortcuts, take_alt_keys
from tfllmer_tui.tui.keys_page import page

PAGE = Path(__file__).parents[3] / "docs" / "keys.md"


def test_every_binding_has_an_id_of_its_own_and_says_what_it_does() -> None:
    every = [shortcut for node in bound() for shortcut in shortcuts(node)]
    assert len(every) > 100
    assert all(shortcut.id and shortcut.description for shortcut in every)
    assert [name for name, count in Counter(shortcut.id for shortcut in every).items() if count > 1] == []


def test_every_key_is_one_that_a_terminal_sends() -> None:
    keys = [key for node in bound() for shortcut in shortcuts(node) for key in shortcut.keys.split(",")]
    assert [key for key in keys if not is_key(key)] == []
    assert not is_key("bar") and is_key("vertical_line") and is_key("|") and not is_key("solidus")
    printable = [chr(code) for code in range(33, 127)]
    sent = [event.key for text in printable for event in XTermParser().feed(text) if isinstance(event, Key)]
    assert len(sent) == len(printable) and all(map(is_key, sent))


def test_keys_with_alt_are_keys_as_terminals_send_them() -> None:
    take_alt_keys()
    keys = [key for node in bound() for shortcut in shortcuts(node) for key in shortcut.keys.split(",")]
    with_alt = [key for key in keys if re.fullmatch(r"alt\+.", key)]
    assert {"alt+1", "alt+6", "alt+u"} <= set(with_alt)
    for key in [*with_alt, "alt+9", "alt+0", "alt+x"]:  # the last ones may be a user's own
        twice = f"\x1b{key[-1]}" * 2  # held
        sent = [event for event in XTermParser().feed(twice) if isinstance(event, Key)]
        assert [(event.key, event.character) for event in sent] == [(key, None)] * 2
    words = [event.key for event in XTermParser().feed("\x1bb\x1bf\x1b[A") if isinstance(event, Key)]
    assert words == ["ctrl+left", "ctrl+right", "up"]


KITTY = {
    "escape": 27, "tab": 9, "enter": 13, "backspace": 127, "space": 32, "slash": 47, "question_mark": 63,
    "vertical_line": 124, "number_sign": 35, "less_than_sign": 60, "greater_than_sign": 62, "plus": 43, "minus": 45,
    "equals_sign": 61, "left_square_bracket": 91, "right_square_bracket": 93,
}  # fmt: skip
"""Numbers of characters, which terminals with kitty's protocol send for keys."""
LEGACY = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "delete": "\x1b[3~", "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "f1": "\x1bOP", "f2": "\x1bOQ",
    "shift+up": "\x1b[1;2A", "shift+down": "\x1b[1;2B", "shift+right": "\x1b[1;2C", "shift+left": "\x1b[1;2D",
    "escape": "\x1b[27u", "tab": "\t", "enter": "\r", "backspace": "\x7f", "space": " ", "shift+tab": "\x1b[Z",
}  # fmt: skip
"""What xterm and its kin send."""


def sent_by(sequence: str) -> list[str]:
    return [event.key for event in XTermParser().feed(sequence) if isinstance(event, Key)]


def sequences_of(key: str) -> list[str]:
    """How terminals send a key: without and with kitty's protocol."""
    modifiers, _, name = key.rpartition("+")
    if key in LEGACY:
        return [LEGACY[key], *([f"\x1b[{KITTY[key]}u"] if key in KITTY else [])]
    if modifiers == "ctrl":
        return [chr(ord(name) & 31), f"\x1b[{ord(name)};5u"]
    if modifiers == "alt":
        return [f"\x1b{name}", f"\x1b[{ord(name)};3u"]
    assert not modifiers, key
    if key in KITTY:
        return [chr(KITTY[key]), f"\x1b[{KITTY[key]}u"]
    assert len(key) == 1, key
    return [key, f"\x1b[{ord(key.lower())};2;{ord(key)}u" if key.isupper() else f"\x1b[{ord(key)}u"]


def test_every_binding_hears_what_terminals_send_with_and_without_kittys_protocol() -> None:
    take_alt_keys()
    keys = {key for node in bound() for shortcut in shortcuts(node) for key in shortcut.keys.split(",")}
    assert {"shift+up", "ctrl+r", "alt+1", "vertical_line", "X"} <= keys
    deaf = [
        (key, sequence, sent_by(sequence))
        for key in sorted(keys | {"shift+tab"})
        for sequence in sequences_of(key)
        if sent_by(sequence) != [key]
    ]
    assert deaf == []


def test_the_page_is_the_bindings() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tfllmer_tui.tui.keys_page > docs/keys.md"
    for node in bound():
        for shortcut in shortcuts(node):
            assert f"`{shortcut.id}` | {shortcut.description} |" in page()


def test_the_example_on_the_page_is_one(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(page().split("```json\n")[1].split("```")[0])
    assert own_keys(file)["table.down"] == "down,j,ctrl+n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        pytest.param("[" * 100_000, "is no JSON", id="deep"),
        ('["m"]', "give ids and keys"),
        ('{"runs.makr": "m"}', "no binding has the id 'runs.makr'; did you mean 'runs.mark'?"),
        ('{"!": "m"}', "docs/keys.md lists them"),
        ('{"runs.mark": 3}', "runs.mark: 3 is no key"),
        ('{"runs.mark": ""}', 'runs.mark: "" is no key'),
        ('{"runs.mark": "ctrl+"}', 'runs.mark: "ctrl+" is no key'),
        ('{"runs.mark": "a,,b"}', 'runs.mark: "a,,b" is no key'),
        ('{"runs.mark": "Big key"}', "is no key"),
        ('{"runs.mark": "c"}', "'c' is the key of both runs.mark and runs.compare"),
        ('{"runs.mark": "x", "runs.cancel": "x"}', "'x' is the key of both runs.mark and runs.cancel"),
        ('{"chart.smooth": "f"}', "'f' is the key of both"),
    ],
)
def test_a_wrong_file_is_refused_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        own_keys(file)
    assert str(file) in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)


def test_keys_may_change_places_and_none_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert own_keys(file) == {}
    file.write_text('{"runs.mark": "c", "runs.compare": "space"}')
    assert own_keys(file) == {"runs.mark": "c", "runs.compare": "space"}


def test_the_app_does_not_start_with_a_wrong_file() -> None:
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text('{"runs.makr": "m"}')
    with pytest.raises(UserError, match=r"runs\.makr"):
        TfllmerApp()
