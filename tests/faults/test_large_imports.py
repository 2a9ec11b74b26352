"""How much memory an import takes, whatever the size of the mail: fault F05 and load L01."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench_import import first_mails, generate_mbox, measure
from tests.faults.import_bench import box, plain

MAX_MIB = 300
IMPORT = """import json, sys
from pathlib import Path
from inbox_env.importing.import_mail import import_mail
seen = []
done = import_mail([sys.argv[1]], Path(sys.argv[2]), "me", progress=lambda done, total: seen.append(done))
peak = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"read": done.read, "imported": done.imported, "peak_kib": peak[0], "seen": len(seen)}))"""


def test_the_generated_mailbox_is_the_same_each_time_and_measured_whole(tmp_path: Path) -> None:
    first, second = (generate_mbox(tmp_path / f"{n}.mbox", 300) for n in range(2))
    assert first.read_bytes() == second.read_bytes()
    cut = first_mails([str(first), str(second)], 310, tmp_path / "cut.mbox")
    assert cut.read_bytes()[: first.stat().st_size] == first.read_bytes()
    result = measure([first], tmp_path, [1, 2], 20, num_repeats=3)
    assert [row["mails"] for row in result["runs"].values()] == [300, 300, 20]
    assert all(row["mails_per_cpu_second"] > 0 for row in result["runs"].values())
    assert result["runs"]["workers_1"]["peak_mib"] > 20
    one, two = (result["runs"][f"workers_{number}"] for number in (1, 2))
    assert [row["wall_seconds"] == sorted(row["all_wall_seconds"])[1] for row in (one, two)] == [True, True]
    assert result["cpu_ratio_to_standard_library"] > 0


@pytest.mark.slow
def test_l01_a_hundred_thousand_mails_take_bounded_memory(tmp_path: Path) -> None:
    box_path = generate_mbox(tmp_path / "a.mbox", 100_000)
    runs = measure([box_path], tmp_path, [1, 2], 0)["runs"]
    assert {name: row["peak_mib"] for name, row in runs.items() if row["peak_mib"] > MAX_MIB} == {}


@pytest.mark.slow
def test_f05_a_sparse_mbox_of_more_than_two_gigabytes_is_streamed(tmp_path: Path) -> None:
    source = tmp_path / "a.mbox"
    source.write_bytes(box(plain(1), plain(2)))
    with source.open("r+b") as file:
        file.seek(2_200_000_000)
        file.write(b"\n\n" + box(plain(3)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", IMPORT, str(source), str(tmp_path / "my.db")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["imported"] >= 3
    assert row["seen"] > 0
    assert row["peak_kib"] < MAX_MIB * 1024
