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
