"""Scripts that pdflatex's fonts lack: which of a text's letters they are, and a preamble that sets them.

A run of such letters is written as `\\tfllmerHan{...}`; the command is made by the document's preamble, for xelatex and
lualatex alike, with the first of a list of fonts that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Script:
    name: str
    """The end of its command, and what OpenType calls it."""
    words: str
    ranges: tuple[tuple[int, int], ...]
    """Code points, ends included."""
    fonts: tuple[str, ...]
    """By preference; a name with a dot is a file of TeX's."""
    debian: str
    """A package with a font for it."""
    right_to_left: bool = False
    has_lowercase: bool = False
    """Small letters, which are then as high as the Latin ones beside them."""

    @property
    def command(self) -> str:
        return rf"\tfllmer{self.name}"


_WIDE = ("FreeSerif", "DejaVu Serif", "Times New Roman", "DejaVu Sans")
_CJK = ("Noto Serif CJK {}", "Noto Sans CJK {}", "Source Han Serif {}", "WenQuanYi Micro Hei")
SCRIPTS = (
    Script(
        "Han",
        "Chinese or Japanese",
        ((0x2E80, 0x30FF), (0x31C0, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x323AF)),
        (*(font.format("SC") for font in _CJK), "FandolSong-Regular.otf", "Songti SC", "SimSun"),
        "fonts-noto-cjk",
    ),
    Script(
        "Hangul",
        "Korean",
        ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
        (*(font.format("KR") for font in _CJK), "UnBatang.ttf", "AppleMyungjo", "Malgun Gothic"),
        "fonts-noto-cjk",
    ),
    Script(
        "Cyrillic",
        "Cyrillic",
        ((0x400, 0x52F), (0x1C80, 0x1C8F)),
        ("CMU Serif", *_WIDE),
        "fonts-dejavu-core",
        has_lowercase=True,
    ),
    Script(
        "Greek",
        "Greek",
        ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
        ("CMU Serif", *_WIDE),
        "fonts-dejavu-core",
        has_lowercase=True,
    ),
    Script(
        "Arabic",
        "Arabic",
        ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFE)),
        ("Amiri", "Noto Naskh Arabic", "Noto Sans Arabic", "DejaVu Sans", "Times New Roman", "Arial"),
        "fonts-dejavu-core",
        right_to_left=True,
    ),
    Script(
        "Hebrew",
        "Hebrew",
        ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
        ("Noto Serif Hebrew", "DejaVu Sans", "FreeSerif", "Times New Roman", "Arial"),
        "fonts-dejavu-core",
        right_to_left=True,
    ),
    Script(
        "Devanagari",
        "Devanagari",
        ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
        ("Noto Serif Devanagari", "Noto Sans Devanagari", "Lohit Devanagari", "FreeSerif", "Kohinoor Devanagari"),
        "fonts-freefont-otf",
    ),
    Script(
        "Thai",
        "Thai",
        ((0xE00, 0xE7F),),
        ("Noto Serif Thai", "Noto Sans Thai", "Norasi", "FreeSerif", "Thonburi", "Tahoma"),
        "fonts-freefont-otf",
    ),
)
_OPENTYPE = {"Han": "CJK"}  # what fontspec calls it, where that is another word
_JOINERS = "\u200c\u200d"  # which shape the letters on both sides, and are nothing by themselves
ENGINES = "xelatex or lualatex"


def script_of(char: str) -> Script | None:
    """The script of a letter; None where pdflatex has it, or no font is known."""
    point = ord(char)
    if point < 0x370:  # nearly all text
        return None
    return next((s for s in SCRIPTS if any(first <= point <= last for first, last in s.ranges)), None)


def runs_of(text: str) -> Iterator[tuple[Script | None, str]]:
    """The text in runs of one script. Spaces and joiners between letters of a script belong to the run, so that the
    words of a script written from right to left stay in order."""
    scripts = [script_of(char) for char in text]
    last = None
    for at, char in enumerate(text):
        if scripts[at] is not None:
            last = at
        elif char not in f" {_JOINERS}":
            last = None
        elif last is not None:
            after = next((s for c, s in zip(text[at:], scripts[at:], strict=True) if c not in f" {_JOINERS}"), None)
            scripts[at] = scripts[last] if after == scripts[last] else None
    for script, group in groupby(zip(scripts, text, strict=True), key=lambda pair: pair[0]):
        yield script, "".join(char for _, char in group)


def scripts_in(latex: str) -> list[Script]:
    """The scripts whose commands a piece of LaTeX uses."""
    return [script for script in SCRIPTS if rf"{script.command}{{" in latex]


def needed(latex: str) -> str:
    """`xelatex or lualatex, for its Chinese or Japanese`; empty where pdflatex compiles it."""
    scripts = scripts_in(latex)
    return f"{ENGINES}, for its {', '.join(script.words for script in scripts)}" if scripts else ""


def preamble(latex: str) -> list[str]:
    """Lines that a document with this LaTeX needs before `\\begin{document}`; none where pdflatex has all letters.
    Another engine, or a computer without a font, is told by an error of one line."""
    scripts = scripts_in(latex)
    if not scripts:
        return []
    lines = [
        r"\usepackage{iftex}",
        rf"\ifTUTeX\else\PackageError{{tfllmer}}{{compile this with {needed(latex)}}}{{}}\fi",
        r"\usepackage{fontspec}",
    ]
    if any(script.right_to_left for script in scripts):
        lines.append(r"\ifXeTeX\TeXXeTstate=1\fi")
    return [*lines, *(line for script in scripts for line in _command(script))]


def _command(script: Script) -> list[str]:
    font = f"{script.command}Font"
    opentype = f"Script={_OPENTYPE.get(script.name, script.name)}"
    opentype += ", Scale=MatchLowercase" if script.has_lowercase else ""
    chosen = rf"\PackageError{{tfllmer}}{{no font for {script.words}: install one (Debian: {script.debian})}}{{}}"
    for name in reversed(script.fonts):
        chosen = rf"\IfFontExistsTF{{{name}}}{{\tfllmerTake{{{name}}}}}{{{chosen}}}"
    begin, end = (r"\ifXeTeX\beginR\else\textdir TRT\fi ", r"\ifXeTeX\endR\fi") if script.right_to_left else ("", "")
    return [
        rf"\def\tfllmerTake#1{{\ifLuaTeX\newfontfamily{font}{{#1}}[Renderer=HarfBuzz, {opentype}]"
        rf"\else\newfontfamily{font}{{#1}}[{opentype}]\fi}}",
        chosen,
        rf"\DeclareRobustCommand{script.command}[1]{{{{{font}{begin}#1{end}}}}}",
    ]
