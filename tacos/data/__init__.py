"""From a file or a hub id to the clean pool that selection starts from.

prepare.py          the clean pool: read, without duplicates, test questions and rows that hold them
read.py             a pool from a file or a hub id, bad rows counted

rows.py             rows from files of any kind, by their first bytes
raw.py              a row as it stands in a file
json_rows.py        rows of JSON text
json_text.py        a JSON text that is read as it is needed
tables.py           rows of CSV, TSV and Parquet
hub.py              rows of a Hugging Face dataset
wrapped.py          rows inside one object
published.py        rows of published files, as many as are whole
expert_pairs.py     responses that experts revised (CaR)

columns.py          which columns hold what
formats.py          from one row to one conversation
clean.py            what a value of a row is, where that is not plain
unread.py           fields that no part of a pool is made of
builder.py          the Arrow columns of a pool, filled row by row

dedup.py            exact and near duplicates
row_numbers.py      what deduplication has to know of all rows at once
near.py             pairs of similar sets, by MinHash LSH
comparable_rows.py  conversations as they are compared
decontaminate.py    rows that hold an evaluation question
shingles.py         n-grams of many texts as numbers
hashed.py           words and marks of many texts as numbers

builtin/            a pool that is generated, with known skills and known defects
"""
