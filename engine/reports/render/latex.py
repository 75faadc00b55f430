"""Tables as LaTeX that pdflatex compiles as it is, or xelatex and lualatex where there are letters that it lacks."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from engine.reports.render.layouts import Entry, Grid
from engine.reports.render.scripts import needed, preamble, runs_of

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "[": "{[}",  # a bracket or star at the start of a row would be taken for an argument of \\
    "]": "{]}",
    "*": "{*}",
    "·": "$\\cdot$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "°": "$^\\circ$",
    "²": r"\textsuperscript{2}",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}
_ACCENTS = {  # combining mark -> command; these work in every font encoding
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}
_ABOVE = frozenset(_ACCENTS) - {"\u0323", "\u0327", "\u0331"}
_LETTERS = {"ß": r"{\ss}", "ø": r"{\o}", "Ø": r"{\O}", "ł": r"{\l}", "Ł": r"{\L}", "æ": r"{\ae}", "œ": r"{\oe}"}
_DOTLESS = {"i": r"\i", "j": r"\j"}
_PER_PAGE = 4  # LaTeX gives up on too many floats that wait for a place
_NARROW = 55  # characters in a row above which a table may have to shrink to the line
_BESIDE, _BELOW = 30, 44  # characters of an arm's settings that stand beside its name, and in a line below it
_BELOW_ALONE = 66  # in a line below it where there is one column
_PAGE = 43  # lines of a page that a table may take, its caption with it
_CAPTION = 72  # characters in a line of a caption
_HEAD = 5  # lines of rules, names of columns and space around a table
_SMALL = 0.85  # of a line, a line of settings below a name
_NUMBER = re.compile(r"([+-]?)([0-9]+)(\.[0-9]+)?")
_SIUNITX = (
    r"\usepackage{siunitx}[2021/05/17]",  # version 3, the first to reserve room for text behind a number
    r"\sisetup{reset-text-series=false, retain-explicit-plus=true, group-minimum-digits=9}",
)
_LIGATURE = re.compile(r"([-,'`?!])(?=[-,'`])")


def escape(text: str) -> str:
    """Any text as LaTeX that typesets it, in every font encoding: special characters by commands, accented letters
    by accents, line breaks as spaces; letters of other scripts by the commands of `scripts.preamble`, for which the
    document needs another engine than pdflatex; a character of none of them by its number, as {U+1F600}."""
    pieces = []
    for script, run in runs_of(text.replace("\0", " ")):
        if script is None:
            pieces.append("".join(map(_escape_char, _LIGATURE.sub("\\1\0", run))))
        else:
            pieces.append(f"{script.command}{{{run}}}")
    return "".join(pieces)


def _escape_char(char: str) -> str:
    if char == "\0":
        return "{}"  # keeps -- and ?` from becoming one sign
    command = _COMMANDS.get(char) or _LETTERS.get(char)
    if command is not None:
        return command
    if " " <= char <= "~":
        return char
    if char.isspace() or unicodedata.category(char) == "Cc":
        return " "
    letter, *accents = list(unicodedata.normalize("NFD", char))
    if letter.isascii() and letter.isalpha() and accents and all(accent in _ACCENTS for accent in accents):
        accented = _DOTLESS.get(letter, letter) if all(accent in _ABOVE for accent in accents) else letter
        for accent in accents:
            accented = f"\\{_ACCENTS[accent]}{{{accented}}}"
        return accented
    return f"\\{{U+{ord(char):04X}\\}}"


def to_latex(grids: Sequence[Grid], *, fragment: bool = False, siunitx: bool = False) -> str:
    """A document of one booktabs table per grid, or with `fragment` the tables only (their document
    then needs the packages named in a comment). The caption says what was measured, how, and over how many
    seeds; the best mean per column is bold, the second best underlined. With `siunitx` numbers stand in
    columns S, aligned at the decimal point, with what follows them in line too."""
    tables = [table(grid, siunitx=siunitx) for grid in grids]
    scaled = [r"\usepackage{graphicx}"] if any(_width(grid) > _NARROW for grid in grids) else []
    packages = [r"\usepackage{booktabs}", *scaled, *(_SIUNITX if siunitx else [])]
    packages += preamble("".join(tables))
    engine = engine_lines("".join(tables))
    if fragment:
        return "\n".join([*engine, *(f"% needs {line}" for line in packages), *tables])
    pages = ["\n".join(tables[i : i + _PER_PAGE]) for i in range(0, len(tables), _PER_PAGE)]
    body = "\\clearpage\n".join(pages) or "No finished runs.\n"
    head = "\n".join([*engine, r"\documentclass{article}", *packages])
    return f"{head}\n\\begin{{document}}\n{body}\\end{{document}}\n"


def engine_lines(latex: str) -> list[str]:
    """Comments that say which engine the LaTeX needs, the first for editors; none for pdflatex."""
    engines = needed(latex)
    return ["% !TeX program = xelatex", f"% Compile with {engines}."] if engines else []


def table(grid: Grid, *, siunitx: bool = False) -> str:
    """One table, in several floats where a page is too short for it; its document needs booktabs, graphicx where it
    is wide, and siunitx where that is asked for."""
    columns = [[cells[i] for _, cells in grid.rows] for i in range(len(grid.columns))]
    aligned = [siunitx and _aligned(column) for column in columns]
    kinds = [_format(column) if s else "c" for column, s in zip(columns, aligned, strict=True)]
    wide = _width(grid) > _NARROW
    below = _BELOW if len(grid.columns) > 1 else _BELOW_ALONE
    above = [
        *([r"\setlength{\tabcolsep}{4pt}"] if wide else []),
        *([r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{l{''.join(kinds)}}}",
        r"\toprule",
        *_spanning(grid.heads),
        " & ".join([escape(grid.corner), *(f"{{{escape(c)}}}" if siunitx else escape(c) for c in grid.columns)])
        + r" \\",
        r"\midrule",
    ]
    marked = list(map(_marked, columns))
    rows = []
    for label, cells in grid.rows:
        texts = [_aligned_cell(c, m) if s else _cell(c) for c, s, m in zip(cells, aligned, marked, strict=True)]
        small = _settings(label, below) if wide else []
        rows.append((" & ".join([_label(label, small) if wide else escape(label), *texts]) + r" \\", len(small)))
    floats = []
    caption = " ".join(grid.caption)
    for number, part in enumerate(_pages(rows, -(-len(caption) // _CAPTION))):
        named = [rf"\caption{{{escape(caption)}}}", rf"\label{{{grid.label}}}"]
        if number:
            named = [r"\addtocounter{table}{-1}", r"\caption{\emph{(continued)}}"]
        begin = [r"\begin{table}[htbp]", r"\centering", *named, r"\medskip"]
        end = [r"\bottomrule", r"\end{tabular}" + "}" * wide, r"\end{table}", ""]
        floats.append("\n".join([*begin, *above, *part, *end]))
    return "\n".join(floats)


def _pages(rows: Sequence[tuple[str, int]], caption: int) -> list[list[str]]:
    """Rows with the number of small lines in each -> as many of them as a page has room for, below so many lines of
    caption on the first."""
    pages: list[list[str]] = [[]]
    used = float(caption + _HEAD)
    for text, small in rows:
        height = 1 + _SMALL * small
        if pages[-1] and used + height > _PAGE:
            pages.append([])
            used = 1 + _HEAD
        pages[-1].append(text)
        used += height
    return pages


def _settings(label: str, width: int) -> list[str]:
    """What was changed of an arm, in the lines below its name; none where it stands beside the name."""
    changes = label.partition(" [")[2]
    if len(changes) + 1 <= _BESIDE:
        return []
    return textwrap.wrap(f"[{changes}", width, break_long_words=False, break_on_hyphens=False)


def _label(label: str, below: Sequence[str]) -> str:
    """An arm in a wide table: what was changed stands small beside its name, or below it."""
    name, bracket, changes = label.partition(" [")
    if not bracket:
        return escape(label)
    if not below:
        return rf"{escape(name)} {{\scriptsize {escape(f'[{changes}')}}}"
    lines = r" \\[-2pt] ".join(rf"\scriptsize {escape(line)}" for line in below)
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{escape(name)} \\[-2pt] {lines}\end{{tabular}}"


def _width(grid: Grid) -> int:
    """About how many characters a row has."""

    def length(entry: Entry | None) -> int:
        return 2 if entry is None else len(entry.text) + len(entry.spread) + len(entry.interval) + 2

    columns = [
        max([_letters(name), *(length(cells[i]) for _, cells in grid.rows)]) for i, name in enumerate(grid.columns)
    ]
    return max((_letters(label) for label, _ in grid.rows), default=0) + sum(columns) + 2 * len(columns)


def _letters(text: str) -> int:
    """Widths of a Latin letter; a Chinese one has two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _spanning(heads: Sequence[tuple[str, int]]) -> list[str]:
    """The row of names above the columns, each ruled off."""
    if not heads:
        return []
    names, rules, first = [], [], 2
    for name, width in heads:
        names.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(name)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [" & ".join(["", *names]) + r" \\", " ".join(rules)]


def _aligned(column: Sequence[Entry | None]) -> bool:
    """Whether siunitx has numbers to align in the column."""
    return any(_number(entry) for entry in column if entry is not None)


def _number(entry: Entry) -> re.Match[str] | None:
    return _NUMBER.fullmatch(entry.text)


def _format(column: Sequence[Entry | None]) -> str:
    """The column's S with the room that its numbers, and what stands behind them, need. Only numbers in text mode
    are bold where their cell is; the others keep the minus of formulas, which is there in every font."""
    entries = [entry for entry in column if entry is not None]
    numbers = [match.groups("") for entry in entries if (match := _number(entry))]
    sign = "+" if any(sign for sign, _, _ in numbers) else ""
    whole = max(len(digits) for _, digits, _ in numbers)
    places = max(len(fraction.lstrip(".")) for _, _, fraction in numbers) or 4
    widest = max(map(_small, entries), key=len)  # all digits are equally wide
    behind = (_MARKS["better"] if _marked(column) else "") + (widest and rf"\mdseries{widest}")
    mode = "mode=text, " if any(entry.place for entry in entries) else ""
    return f"S[{mode}table-format={sign}{whole}.{places}{behind and f'{{{behind}}}'}]"


def _marked(column: Sequence[Entry | None]) -> bool:
    return any(entry.mark for entry in column if entry is not None)


_MARKS = {"better": "$^{*}$", "worse": r"$^{\circ}$", "": ""}


def _small(entry: Entry) -> str:
    """Spread, interval and number of seeds."""
    spread = rf"\,$\pm$\,{entry.spread}" if entry.spread else ""
    interval = rf"\,${entry.interval}$" if entry.interval else ""
    count = f"~({entry.count})" if entry.count else ""
    return rf"{{\scriptsize{spread}{interval}{count}}}" if spread or interval or count else ""


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return "--"
    mean = f"${entry.text}$" if entry.text.startswith(("-", "+")) else escape(entry.text)
    if entry.place == "best":
        mean = rf"\textbf{{{mean}}}"
    elif entry.place == "second":
        mean = rf"\underline{{{mean}}}"
    return mean + _MARKS[entry.mark] + _small(entry)


def _aligned_cell(entry: Entry | None, marked: bool) -> str:
    """A cell of a column S. In a column with marks a cell without one leaves its room free, so that the
    spreads stay in line; bold is the series whose digits are as wide as the others; a number that siunitx places
    cannot be an argument, so that its line is drawn from behind it."""
    if entry is None or not _number(entry):
        return f"{{{_cell(entry)}}}"
    small = _small(entry)
    mark = _MARKS[entry.mark] or (r"\phantom{$^{*}$}" if marked and small else "")
    if entry.place == "best":
        behind = mark + (small and rf"\mdseries{small}")
        return rf"\fontseries{{b}}\selectfont {entry.text}" + (behind and f"{{{behind}}}")
    line = rf"\llap{{\underline{{\phantom{{{entry.text}}}}}}}" if entry.place == "second" else ""
    behind = line + mark + small
    return entry.text + (behind and f"{{{behind}}}")
