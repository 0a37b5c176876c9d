"""A restored box goes on: what was judged is not judged again, and the commands do what they say."""

from __future__ import annotations

import json
from pathlib import Path

from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.retention.backup import Backup, Given
from cathrt.runtime.retention.backup_folder import BackupFolder
from cathrt.runtime.retention.restore import restore
from tests.docs.records_page import unlike_page
from tests.e2e.commands import cathrt
from tests.retention.test_backup import filled
from tests.study.confirming import Sender, Study, require_each_once, study_in, xa_run


def test_the_study_judges_nothing_twice_and_what_came_later_once(tmp_path: Path) -> None:
    dest = BackupFolder(tmp_path / "dest")
    with study_in(tmp_path) as study:
        for uid in ("1.2.1", "1.2.2"):
            study.sender.send(uid, xa_run(uid))
        study.confirm(1)
        Backup(study.state.path, Given(), study.state.backup_lock).make(dest)
        study.confirm(1)  # of this the backup has nothing
    again = StateFolder(tmp_path / "again")
    restore(dest, again.path, again.restoring)

    sender = Sender(again.store)
    try:
        restored = Study(again, study.watched, sender)
        assert restored.ended() == ["1.2.1"]
        restored.confirm(1)
        sender.send("1.2.1", xa_run("1.2.1"))  # its sender was told so and sends it again all the same
        sender.send("1.2.3", xa_run("1.2.3"))
        restored.confirm(1)
    finally:
        sender.close()

    assert restored.ended() == ["1.2.1", "1.2.2", "1.2.3"]
    require_each_once(again.study_journal, ["1.2.1", "1.2.2", "1.2.3"])


def test_the_commands_back_up_verify_and_restore(tmp_path: Path) -> None:
    state, dest, again = filled(tmp_path / "state"), tmp_path / "dest", tmp_path / "again"

    made = json.loads(cathrt("backup", state.path, dest, "--json").stdout)
    whole = json.loads(cathrt("backup", "--verify", dest, "--json").stdout)
    back = cathrt("restore", dest, again, "--json")

    assert [made["what"], whole["what"], json.loads(back.stdout)["what"]] == ["made", "whole", "restored"]
    assert {**made, "what": ""} == {**whole, "what": ""}
    assert unlike_page(made) == []
    verified = json.loads(cathrt("verify", again / "live.journal", "--json").stdout)
    assert (verified["pruned"], verified["rows"], verified["sound"]) == (22, 44, True)
    assert unlike_page(verified) == []
