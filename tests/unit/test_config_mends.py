"""A value of the wrong type, or a placeholder left in, is refused with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config_files import SAMPLE, SYSTEM, faults, read


def test_sample_as_it_comes_is_refused(tmp_path: Path) -> None:
    """The daemon does not begin with placeholders, which it would ask Azure for again and again."""
    assert [line.partition(";")[0] for line in faults(tmp_path, SAMPLE.read_text(encoding="utf-8"))] == [
        'file_system[1].subscription: "00000000-0000-0000-0000-000000000000" is the sample\'s',
        'file_system[1].container_url: "https://ACCOUNT.blob.core.windows.net/CONTAINER" is the sample\'s',
    ]


@pytest.mark.parametrize(
    ("url", "blank"),
    [
        ("https://ACCOUNT.blob.core.windows.net/data", "ACCOUNT"),
        ("https://hpcblobs.blob.core.windows.net/CONTAINER/", "CONTAINER"),
        ("http://127.0.0.1:PORT/devstoreaccount1/data", "PORT"),
    ],
)
def test_half_filled_in_is_refused(tmp_path: Path, url: str, blank: str) -> None:
    """Each placeholder that is left is named."""
    [line] = faults(tmp_path, SYSTEM.replace("https://account.blob.core.windows.net/data", url))
    assert line.startswith("file_system[1].container_url: ")
    assert line.endswith(f"write the site's own name for {blank}")


def test_emulator_has_no_subscription(tmp_path: Path) -> None:
    """With the emulator, as docs/emulator.md shows it, the subscription names nothing and may stay."""
    text = SYSTEM.replace("0b2d2d5c-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000")
    assert len(faults(tmp_path, text)) == 1
    assert read(tmp_path, f'[azure]\narm_url = "http://127.0.0.1:10080"\n{text}').file_systems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"[limits]\nattempts = '3'\n{SYSTEM}",
            (
                'limits.attempts: "3" stands where a whole number belongs; '
                "write it without quotes or point, as in attempts = 3"
            ),
        ),
        (
            f"[limits]\nworkers = true\n{SYSTEM}",
            (
                "limits.workers: true stands where a whole number belongs; "
                "write it without quotes or point, as in workers = 8"
            ),
        ),
        (
            f"[slot]\npools = 'yes'\n{SYSTEM}",
            'slot.pools: "yes" stands where a true or false belongs; write it without quotes, as in pools = false',
        ),
        (
            f"[azure]\npoll_seconds = '5'\n{SYSTEM}",
            'azure.poll_seconds: "5" stands where a number belongs; write it without quotes, as in poll_seconds = 5.0',
        ),
        (f"[limits]\nworkers = 65\n{SYSTEM}", "limits.workers: 65 is too much; write 64 or less, as in workers = 8"),
        (f"[limits]\nworkers = 0\n{SYSTEM}", "limits.workers: 0 is too little; write 1 or more, as in workers = 8"),
        (
            f"log_level = 3\n{SYSTEM}",
            "log_level: 3 is no word that is known here; write 'debug', 'info', 'warning' or 'error'",
        ),
        (
            SYSTEM.replace('amlfs = "amlfs1"', "amlfs = 1"),
            'file_system[1].amlfs: 1 stands where a string belongs; write it in quotes, as in amlfs = "amlfs1"',
        ),
        (
            SYSTEM.replace('mount = "/lustre"', "mount = 1"),
            "file_system[1].mount: 1 is no absolute path; write it in quotes, from / on, without ..",
        ),
        (
            SYSTEM.replace('amlfs = "amlfs1"\n', ""),
            'file_system[1].amlfs: is missing; add it, as in amlfs = "amlfs1"',
        ),
        (
            SYSTEM.replace("[[file_system]]", "[file_system]"),
            "file_system: a table stands where a block belongs; write a line [[file_system]] and its keys below it",
        ),
        (
            f"slurm = 'slurm'\n{SYSTEM}",
            'slurm: "slurm" stands where a block belongs; write a line [slurm] and its keys below it',
        ),
        (
            f"[[limits]]\nworkers = 3\n{SYSTEM}",
            "limits: a list stands where a block belongs; write a line [limits] and its keys below it",
        ),
        (
            f"grant = ['/jobs/']\n{SYSTEM}",
            'grant[1]: "/jobs/" stands where a block belongs; write a line [[grant]] and its keys below it',
        ),
        (
            f"{SYSTEM}[[grant]]\nusers = 'alice'",
            'grant[1].users: "alice" stands where a list belongs; write it in brackets, as in users = ["alice", "bob"]',
        ),
        (
            f"{SYSTEM}[[grant]]\nusers = ['*']\nimport = '/data/'",
            'grant[1].import: "/data/" stands where a list belongs; write it in brackets, as in import = ["/data/"]',
        ),
        (
            f"{SYSTEM}[[grant]]\nusers = [1001]",
            'grant[1].users[1]: 1001 stands where a string belongs; write it in quotes, as in users = ["alice", "bob"]',
        ),
        (
            SYSTEM.replace("https://account.blob.core.windows.net/data", "https://[x"),
            'file_system[1].container_url: "https://[x" cannot be read as an address; write https://HOST',
        ),
    ],
)
def test_wrong_type_says_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    """A value of the wrong kind is answered in TOML's words, with a line that would be right."""
    assert faults(tmp_path, text) == [expected]


def test_hold_mode_has_no_pools(tmp_path: Path) -> None:
    """Slurm would count nothing, and its jobs would be refused for that."""
    assert read(tmp_path, f'[slurm]\nmode = "hold"\n{SYSTEM}').slurm.mode.value == "hold"
    [line] = faults(tmp_path, f'[slurm]\nmode = "hold"\n[slot]\npools = true\n{SYSTEM}')
    assert line == "slot.pools: Slurm counts pools only with its burst buffer plugin; remove it, or slurm.mode"
    [line] = faults(tmp_path, f'[slurm]\nmode = "holding"\n{SYSTEM}')
    assert "'burst-buffer' or 'hold'" in line
