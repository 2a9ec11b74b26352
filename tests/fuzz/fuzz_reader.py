"""Coverage-guided fuzzing of the reader.

`PYTHONPATH=. python tests/fuzz/fuzz_reader.py FOUND_FOLDER SEED_FOLDER... -max_total_time=SECONDS` needs the `fuzz`
extra (atheris). Inputs that fail are written to the current folder as `crash-*`; once mended, such a message becomes a
case of `test_fuzz_cases.py`. Further options are libFuzzer's; `-dict=tests/fuzz/mime.dict` helps it to find its words.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["inbox_env"]):
    from tests.fuzz.reader_rules import check

SECONDS_AT_MOST = 10.0  # instrumented code is several times slower

if __name__ == "__main__":
    atheris.Setup(sys.argv, lambda raw: check(raw, SECONDS_AT_MOST))
    atheris.Fuzz()
