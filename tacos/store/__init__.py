"""What lies on disk: how it is written, named, locked, checked and shared.

files.py        small files, whole or absent
rows.py         rows as JSON, JSON lines or Parquet, by the ending of the file
tables.py       the tables of selection's stages
kept.py         one value per row of a long stage, kept as they come
fingerprint.py  names for content
own_code.py     the code of a user's part, as a fingerprint
names.py        names that become files
intact.py       whether files are as they were written
held.py         one process at a time works on a stage
shared.py       finished stages behind a URL, for machines without a common disk
"""
