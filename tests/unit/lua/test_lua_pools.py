"""What Slurm hears of pools, and which jobs are refused for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from slurm_mock import Returned, SlurmMock

from slurm_amlfs.adapters.pools import FILE_NAME, PoolsFile
from slurm_amlfs.domain.capacity import Pool
from slurm_amlfs.wire import Board, Site

DONE = Returned(("0",))
POOLS = (Pool("lustre", 4096, 3000), Pool("x.y-2", 10, 10))
LINE = "stage_in prefix=/in/ capacity={} pool=lustre"


def post(slurm: SlurmMock, *pools: Pool) -> str:
    """Post pools as the daemon does; return the file's text."""
    PoolsFile(slurm.state, -1).post(pools)
    return (slurm.state / FILE_NAME).read_text()


def submit(slurm: SlurmMock, *lines: str) -> Returned:
    """Submit a job with these directives."""
    script = "#!/bin/sh\n" + "".join(f"#AMLFS {line}\n" for line in lines) + "true\n"
    return slurm.call("slurm_job_submit", job_user_id="61001", job_script=script)


@pytest.mark.parametrize("version", ["5.1", "5.2", "5.3", "5.4"])
def test_slurm_is_told_what_the_daemon_posted(version: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Word for word, in JSON with whole numbers; and no second value before anything is posted."""
    slurm = SlurmMock(tmp_path_factory.mktemp("site"), version, "22.05")
    assert slurm.call("slurm_bb_pools") == DONE
    text = post(slurm, *POOLS)
    assert slurm.call("slurm_bb_pools") == Returned(("0", text.rstrip("\n")))
    assert json.loads(text) == {
        "pools": [
            {"id": "lustre", "granularity": 1 << 30, "quantity": 4096, "free": 3000},
            {"id": "x.y-2", "granularity": 1 << 30, "quantity": 10, "free": 10},
        ]
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        '{"pools":[]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1}]}',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1}]}\n\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":3}]}\n',
        '{"pools":[{"id":"a","granularity":0,"quantity":2,"free":1}]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2.0,"free":1}]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":-1}]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":9999999999999999,"free":1}]}\n',
        '{"pools":[{"id":"a\\"b","granularity":1,"quantity":2,"free":1}]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1},]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1}{"id":"b","granularity":1,"quantity":2,"free":1}]}\n',
        '{"pools":[{"id":"a","granularity":1,"quantity":2,"free":1},{"id":"a","granularity":1,"quantity":2,"free":1}]}\n',
        '{"pools":[' + '{"id":"a","granularity":1,"quantity":2,"free":1},' * 2000 + "]}\n",
        "\0\xff",
    ],
)
def test_what_is_not_plainly_well_formed_is_not_told(any_release: SlurmMock, text: str) -> None:
    """Slurm hears success and nothing else, and no job without capacity is refused for it."""
    (any_release.state / FILE_NAME).write_text(text)
    assert any_release.call("slurm_bb_pools") == DONE
    assert submit(any_release, "stage_in prefix=/in/").values == ("0",)


def test_a_file_that_cannot_be_read_is_none(any_release: SlurmMock) -> None:
    """A folder in its place, and a state directory that is gone, are as good as no pools."""
    (any_release.state / FILE_NAME).mkdir()
    assert any_release.call("slurm_bb_pools") == DONE


def test_a_broken_part_costs_no_pools(any_release: SlurmMock) -> None:
    """A mistake in a Lua file must not make Slurm call the burst buffer down."""
    post(any_release, *POOLS)
    (any_release.conf / "amlfs_pools.lua").write_text("nonsense")
    assert any_release.call("slurm_bb_pools") == DONE


def test_capacity_within_the_pool_passes(any_release: SlurmMock) -> None:
    """Up to all that the pool has."""
    post(any_release, *POOLS)
    for size in ("1", "3500GiB", "4096GiB", "4T"):
        assert submit(any_release, LINE.format(size)) == Returned(("0",))


@pytest.mark.parametrize(
    ("lines", "gib"),
    [
        ([LINE.format("4097GiB")], 4097),
        ([LINE.format("4398046511105")], 4097),
        ([LINE.format("2T"), LINE.format("2049G")], 4097),
    ],
)
def test_capacity_beyond_the_pool_is_refused(any_release: SlurmMock, lines: list[str], gib: int) -> None:
    """It would wait for ever; sizes are rounded up and summed as Slurm does. A task that is split off later is not."""
    post(any_release, *POOLS)
    said = f'amlfs: capacity= of {gib} GiB in all is more than the pool "lustre" ever has, 4096 GiB; ask for less'
    assert submit(any_release, *lines) == Returned(("2094",), (said,))
    assert any_release.call("slurm_bb_job_process", any_release.script(*lines)) == DONE


def test_a_site_without_pools_says_so(any_release: SlurmMock) -> None:
    """At submission only: a task of an array that job_process refused later would be left without its script."""
    said = "amlfs: this site has no pools; leave capacity= and pool= out"
    assert submit(any_release, LINE.format("1G")) == Returned(("2094",), (said,))
    assert any_release.call("slurm_bb_job_process", any_release.script(LINE.format("1G"))) == DONE
    post(any_release, POOLS[1])
    said = 'amlfs: there is no pool "lustre" yet; leave capacity= and pool= out'
    assert submit(any_release, LINE.format("1G")) == Returned(("2094",), (said,))
    assert any_release.call("slurm_bb_job_process", any_release.script(LINE.format("1G"))) == DONE


def test_the_pool_is_the_line_s_file_system(any_release: SlurmMock) -> None:
    """Named or the site's first; and one job has one pool."""
    any_release.publish(Site("e", ("lustre /l", "x.y-2 /x"), ("* * /",), ("* * /",)))
    post(any_release, *POOLS)
    other = 'amlfs: pool "x.y-2" is not the line\'s file system "lustre"; name the same with both'
    assert submit(any_release, "stage_in prefix=/in/ capacity=1 pool=x.y-2").said == (other,)
    assert submit(any_release, "stage_in prefix=/in/ capacity=1 pool=x.y-2 fs=x.y-2").values == ("0",)
    both = submit(any_release, LINE.format("1"), "stage_in prefix=/b/ fs=x.y-2 capacity=1 pool=x.y-2")
    assert "one job, and Slurm charges one" in both.said[0]


def test_real_size_tells_what_was_measured(any_release: SlurmMock) -> None:
    """By the board that answers this job's ask; else nothing, and Slurm's charge stays as it is."""
    board = Board(7, 61001, "e", "100-1", charge_bytes=12 << 30)
    assert any_release.call("slurm_bb_real_size", "7") == DONE
    any_release.post(board)
    assert any_release.call("slurm_bb_real_size", "7") == DONE
    (any_release.state / "asks/7.in").write_text("100-1 100\n")
    assert any_release.call("slurm_bb_real_size", "7") == Returned(("0", str(12 << 30)))
    for other in (replace(board, charge_bytes=0), replace(board, token_in="99-1")):  # noqa: S106 - names an ask
        any_release.post(other)
        assert any_release.call("slurm_bb_real_size", "7") == DONE
    assert any_release.call("slurm_bb_real_size", "x") == DONE
