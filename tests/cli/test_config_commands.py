"""`llm-proxy config ...`: the history on disk looked at, and files put back, with and without
a running server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.config.history import HistoryEntry, HistoryStore
from proxy.config.load import load_config
from proxy.config.seal import Sealer
from proxy.control.frames import build_frame
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import listen_on
from tests.config.loading import GOOD_KEY, HASHER
from tests.end_to_end.served import build_config, serving, write_config

PROBES = "health_worker_providers.json"


class Installation:
    """A configuration with its state, and the commands run on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.yaml"
        self.state_dir = folder / "state"
        self.history = HistoryStore(self.state_dir / "snapshots", Sealer(b"k" * 32))

    def edit(self, timeout_s: int, *, more: str = "") -> None:
        """Write a configuration that differs by its timeout."""
        self.path.write_text(
            f"api_keys: [{GOOD_KEY}]\nrequest_timeout: {timeout_s}\n"
            f"providers:\n- {{name: a, type: simulator, models: [sim-echo]}}\n{more}"
        )

    def accept(self, cause: str, *changes: str) -> int:
        """Keep what lies there in the history, as the server does, and return its generation."""
        generation = self.history.next_generation()
        loaded = load_config(self.path, {}, HASHER, now_at=0.0)
        entry = HistoryEntry(
            generation=generation,
            accepted_at=1_700_000_000.0 + generation,
            cause=cause,
            changes=changes,
            config_path=str(self.path),
            effective=loaded.effective,
        )
        self.history.add(entry, loaded.files, b"")
        return generation

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command, which ends with `status`, and return what it printed on both streams."""
        place = ("--config", str(self.path), "--state-dir", str(self.state_dir))
        result = CliRunner().invoke(app, ["config", *arguments, *place])
        assert result.exit_code == status, result.output
        assert (result.stderr != "") == (status != 0)
        return result.output

    def backups(self) -> list[Path]:
        """Return the kept backups, oldest first."""
        return sorted((self.state_dir / "backups").glob("*"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Return an installation with two generations, of timeouts 100 and 200."""
    for name in ("PROXY_API_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    installation = Installation(tmp_path)
    installation.edit(100)
    installation.accept("first start")
    installation.edit(200)
    installation.accept("edit of config.yaml", "request_timeout: 100 -> 200", "one", "two")
    return installation


@contextmanager
def answering(
    installation: Installation, body: dict[str, Any], is_error: bool = False
) -> Iterator[list[Ask]]:
    """Answer one ask as a running server would, and collect what was asked."""
    asked: list[Ask] = []

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as stream:
            length = int.from_bytes(stream.read(4), "big")
            asked.append(msgspec.msgpack.decode(stream.read(length), type=Ask))
            connection.sendall(build_frame(Answer(1, json.dumps(body).encode(), is_error)))

    with listen_on(installation.state_dir / "run") as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield asked
        thread.join()


def build_answer(**changes: Any) -> dict[str, Any]:
    """Return what a server says after a reload."""
    empty: dict[str, Any] = {"changes": [], "warnings": [], "needs_restart": [], "problems": []}
    return {**empty, "message": "generation 3 is in force", **changes}


class TestHistory:
    """`config history` and `config diff`."""

    def test_the_history_is_a_table(self, installed: Installation) -> None:
        """Each generation has a line with its time in UTC, cause and first change, newest first."""
        assert installed.run("history").splitlines() == [
            "GENERATION  ACCEPTED (UTC)       CAUSE                CHANGES",
            "2           2023-11-14 22:13:22  edit of config.yaml  "
            "request_timeout: 100 -> 200 (and 2 more)",
            "1           2023-11-14 22:13:21  first start",
        ]

    def test_damage_is_told_beside_the_table(self, installed: Installation) -> None:
        """A damaged entry is told on standard error, and the others are listed all the same."""
        (installed.history.path_of(2) / "entry.json").write_text("{")
        place = ("--config", str(installed.path), "--state-dir", str(installed.state_dir))
        result = CliRunner().invoke(app, ["config", "history", *place])
        assert result.exit_code == 0
        assert result.stderr == "damaged: generation 2: entry.json is damaged\n"
        assert "first start" in result.stdout

    def test_no_history_is_told(self, tmp_path: Path) -> None:
        """Where nothing was ever accepted, that is said, and nothing is made."""
        installation = Installation(tmp_path)
        installation.edit(1)
        assert "There is no history in" in installation.run("history")
        assert not installation.state_dir.exists()

    def test_what_a_terminal_obeys_is_not_printed(self, installed: Installation) -> None:
        """Control characters in a cause are shown as question marks, long causes are cut."""
        installed.accept("edit of \x1b[2J" + "x" * 60)
        line = installed.run("history").splitlines()[1]
        assert "edit of ?[2Jx" in line
        assert line.endswith("x…")

    def test_a_diff_in_words(self, installed: Installation) -> None:
        """The changes between two generations are told, either way round."""
        assert installed.run("diff", "1", "2") == "request_timeout: 100 -> 200\n"
        assert installed.run("diff", "2", "1") == "request_timeout: 200 -> 100\n"
        assert installed.run("diff", "2", "2") == "Generations 2 and 2 come to the same.\n"

    def test_a_diff_of_what_there_is_not(self, installed: Installation) -> None:
        """An unknown generation is told, with the command that lists the known ones."""
        assert "There is no generation 9" in installed.run("diff", "1", "9", status=2)
        assert "config history" in installed.run("diff", "9", "1", status=2)


class TestRollback:
    """`config rollback`."""

    def test_the_files_of_a_generation_come_back(self, installed: Installation) -> None:
        """The file is as it was then, what lay there is in a backup, and `.env` is not touched."""
        (installed.path.parent / ".env").write_text("A=1")
        before = installed.path.read_text()
        out = installed.run("rollback", "1")
        assert "request_timeout: 100" in installed.path.read_text()
        [kept] = installed.backups()
        assert (kept / "config.yaml").read_text() == before
        assert (installed.path.parent / ".env").read_text() == "A=1"
        assert f"What was there is kept in {kept}." in out
        assert ".env and the environment, which stay" in out
        assert "No server is running" in out

    def test_a_file_that_was_not_there_goes(self, installed: Installation) -> None:
        """A generation without a file of the health worker takes it away, and one with it back."""
        probes = installed.path.parent / PROBES
        probes.write_text('{"providers": []}')
        installed.accept("edit")
        assert f"{probes} was removed, as in generation 1." in installed.run("rollback", "1")
        assert not probes.exists()
        assert f"{probes} was written, as in generation 3." in installed.run("rollback", "3")
        assert probes.read_text() == '{"providers": []}'

    def test_a_deleted_file_comes_back(self, installed: Installation) -> None:
        """A configuration that is gone is put back; there is nothing to back up then."""
        installed.path.unlink()
        assert "is kept in" not in installed.run("rollback", "2")
        assert "request_timeout: 200" in installed.path.read_text()

    def test_what_is_not_valid_now_is_refused(
        self, installed: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the environment does not fit any more nothing is written, except with --force."""
        before = installed.path.read_text()
        monkeypatch.setenv("PROXY_API_PORT", "eighty")
        out = installed.run("rollback", "1", status=2)
        assert "PROXY_API_PORT" in out
        assert "--force" in out
        assert (installed.path.read_text(), installed.backups()) == (before, [])
        place = ("--config", str(installed.path), "--state-dir", str(installed.state_dir))
        forced = CliRunner().invoke(app, ["config", "rollback", "1", "--force", *place])
        assert forced.exit_code == 0
        assert "PROXY_API_PORT" in forced.stderr
        assert "request_timeout: 100" in installed.path.read_text()

    def test_another_file_is_not_overwritten(self, installed: Installation) -> None:
        """A generation of another configuration is refused with the name of its file."""
        other = Installation(installed.path.parent / "other")
        other.path.parent.mkdir()
        other.edit(1)
        other.state_dir = installed.state_dir
        out = other.run("rollback", "1", status=2)
        assert f"is of another file, {installed.path}" in out
        assert "request_timeout: 1\n" in other.path.read_text()

    def test_a_changed_copy_is_refused(self, installed: Installation) -> None:
        """A copy in the history that is not as it was accepted is not put back unseen."""
        (installed.history.path_of(1) / "config.yaml").write_text("port: 1")
        out = installed.run("rollback", "1", status=2)
        assert "config.yaml is not as it was accepted" in out
        assert str(installed.history.path_of(1)) in out

    def test_a_link_stays_a_link(self, installed: Installation) -> None:
        """Where the configuration is a link, the file that it leads to is written."""
        real = installed.path.rename(installed.path.with_name("real.yaml"))
        installed.path.symlink_to("real.yaml")
        installed.run("rollback", "1")
        assert installed.path.is_symlink()
        assert "request_timeout: 100" in real.read_text()

    def test_the_packaged_configuration_is_not_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a file of one's own there is nothing to put back, and that is said."""
        monkeypatch.chdir(tmp_path)
        for arguments in (["rollback", "1"], ["restore"], ["backup"]):
            result = CliRunner().invoke(app, ["config", *arguments])
            assert result.exit_code == 2
            assert "name a file of your own with --config" in result.stderr

    def test_a_running_server_is_asked(self, installed: Installation) -> None:
        """The server is told the cause, may shrink, and what it says is printed."""
        answer = build_answer(changes=["request_timeout: 200 -> 100"])
        with answering(installed, answer) as asked:
            out = installed.run("rollback", "1")
        assert "request_timeout: 200 -> 100\ngeneration 3 is in force\n" in out
        assert [ask.what for ask in asked] == ["reload"]
        assert json.loads(asked[0].body) == {
            "cause": "rollback to generation 1",
            "allow_shrink": True,
        }

    def test_a_real_server_serves_it(self, tmp_path: Path) -> None:
        """A server that runs takes an edit, then the rollback of it, which is a new generation."""
        installation = Installation(tmp_path)
        with serving(tmp_path, build_config()) as served:
            write_config(tmp_path, build_config(request_timeout=200))
            served.program.wait_for_line(lambda line: '"applied"' in line)
            out = installation.run("rollback", "1")
            assert "request_timeout: 200 -> 300\ngeneration 3 is in force\n" in out
            table = installation.run("history").splitlines()
        assert [line.split()[0] for line in table[1:]] == ["3", "2", "1"]
        assert "rollback to generation 1" in table[1]

    def test_a_refusal_of_the_server_is_told(self, installed: Installation) -> None:
        """What the server refuses ends with 2 and its reasons; so does a server that cannot."""
        with answering(installed, build_answer(problems=["config.yaml:1:1: bad"])):
            assert "config.yaml:1:1: bad" in installed.run("rollback", "1", status=2)
        with answering(installed, {"message": "it is stopping"}, is_error=True):
            out = installed.run("rollback", "2", status=2)
        assert "The files are in place" in out
        assert "it is stopping" in out


class TestBackup:
    """`config backup` and `config restore`."""

    def test_there_and_back(self, installed: Installation) -> None:
        """What was backed up comes back after an edit, `.env` included; twice is an undo."""
        env = installed.path.parent / ".env"
        env.write_text("A=1")
        out = installed.run("backup")
        assert out == f"Backed up into {installed.backups()[0]}.\n"
        installed.edit(300)
        env.write_text("A=2")
        assert "No server is running" in installed.run("restore")
        assert "request_timeout: 200" in installed.path.read_text()
        assert env.read_text() == "A=1"
        installed.run("restore")
        assert "request_timeout: 300" in installed.path.read_text()
        assert env.read_text() == "A=2"

    def test_into_a_directory_of_ones_own(self, installed: Installation, tmp_path: Path) -> None:
        """--to takes any directory that does not hold the files yet."""
        target = tmp_path / "usb"
        assert installed.run("backup", "--to", str(target)) == f"Backed up into {target}.\n"
        assert (target / "config.yaml").read_text() == installed.path.read_text()
        out = installed.run("backup", "--to", str(target), status=2)
        assert "The backup cannot be made" in out
        assert str(target) in out

    def test_from_a_file_and_from_the_history(
        self, installed: Installation, tmp_path: Path
    ) -> None:
        """A single file, and an entry's directory, can be restored; the server hears the cause."""
        saved = tmp_path / "saved.yaml"
        installed.path.rename(saved)
        installed.run("restore", str(saved))
        assert installed.path.read_text() == saved.read_text()
        entry = installed.history.path_of(1)
        with answering(installed, build_answer()) as asked:
            installed.run("restore", str(entry))
        assert json.loads(asked[0].body)["cause"] == f"restore from {entry}"
        assert "request_timeout: 100" in installed.path.read_text()

    def test_what_is_broken_is_not_restored(self, installed: Installation, tmp_path: Path) -> None:
        """A broken backup is refused with its problems, and named as it was named."""
        saved = tmp_path / "saved.yaml"
        installed.edit(100, more="prot: 1\n")
        installed.path.rename(saved)
        installed.edit(200)
        out = installed.run("restore", str(saved), status=2)
        assert f"{saved}: config.yaml:5:1: " in out
        assert "request_timeout: 200" in installed.path.read_text()

    def test_no_backup_is_told(self, installed: Installation, tmp_path: Path) -> None:
        """Where there is none, or what was named is none, that is said."""
        assert "There is no backup in" in installed.run("restore", status=2)
        assert "The backup cannot be read" in installed.run(
            "restore", str(tmp_path / "no"), status=2
        )
        installed.path.unlink()
        assert "There is nothing to copy" in installed.run("backup", status=2)

    def test_a_state_directory_that_cannot_be_written(self, installed: Installation) -> None:
        """An error of the file system is told in one line, and the configuration is as it was."""
        (installed.state_dir / "backups").write_text("a file")
        before = installed.path.read_text()
        out = installed.run("rollback", "1", status=2)
        assert "The files cannot be put back" in out
        assert len(out.splitlines()) == 1
        assert installed.path.read_text() == before
