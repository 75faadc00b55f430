"""Leaderboards as LaTeX tables that pdflatex compiles as they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from engine.reports.leaderboard import Cell, Leaderboard

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
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}
_ACCENTS = {  # combining mark -> command; these work in every font encoding
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u030a": "r",
    "\u030c": "v",
    "\u0327": "c",
}
_LETTERS = {"ß": r"{\ss}", "ø": r"{\o}", "Ø": r"{\O}", "ł": r"{\l}", "Ł": r"{\L}", "æ": r"{\ae}", "œ": r"{\oe}"}
_DOTLESS = {"i": r"\i", "j": r"\j"}
_PER_PAGE = 4  # LaTeX gives up on too many floats that wait for a place
_LIGATURE = re.compile(r"([-,'`?!])(?=[-,'`])")


def escape(text: str) -> str:
    """Any text as LaTeX that typesets it, in every font encoding: special characters by commands,
    accented letters by accents, line breaks as spaces; a character that pdflatex's standard fonts
    lack is written by its number, as {U+4E2D}."""
    return "".join(map(_escape_char, _LIGATURE.sub("\\1\0", text.replace("\0", " "))))


def _escape_char(char: str) -> str:
    if char == "\0":
        return "{}"  # keeps -- and ?` from becoming one sign
    known = _COMMANDS.get(char) or _LETTERS.get(char)
    if known is not None:
        return known
    if " " <= char <= "~":
        return char
    if char.isspace() or unicodedata.category(char) == "Cc":
        return " "
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"\\{_ACCENTS[parts[1]]}{{{_DOTLESS.get(parts[0], parts[0])}}}"
    return f"\\{{U+{ord(char):04X}\\}}"


def to_latex(boards: Sequence[Leaderboard], *, fragment: bool = False) -> str:
    """A document of one booktabs table per board, or with `fragment` the tables only (their document
    then needs the package booktabs). The caption says what was measured, how, and over how many
    seeds; the best mean per column is bold, the second best underlined."""
    tables = [_table(board) for board in boards]
    if fragment:
        return "\n".join(["% needs \\usepackage{booktabs}", *tables])
    pages = ["\n".join(tables[i : i + _PER_PAGE]) for i in range(0, len(tables), _PER_PAGE)]
    body = "\\clearpage\n".join(pages) or "No finished runs.\n"
    return f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\\end{{document}}\n"


def _table(board: Leaderboard) -> str:
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{_caption(board)}}}",
        rf"\begin{{tabular}}{{l{'c' * len(board.backbones)}}}",
        r"\toprule",
        " & ".join(["arm", *map(escape, board.backbones)]) + r" \\",
        r"\midrule",
    ]
    with_n = board.equal_n is None
    for row in board.rows:
        lines.append(" & ".join([escape(row.label), *(_cell(cell, with_n) for cell in row.cells)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _cell(cell: Cell | None, with_n: bool) -> str:
    if cell is None:
        return "--"
    mean = f"{cell.mean:.4f}"
    if cell.best:
        mean = rf"\textbf{{{mean}}}"
    elif cell.second:
        mean = rf"\underline{{{mean}}}"
    spread = "" if cell.sd is None else rf"\,$\pm$\,{cell.sd:.4f}"
    count = f" ({cell.n})" if with_n else ""
    return mean + (rf"{{\scriptsize{spread}{count}}}" if spread or count else "")


def _caption(board: Leaderboard) -> str:
    where = escape(", ".join([board.dataset, *board.conditions]))
    if board.metric.split == "train":
        what = f"{escape(board.metric.title)} (full softmax, evaluation mode; lower is better)"
    else:
        seen = "left out" if board.mask_seen else "ranked too"
        what = (
            f"{escape(board.metric.title)} at the best validation epoch "
            f"(full ranking, the user's earlier items {seen}; higher is better)"
        )
    n = board.equal_n
    if n == 1:
        spread = "One seed, hence no spread."
    elif n is not None:
        spread = rf"Mean $\pm$ sample standard deviation over {n} seeds."
    else:
        spread = r"Mean $\pm$ sample standard deviation over seeds, their number in parentheses."
    return f"{where}: {what}. {spread} Best per column in bold, second best underlined."
