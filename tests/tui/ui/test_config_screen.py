"""The config screen: a real file with real pictures is changed, planned, compared, written and sent off."""

import json
import sys
import threading
from pathlib import Path

import pytest

from loratui.sessions.new_config import pictures_of
from loratui.store import Store, StoredRun
from loratui.ui.environment import UiOptions
from loratui.ui.handover import edit, editor_argv
from loratui.ui.screens import config_new
from loratui.ui.widgets.confirm_strip import GUARD_S
from loratui_protocol.config_file import read_config, to_toml
from loratui_protocol.ids import new_id
from support.small_dataset import small_config, write_small_dataset
from support.terminal import Terminal
from support.ui_effects.config import OWN, config_page, file_holds, is_planned, on_config, without_config
from support.ui_effects.effect import lacks, shows, until
from support.ui_pilot import Shown
from tui.ui.test_hostile_text import HOSTILE, cells

SIZES = [(60, 16), (80, 24), (120, 40)]


async def choose(shown: Shown, key: str) -> None:
    config_page(shown).keys.choose(key)
    await shown.pilot.pause()


def is_asked(shown: Shown) -> bool:
    return shown.screen.prompt.is_open and not shown.screen.prompt.is_held


async def answer(shown: Shown, text: str) -> None:
    """Type over what stands in the prompt, and take it."""
    await until(shown, is_asked)
    await shown.press("ctrl+u")
    await shown.type(text)
    await shown.press("enter")


async def test_what_is_typed_is_in_the_form_and_in_the_plan(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        assert "12 in 3 epochs of 4" in shown.text()
        await choose(shown, "max_train_epochs")
        await shown.press("enter")
        await answer(shown, "5")
        await until(shown, shows("20 in 5 epochs of 4", "*max_train_epochs", "*not written", ": w writes it"))

        await shown.press("u")
        await until(shown, shows("12 in 3 epochs of 4", "taken back: max_train_epochs", ": t trains it"))
        assert "*not written" not in shown.text()


async def test_a_value_that_is_refused_stays_in_the_prompt_with_the_reason(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        await choose(shown, "network_dim")
        await shown.press("enter")
        await answer(shown, "0")
        assert "network_dim = 0 is not possible" in shown.text()
        assert shown.rows()[-1].startswith(" network_dim = 0")
        await answer(shown, "12")

        await until(shown, shows("*network_dim", "= 12"))
        assert "is not possible" not in shown.text()


async def test_the_filter_finds_names_sections_and_states(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        keys = config_page(shown).keys
        found = {}
        for query in ("resol", "network", "set", "changed", "error", "snr gamma"):
            keys.set_query(query)
            found[query] = [row.key for row in keys.found]

        assert found["resol"][:1] == ["resolution"]
        assert "learning_rate" not in found["network"]
        assert {"network_dim", "network_alpha"} <= set(found["network"])
        assert len(found["set"]) == 6
        assert found["changed"] == found["error"] == []
        assert found["snr gamma"] == ["min_snr_gamma"]
        keys.set_query("")
        await choose(shown, "network_dim")
        await shown.press("delete")
        keys.set_query("changed")
        assert [row.key for row in keys.found] == ["network_dim"]


async def test_a_filter_that_leaves_the_cursor_no_entry_puts_it_on_the_first(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        keys = config_page(shown).keys
        await choose(shown, "network_alpha")
        await shown.press("/", *"network")
        assert keys.chosen is not None
        assert keys.chosen.key == "network_alpha"
        await shown.press("ctrl+u", *"optimizer")
        assert keys.chosen is keys.found[0]


async def test_what_is_asked_about_before_it_is_written_are_all_lines_that_change(tmp_path: Path) -> None:
    values = {"network_dim": "12", "network_alpha": "6", "max_train_epochs": "5", "learning_rate": "2e-4"}
    values |= {"save_precision": "bf16", "seed": "9", "output_name": "zag"}
    async with on_config(tmp_path) as shown:
        form = config_page(shown).form
        assert form is not None
        for key, value in values.items():
            form.set(key, value)
        config_page(shown).changed()
        await shown.press("w")

        assert all(any(f"+{key} = " in row for row in shown.rows()) for key in values), shown.text()


async def test_errors_are_named_and_found_and_nothing_is_trained_with_them(tmp_path: Path) -> None:
    async with on_config(tmp_path, text=OWN.replace("= 8", "= 0")) as shown:
        await until(shown, shows("1 error"))
        config_page(shown).keys.set_query("error")
        await shown.pilot.pause()
        assert "!network_dim" in shown.text()
        await shown.press("t")

        assert "Train…: not now, 1 error in the way: network_dim = 0" in shown.text()


async def test_a_plan_of_a_config_that_is_no_more_is_dropped(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        page = config_page(shown)
        planner = page._planning._planner
        plan, gate, asked = planner.plan, threading.Event(), []

        def slow(*args: object) -> object:
            asked.append(args)
            gate.wait(5)
            return plan(*args)

        planner.plan = slow  # type: ignore[method-assign]
        await choose(shown, "max_train_epochs")
        for typed in ("5", "6", "7"):
            page._set("max_train_epochs", typed)
            await until(shown, lambda _: bool(asked))
        assert "reckoning anew" in shown.text()
        gate.set()
        await until(shown, is_planned)

        assert "28 in 7 epochs of 4" in shown.text()
        assert len(asked) == 2, "what was wanted in between is not even begun"


async def test_a_file_that_changed_on_the_disk_is_left_alone(tmp_path: Path) -> None:
    async with on_config(tmp_path, size=(120, 40)) as shown:
        await choose(shown, "network_dim")
        config_page(shown)._set("network_dim", "16")
        (tmp_path / "my.toml").write_text(OWN + "seed = 7\n", "utf-8")
        await shown.press("w")
        shown.clock.advance(1)
        await shown.press("y")
        await until(shown, shows("has changed on the disk", "!changed on disk"))
        assert file_holds("network_dim = 8 # rank\nseed = 7")(shown)

        await shown.press("r")
        await until(shown, lacks("!changed on disk"))
        assert config_page(shown).keys.is_dirty is False
        await shown.press("u")
        await until(shown, shows("*network_dim", "= 16"))


async def test_coming_back_to_the_screen_tells_of_a_change_by_somebody_else(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        await shown.press("1")
        (tmp_path / "my.toml").write_text(OWN + "seed = 7\n", "utf-8")
        await shown.press("3")

        await until(shown, shows("!changed on disk"))


async def test_what_another_program_saved_is_written_as_a_new_file(tmp_path: Path) -> None:
    gui = tmp_path / "gui.json"
    saved = {"LoRA_type": "Standard", "pretrained_model_name_or_path": "builtin:tiny", "network_dim": 12}
    async with on_config(tmp_path, size=(120, 40)) as shown:
        gui.write_text(json.dumps({**saved, "train_data_dir": str(tmp_path / "data"), "max_resolution": "64,64"}))
        await shown.press("o")
        await answer(shown, str(gui))
        await until(shown, shows("w writes it as gui.toml, beside this file"))
        assert shown.screen.config_path == gui
        await shown.press("w")
        shown.clock.advance(1)
        assert "WRITE gui.toml (a new file)" in shown.text()
        await shown.press("y")
        await until(shown, shows("written: "))

        assert read_config(tmp_path / "gui.toml").config.network_dim == 12
        assert shown.screen.config_path == tmp_path / "gui.toml"


async def test_a_run_is_compared_with_and_a_difference_leads_to_its_key(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        with Store(shown.screen.desk.preferences.database) as store:
            text = to_toml(small_config(tmp_path / "data", network_dim=32))
            run = StoredRun(
                id=new_id(), name="earlier", target="local", created_ts=1.0, config_toml=text, home=tmp_path
            )
            store.add_run(run)
        await shown.press("D")
        await until(shown, shows("run     earlier"))
        await shown.press("G", "enter")
        await until(shown, shows("here against run earlier"))
        assert any(row.split()[-3:] == ["network_dim", "8", "32"] for row in shown.rows())
        differences = config_page(shown)._differences
        differences.choose("network_dim")
        await shown.press("enter")

        chosen = config_page(shown).keys.chosen
        assert chosen is not None
        assert chosen.key == "network_dim"


async def test_a_config_is_made_from_a_folder_and_a_preset(tmp_path: Path) -> None:
    async with without_config(tmp_path) as shown:
        await shown.press("n")
        await answer(shown, "/nowhere")
        await until(shown, shows("/nowhere does not exist", "! n asks again"))
        (tmp_path / "data" / "1_cat").mkdir(parents=True)
        await shown.press("n")
        await answer(shown, str(tmp_path / "data"))
        await until(shown, shows("n asks again"))

    async with on_config(tmp_path) as shown:
        await shown.press("n")
        for text in (str(tmp_path / "data"), "face", "sd15", "zog", "zog person", str(tmp_path / "new.toml")):
            await answer(shown, text)
            await until(shown, lambda _: is_asked(shown) or (tmp_path / "new.toml").exists())
        await until(shown, shows("config  new.toml"))

        config = read_config(tmp_path / "new.toml").config
        assert (config.output_name, config.trigger_word) == ("zog", "zog person")
        assert shown.screen.config_path == tmp_path / "new.toml"


async def test_a_preset_that_there_is_not_is_asked_for_again(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        await shown.press("n")
        await answer(shown, str(tmp_path / "data"))
        await until(shown, shows("pictures; preset:"))
        await answer(shown, "builtin:tiny")
        await until(shown, shows("no 'builtin:tiny'; preset: first-run"))
        await answer(shown, "face")
        await until(shown, shows("base model:"))


async def test_what_is_typed_before_the_next_question_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_looked_at = threading.Event()
    monkeypatch.setattr(config_new, "pictures_of", lambda folder: is_looked_at.wait(20) and pictures_of(folder))
    async with on_config(tmp_path) as shown:
        await shown.press("n")
        await answer(shown, str(tmp_path / "data"))
        await shown.press("2", "o", "q", "enter")
        is_looked_at.set()
        await until(shown, shows("pictures; preset:"))
        assert shown.screen.page is config_page(shown)

        # Escape ends it while it looks, too, and no question comes afterwards.
        is_looked_at.clear()
        await shown.press("escape", "n")
        await answer(shown, str(tmp_path / "data"))
        await shown.press("escape")
        is_looked_at.set()
        await shown.press("9")
        await until(shown, shows("▌9Log▐"))
        assert not shown.screen.prompt.is_open


async def test_an_escape_at_the_moment_of_writing_leaves_no_file_that_nobody_knows_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_let_through, is_writing = threading.Event(), threading.Event()

    def write(path: Path, text: str) -> None:
        is_writing.set()
        is_let_through.wait(20)
        write_new(path, text)

    write_new = config_new.write_new
    monkeypatch.setattr(config_new, "write_new", write)
    async with on_config(tmp_path) as shown:
        before = shown.screen.config_path
        await shown.press("n")
        for text in (str(tmp_path / "data"), "face", "sd15", "zog", "zog person", str(tmp_path / "new.toml")):
            await answer(shown, text)
            await until(shown, lambda _: is_asked(shown) or is_writing.is_set())
        await shown.press("escape")
        is_let_through.set()
        await until(shown, shows("new.toml was written already, and is not opened: o on Config does"))
        assert (tmp_path / "new.toml").exists()
        assert shown.screen.config_path == before


async def test_a_config_that_is_broken_can_be_seen_and_mended(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        (tmp_path / "bad.toml").write_text("network_dim = = 8\n")
        config_page(shown).open(tmp_path / "bad.toml")
        await until(shown, shows("bad.toml: the config is no TOML"))
        assert shown.screen.config_path is None
        (tmp_path / "bad.toml").write_text(OWN)
        await shown.press("r")

        await until(shown, shows("config  bad.toml", "12 in 3 epochs of 4"))


async def test_it_is_open_again_the_next_time(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        kept = config_page(shown).kept()
    async with without_config(tmp_path) as shown:
        config_page(shown).restore({"config": "/no/such\0file"})
        config_page(shown).restore({})
        config_page(shown).restore(kept)

        await until(shown, shows("config  my.toml", "12 in 3 epochs of 4"))


async def test_changes_that_are_not_written_are_in_nobodys_way_unseen(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        config_page(shown)._set("network_dim", "16")
        for key, label in (("o", "Open a config"), ("t", "Train…"), ("E", "Editor")):
            await shown.press(key)
            assert f"{label}: not now, w writes your changes first" in shown.text()


async def test_a_finding_is_told_whole_and_leads_to_its_key(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        await shown.press("f")
        await shown.press(*"/seed", "enter")
        await until(shown, shows("config.no_seed", "write seed = 42: then the same config gives the same LoRA"))
        await shown.press("enter")

        chosen = config_page(shown).keys.chosen
        assert chosen is not None
        assert chosen.key == "seed"


async def test_a_read_only_screen_writes_and_starts_nothing(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        shown.screen.options = UiOptions(readonly=True)
        config_page(shown)._set("network_dim", "16")
        for key, label in (("w", "Write…"), ("W", "Write as"), ("n", "New config"), ("E", "Editor"), ("t", "Train…")):
            await shown.press(key)
            assert f"{label}: not now" in shown.text()
        assert shown.screen.strip.scope is None
        assert not shown.screen.prompt.is_open


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_moves_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    hostile = " ".join(HOSTILE).replace("\ud800", "")
    escaped = "".join(f"\\U{ord(char):08X}" for char in hostile)
    (tmp_path / "data" / "1_cat").mkdir(parents=True)
    (tmp_path / "data" / "1_cat" / "0.txt").write_text(hostile, "utf-8")
    text = f'{OWN}caption_prefix = "{escaped}"\ntrigger_word = "{escaped}"\nsample_prompts = ["{escaped}"]\n'
    async with on_config(tmp_path, size=size, text=text) as shown:
        with Store(shown.screen.desk.preferences.database) as store:
            told = to_toml(small_config(tmp_path / "data", training_comment=hostile))
            store.add_run(
                StoredRun(id=new_id(), name=hostile, target="x", created_ts=1.0, config_toml=told, home=tmp_path)
            )
        for key in ("caption_prefix", "trigger_word", "sample_prompts"):
            await choose(shown, key)
            await shown.press("enter")
            check(shown.rows(), size)
            await shown.press("enter")
            await until(shown, is_planned)
            assert not config_page(shown).keys.is_dirty
            check(shown.rows(), size)
        await shown.press("D")
        await until(shown, shows("compare with"))
        await shown.press("G")
        check(shown.rows(), size)
        await shown.press("enter")
        await until(shown, shows("here against run"))
        check(shown.rows(), size)


def check(rows: list[str], size: tuple[int, int]) -> None:
    assert len(rows) == size[1]
    for row in rows:
        assert all(char.isprintable() for char in row), ascii(row)
        assert cells(row) <= size[0]


async def test_enter_and_enter_again_changes_no_value(tmp_path: Path) -> None:
    text = OWN + 'caption_prefix = "e\\u0301 \\U0001f1e9\\U0001f1ea \\u202e"\n'
    async with on_config(tmp_path, text=text) as shown:
        await choose(shown, "caption_prefix")
        await shown.press("enter", "enter")
        form = config_page(shown).form
        assert form is not None
        assert not form.is_dirty
        await shown.press("enter")
        await shown.type(" ")
        await shown.press("enter")

        assert form.loaded is not None
        assert form.loaded.config.caption_prefix == "e\u0301 \U0001f1e9\U0001f1ea \u202e"


# --- the editor -------------------------------------------------------------------------------------------------------


def test_the_editor_is_the_users_own_with_its_options() -> None:
    path = Path("/data/-rf.toml")

    assert editor_argv(path, {"VISUAL": "code --wait", "EDITOR": "nano"}) == ["code", "--wait", str(path)]
    assert editor_argv(path, {"EDITOR": "nano"}) == ["nano", str(path)]
    assert editor_argv(path, {"EDITOR": "'unclosed"}) == ["'unclosed", str(path)]
    assert editor_argv(path, {}) == ["vi", str(path)]


def test_an_editor_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(tmp_path / "none"))
    assert "can't be started" in edit(tmp_path / "my.toml")
    monkeypatch.setenv("EDITOR", "false")
    assert edit(tmp_path / "my.toml") == "false ended with 1"


async def test_where_the_terminal_can_not_be_handed_over_the_command_for_a_host_is_named(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        await shown.press("t")
        shown.clock.advance(GUARD_S + 0.1)
        await shown.press("h")
        await shown.type("me@box")
        await shown.press("enter")
        (said,) = [each.text for each in shown.screen.notices.newest_first() if "terminal" in each.text]
        assert said.endswith(f"loratui train {tmp_path / 'my.toml'} --on ssh://me@box --detach")
        assert shown.screen.errands.all == []


def open_typed(terminal: Terminal, path: Path) -> None:
    """Go to the config screen and open a config there, by its path."""
    terminal.read_until_text("IDLE")
    terminal.press("3")
    terminal.read_until_text("No config is open")
    terminal.press("o")
    # The page says "open", too; the last row does only when it asks.
    terminal.read_until(lambda _: terminal.screen().text().splitlines()[-1].startswith(" open"))
    terminal.press(f"{path}\r")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_the_command_for_a_host_has_the_terminal_and_what_it_says_stays_until_it_is_read(tmp_path: Path) -> None:
    write_small_dataset(tmp_path / "data")
    (tmp_path / "my.toml").write_text(OWN, "utf-8")
    environ = {f"LORATUI_{name}": str(tmp_path / name) for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
    with Terminal([sys.executable, "-m", "loratui.cli"], environ=environ) as terminal:
        open_typed(terminal, tmp_path / "my.toml")
        terminal.read_until_text("trains it")
        terminal.press("t")
        terminal.read_until_text("SSH host")
        # Keys that come too soon after the question are ignored.
        while "train on:" not in terminal.screen().text():
            terminal.press("h")
            terminal.read(0.5)
        # Whatever else was typed by that goes.
        terminal.press("\x15ssh://nobody@127.0.0.1:1\r")
        terminal.read_until(lambda output: b"Enter goes back" in output)
        assert b"127.0.0.1" in terminal.received
        terminal.press("\r")
        terminal.read_until_text("nothing was started on ssh://nobody@127.0.0.1:1")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_the_editor_has_the_terminal_and_then_the_whole_screen_is_back(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(OWN, "utf-8")
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\necho "EDITING $1"\necho "seed = 5" >> "$1"\n')
    editor.chmod(0o755)
    environ = {"EDITOR": str(editor), "VISUAL": ""}
    environ |= {f"LORATUI_{name}": str(tmp_path / name) for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
    with Terminal([sys.executable, "-m", "loratui.cli"], environ=environ) as terminal:
        open_typed(terminal, tmp_path / "my.toml")
        terminal.read_until_text("= builtin:tiny")
        terminal.press("E")
        # Of what a quick editor says nothing is left on the screen.
        terminal.read_until(lambda output: b"EDITING" in output)
        terminal.read_until(lambda output: output.count(b"\x1b[?1049h") == 2)
        del terminal.received[: terminal.received.rindex(b"\x1b[?1049h")]
        terminal.read_until_text("▌3Config▐")
        terminal.read_until_text("config  my.toml")
        terminal.press("/seed\r")
        terminal.read_until_text("seed                        = 5")
        for text in ("IDLE", "▌3Config▐", "plan", "^p Cmds ? Help"):
            assert text in terminal.screen().text()
        terminal.press("q")

        assert terminal.wait() == 0
