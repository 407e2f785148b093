r"""Tables as Markdown, CSV, LaTeX and plain records.

    Markdown    | m\_2 (incomplete) | 5.47 [5.01, 5.93] | ...      as read, rounded
    CSV         m_2,5.474842767295598,5.01...,5.93...,...          every digit, an interval in columns of its own
    LaTeX       m\_2 (incomplete) & 5.47 {\scriptsize {[}5.01, 5.93{]}} & ...     booktabs

Where there is no value, CSV is empty and the others show a dash.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from eval.report import format as fmt
from eval.report.table import Cell, Raw, Table
from tacos.store.files import write_text


def records(table: Table) -> list[dict[str, Raw]]:
    """Rows as plain values, unrounded; an interval in columns of its own: "average", "average low", ..."""
    heads = _unique_heads(table)
    more = [
        list(dict.fromkeys(key for row in table.rows for key, _ in row.cells[i].more))
        for i in range(len(heads))
    ]
    found = []
    for row in table.rows:
        record: dict[str, Raw] = {}
        for head, cell, keys in zip(heads, row.cells, more, strict=True):
            record[head] = _raw(cell)
            beside = dict(cell.more)
            record |= {f"{head} {key}": beside.get(key) for key in keys}
        found.append(record)
    return found


def _raw(cell: Cell) -> Raw:
    """The number where there is one, else what is read, else nothing."""
    return cell.text if cell.raw is None and cell.text != fmt.UNKNOWN else cell.raw


def _unique_heads(table: Table) -> list[str]:
    """Labels, behind their group where another has one of its labels, and numbered where that does not tell enough."""
    labels = [column.label for column in table.columns]
    alike = {column.group for column in table.columns if labels.count(column.label) > 1}
    heads = [f"{c.group}: {c.label}" if c.group and c.group in alike else c.label for c in table.columns]
    before = [heads[:number].count(head) for number, head in enumerate(heads)]
    return [f"{head} ({n + 1})" if n else head for head, n in zip(heads, before, strict=True)]


def to_csv(table: Table) -> str:
    """Comma-separated with a heading, every digit; empty where there is no value. A text that a spreadsheet would take
    for a formula has an apostrophe before it."""
    rows = records(table)
    heads = list(rows[0]) if rows else _unique_heads(table)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_no_formula, heads))
    writer.writerows([_no_formula(row[head]) for head in heads] for row in rows)
    return stream.getvalue()


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets work out."""


def _no_formula(value: Raw) -> Raw:
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # which would end the row
    return f"'{text}" if value.startswith(FORMULA) else text


def _beside(cell: Cell) -> str:
    return cell.sub if not cell.sub or cell.sub[0] in "[±" else f"({cell.sub})"


_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$#]|&(?=\w+;)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escape_markdown(text: str) -> str:
    """As text in a table's cell: nothing in it starts a link, emphasis, an entity or a cell. One line."""
    return _MARKDOWN.sub(lambda found: "\\" + found[0], " ".join(text.split()))


def to_markdown(table: Table) -> str:
    """A pipe table, intervals behind their values."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    heads = [escape_markdown(head) for head in _unique_heads(table)]
    rule = ["---:" if c.numeric else "---" for c in table.columns]
    rows = [[f"{_bold(c)} {_beside(c)}".strip() for c in row.cells] for row in table.rows]
    return "\n".join(line(cells) for cells in (heads, rule, *rows))


def _bold(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    return f"**{text}**" if cell.best else text


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \\textquotedbl needs another font encoding
    "±": r"\ensuremath{\pm}",
    "[": "{[}",  # after \\ a bare one would open a length, and a star would be taken for a part of it
    "*": "{*}",
    "]": "{]}",
}


def escape_latex(text: str) -> str:
    """As text: no character of it is a command. One line; a double hyphen stays two hyphens."""
    written = "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return written.replace("--", "-{}-").replace("--", "-{}-")


def to_latex(table: Table) -> str:
    r"""A booktabs tabular; title and note stand before it as comments, for a caption."""
    lines = [
        f"% {' '.join(text.split())}"
        for text in (table.title, table.note, r"needs \usepackage{booktabs}")
        if text
    ]
    lines += [
        rf"\begin{{tabular}}{{{''.join('r' if c.numeric else 'l' for c in table.columns)}}}",
        r"\toprule",
    ]
    if any(name for name, _ in table.groups):
        lines += _latex_groups(table)
    lines += [_latex_line([escape_latex(c.label) for c in table.columns]), r"\midrule"]
    for number, row in enumerate(table.rows):
        if number and row.marked != table.rows[number - 1].marked:
            lines.append(r"\midrule")
        lines.append(_latex_line([_latex_cell(cell) for cell in row.cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_groups(table: Table) -> list[str]:
    heads, rules, at = [], [], 1
    for name, span in table.groups:
        heads.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(name)}}}" if name else " & " * (span - 1))
        rules += [rf"\cmidrule(lr){{{at}-{at + span - 1}}}"] if name else []
        at += span
    return [_latex_line(heads), " ".join(rules)]


_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def _latex_cell(cell: Cell) -> str:
    text, beside = escape_latex(cell.text), escape_latex(_beside(cell))
    if isinstance(cell.raw, int | float):
        text, beside = (_MINUS.sub("$-$", part) for part in (text, beside))
    text = rf"\textbf{{{text}}}" if cell.best else text
    return text + (rf" {{\scriptsize {beside}}}" if beside else "")


def write_table(folder: Path, table: Table, as_csv: Table | None = None) -> tuple[Path, ...]:
    """NAME.md, NAME.csv and NAME.tex in `folder`. as_csv: what the CSV holds in place of `table`."""
    title, note = escape_markdown(table.title), escape_markdown(table.note)
    texts = {
        "md": f"# {title}\n\n{note}\n\n{to_markdown(table)}\n",
        "csv": to_csv(as_csv or table),
        "tex": to_latex(table),
    }
    for ending, text in texts.items():
        write_text(folder / f"{table.name}.{ending}", text)
    return tuple(folder / f"{table.name}.{ending}" for ending in texts)
