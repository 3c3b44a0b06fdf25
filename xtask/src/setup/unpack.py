"""Unpacks chosen files of the wheels in a folder: unpack.py WHEELS TARGET (PATTERN FOLDER)..."""

import fnmatch
import pathlib
import shutil
import sys
import zipfile

source, target = map(pathlib.Path, sys.argv[1:3])
rules = list(zip(sys.argv[3::2], sys.argv[4::2]))
unused = {pattern for pattern, _ in rules}

for wheel in sorted(source.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.endswith("/"):
                continue
            for pattern, folder in rules:
                if not fnmatch.fnmatchcase(member, pattern):
                    continue
                base = pattern.partition("*")[0].rpartition("/")[0]
                place = target / folder / pathlib.PurePosixPath(member).relative_to(base)
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, open(place, "wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)
                unused.discard(pattern)

if unused:
    sys.exit("no file of the wheels matches " + ", ".join(sorted(unused)))
