"""The real hooks of prolog/ and epilog/, each run as Slurm runs it: no PATH, no environment but Slurm's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.hook_site import JOB, ROOT, Site

HOOKS = ("prolog/amlfs", "prolog/amlfs-slurmctld", "prolog/amlfs-task", "epilog/amlfs", "epilog/amlfs-slurmctld")
IMPORT = {"SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_import": "/a/"}
EXPORT = {"SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_export": "/a/"}
HOSTILE = "x\n$(touch PWNED) `touch PWNED` ; touch PWNED %s \\n 'é\"\ttouch"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the hooks read only root's configuration; run as root")


@pytest.fixture(params=[("/bin/dash",), ("/bin/bash", "--posix")], ids=["dash", "bash"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    return Site(tmp_path, request.param)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_job_without_directives_passes_in_silence(site: Site, hook: str) -> None:
    """Other people's jobs notice nothing, not even on a node without Lustre."""
    site.mounted = False
    done = site.run(hook, SLURM_JOB_EXIT_CODE2="0:0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (site.notes(), site.told("sync"), site.told("logger")) == ([], "", "")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_configuration_that_others_can_write_is_not_run(site: Site, hook: str) -> None:
    """Hooks run as root and as SlurmUser; nobody else may put commands into them."""
    site.conf.write_text("touch PWNED\n")
    site.conf.chmod(0o646)
    site.run(hook, **IMPORT)
    site.conf.chmod(0o644)
    os.chown(site.conf, 61001, 61001)
    site.run(hook, **IMPORT)


@pytest.mark.parametrize("hook", HOOKS)
def test_option_values_are_never_run(site: Site, hook: str) -> None:
    """An option's value comes from a user; hooks only look whether there is one."""
    hostile = dict.fromkeys((*IMPORT, *EXPORT), HOSTILE)
    site.run(hook, SLURM_JOB_EXIT_CODE2=HOSTILE, **hostile)


@pytest.mark.parametrize("hook", ["prolog/amlfs", "epilog/amlfs"])
def test_one_configuration_serves_prolog_and_epilog(site: Site, hook: str) -> None:
    """Copied to /etc/slurm/amlfs as they are, both find the file in prolog/."""
    for name in ("prolog", "epilog"):
        shutil.copytree(ROOT / name, site.folder / name)
    shutil.copy(site.conf, site.folder / "prolog")
    site.receipt.write_text("")
    done = site.run(hook, root=site.folder, AMLFS_HOOKS_CONF="", **IMPORT)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(site.told("sync")) is (hook == "epilog/amlfs")


@pytest.mark.parametrize(("hook", "code"), list(zip(HOOKS, (0, 1, 0, 0, 0), strict=True)))
def test_a_log_that_hangs_holds_nothing_up(site: Site, hook: str, code: int) -> None:
    """A node would be drained for it, or a job sent back."""
    site.program("logger", "sleep 60")
    site.program("sync", "exit 1")
    shutil.rmtree(site.folder / "inbox")
    assert site.run(hook, **IMPORT).returncode == code


class TestProlog:
    def test_passes_with_lustre_and_receipt(self, site: Site) -> None:
        """The good case says nothing."""
        site.receipt.write_text("")
        done = site.run("prolog/amlfs", **IMPORT)
        assert (done.returncode, done.stderr, site.told("logger")) == (0, "", "")

    def test_a_node_without_its_lustre_is_at_fault(self, site: Site) -> None:
        """Non-zero drains the node, so that it does not swallow job after job; one line says why."""
        site.mounted = False
        done = site.run("prolog/amlfs", SLURMD_NODENAME="n1", **IMPORT)
        assert done.returncode == 1
        assert done.stderr == f"amlfs: {site.lustre} is not mounted on n1; mount it, then resume the node\n"

    def test_something_else_in_lustres_place_is_no_lustre(self, site: Site) -> None:
        """A disk, or an automounter that does not get it: the job would start without its data."""
        site.conf.write_text(site.conf.read_text().replace("AMLFS_MOUNT_TYPES=", "AMLFS_MOUNT_TYPES=no-"))
        done = site.run("prolog/amlfs", **IMPORT)
        assert done.returncode == 1
        assert "is not mounted" in done.stderr

    def test_a_job_that_only_exports_drains_no_node(self, site: Site) -> None:
        """It fails by itself where it writes, if it does: the node stays in service, and one line says what is so."""
        site.mounted = False
        done = site.run("prolog/amlfs", SLURMD_NODENAME="n1", **EXPORT)
        assert done.returncode == 0
        assert f"{site.lustre} is not mounted on n1; job {JOB} cannot write its exports there" in site.told("logger")
        assert site.told("logger").count("\n") == 1

    def test_a_missing_receipt_is_logged_and_no_drain(self, site: Site) -> None:
        """The node did not lose the receipt: it stays in service."""
        done = site.run("prolog/amlfs", **IMPORT)
        assert done.returncode == 0
        assert done.stderr.count("\n") == site.told("logger").count("\n") == 1
        assert f"no receipt of job {JOB}" in site.told("logger")

    def test_a_job_that_only_exports_needs_no_receipt(self, site: Site) -> None:
        """Receipts tell of stage-ins."""
        done = site.run("prolog/amlfs", **EXPORT)
        assert (done.returncode, done.stderr) == (0, "")

    def test_says_that_it_has_no_configuration(self, site: Site) -> None:
        """A node whose hooks check nothing says so, and runs the job."""
        site.conf.chmod(0o666)
        done = site.run("prolog/amlfs", **IMPORT)
        assert done.returncode == 0
        assert "others than root may write it" in site.told("logger")


class TestPrologSlurmctld:
    HOOK = "prolog/amlfs-slurmctld"

    def test_lets_a_proved_stage_in_through(self, site: Site) -> None:
        """Done, and for this very ask."""
        site.asked("1-2")
        site.board(token_in="1-2", answer_in=Answer.DONE)  # noqa: S106 - the name of an ask, no secret
        assert site.run(self.HOOK, **IMPORT).returncode == 0

    @pytest.mark.parametrize(
        ("answer", "token", "why"),
        [
            (Answer.BUSY, "1-2", "not proved"),
            (Answer.ERROR, "1-2", "not proved"),
            (Answer.DONE, "1-1", "older ask"),
            (Answer.DONE, "", "older ask"),
            (Answer.DONE, "1-23", "older ask"),
        ],
    )
    def test_sends_back_what_is_not_proved(self, site: Site, answer: Answer, token: str, why: str) -> None:
        """A job never starts before its stage-in is proved (invariant 1)."""
        site.asked("1-2")
        site.board(token_in=token, answer_in=answer)
        done = site.run(self.HOOK)
        assert done.returncode == 1
        assert why in site.told("logger")
        assert site.told("logger").count("\n") == 1

    def test_sends_back_without_a_board(self, site: Site) -> None:
        """What cannot be read is not proved."""
        site.asked("1-2")
        assert site.run(self.HOOK).returncode == 1
        (site.folder / f"board/{JOB}").write_text("amlfs-board 1\ntoken_in=1-2\nanswer_in=done\n")
        assert site.run(self.HOOK).returncode == 1
        assert "cut off" in site.told("logger")

    def test_an_empty_ask_matches_no_board(self, site: Site) -> None:
        """A board that never had an ask has an empty token too."""
        (site.folder / f"asks/{JOB}.in").write_text("")
        site.board(answer_in=Answer.DONE)
        assert site.run(self.HOOK).returncode == 1

    def test_no_text_of_a_user_can_forge_an_answer(self, site: Site) -> None:
        """A value cannot make a second line of the board (wire.py), nor be run."""
        site.asked("1-2")
        forged = f"{HOSTILE}\nanswer_in=done\ntoken_in=1-2"
        site.board(token_in="1-2", message=forged, env=(forged,), timeline=("answer_in=done",))  # noqa: S106 - no secret
        assert site.run(self.HOOK).returncode == 1

    @pytest.mark.parametrize(("option", "name"), [(IMPORT, "--amlfs-import"), (EXPORT, "--amlfs-export")])
    def test_sends_back_an_option_that_nothing_has_heard(self, site: Site, option: dict[str, str], name: str) -> None:
        """The SPANK plugin without job_submit.lua would let jobs run without their data or their AMLFS_EXPORT_DIR."""
        assert site.run(self.HOOK, **option).returncode == 1
        assert f"it has {name}, but " in site.told("logger")


class TestTaskProlog:
    HOOK = "prolog/amlfs-task"

    def test_exports_the_receipts_environment(self, site: Site) -> None:
        """Tasks of salloc and srun see what the batch script sees."""
        site.receipt.write_text("AMLFS_MOUNT=/lustre\nAMLFS_IMPORT_DIR=/lustre/a b\nmissing AMLFS_X=/y\nAMLFS_Z=1\n")
        done = site.run(self.HOOK)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "export AMLFS_MOUNT=/lustre\nexport AMLFS_IMPORT_DIR=/lustre/a b\n"

    def test_hostile_values_stay_values(self, site: Site) -> None:
        """No shell reads them, and no other variable can be set."""
        site.receipt.write_text(f"AMLFS_IMPORT_DIR={HOSTILE}\nLD_PRELOAD=/evil.so\nprint spoofed\n")
        first_line = HOSTILE.split("\n", maxsplit=1)[0]
        assert site.run(self.HOOK).stdout == f"export AMLFS_IMPORT_DIR={first_line}\n"

    def test_never_fails(self, site: Site) -> None:
        """A failing TaskProlog cancels the task."""
        site.receipt.mkdir()
        assert site.run(self.HOOK).returncode == 0
        site.conf.write_text("false\n")
        assert site.run(self.HOOK).returncode == 0


class TestEpilog:
    HOOK = "epilog/amlfs"

    def test_flushes_the_mount(self, site: Site) -> None:
        """By the option, or by the receipt of a job with #AMLFS lines."""
        site.run(self.HOOK, **EXPORT)
        assert site.told("sync") == f"-f {site.lustre}\n"
        site.receipt.write_text("")
        site.run(self.HOOK)
        assert site.told("sync") == f"-f {site.lustre}\n" * 2

    @pytest.mark.parametrize("sync", ["sleep 15", "exit 1"])
    def test_never_drains(self, site: Site, sync: str) -> None:
        """A flush that hangs is cut, one that fails is logged; the node stays in service."""
        site.program("sync", sync)
        done = site.run(self.HOOK, **EXPORT)
        assert (done.returncode, done.stdout) == (0, "")
        assert f"not flushed after job {JOB}" in site.told("logger")

    def test_without_lustre_nothing_is_flushed(self, site: Site) -> None:
        """The disk below an absent mount is none of ours."""
        site.mounted = False
        assert site.run(self.HOOK, **EXPORT).returncode == 0
        assert site.told("sync") == ""


class TestEpilogSlurmctld:
    HOOK = "epilog/amlfs-slurmctld"

    @pytest.mark.parametrize(
        ("exit_code2", "exit_code"), [("0:0", -1), ("3:0", 3), ("0:9", 137), ("", -1), ("x:y", -1), ("1", -1)]
    )
    def test_leaves_a_note(self, site: Site, exit_code2: str, exit_code: int) -> None:
        """The daemon hears of the end at once; only Slurm can tell it of a success."""
        site.board()
        done = site.run(self.HOOK, SLURM_JOB_EXIT_CODE2=exit_code2, SLURM_JOB_UID="61001", SLURM_JOB_GID="61002")
        assert (done.returncode, done.stderr) == (0, "")
        (note,) = site.notes()
        assert note == Request(RequestKind.ENDED, JOB, "run-0", 61001, 61002, exit_code=exit_code, sender_uid=0)
        (path,) = (site.folder / "inbox/new").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.name.endswith(f".0.{JOB}-ended")

    @pytest.mark.parametrize("sign", [f"asks/{JOB}.in", f"asks/{JOB}.out"])
    def test_knows_our_jobs_without_a_board(self, site: Site, sign: str) -> None:
        """With the daemon down since the submit there is no board yet."""
        (site.folder / sign).write_text("1-2\n")
        site.run(self.HOOK, SLURM_JOB_EXIT_CODE2="0:0")
        assert len(site.notes()) == 1

    @pytest.mark.parametrize("folder", ["new", "tmp"])
    def test_a_full_or_missing_inbox_is_logged(self, site: Site, folder: str) -> None:
        """The note is lost, the job's end is not; Slurm notices nothing."""
        (site.folder / "inbox" / folder).rmdir()
        assert site.run(self.HOOK, SLURM_JOB_EXIT_CODE2="0:0", **EXPORT).returncode == 0
        assert f"no note of job {JOB}'s end" in site.told("logger")
