"""The files screen, on a real store with real files."""

import dataclasses
from pathlib import Path

import pytest

from loratui.store import Store
from loratui.store.ratings import ratings
from loratui.ui.environment import UiOptions
from loratui_protocol.lora_size import TINY_NETWORK
from loratui_protocol.messages import Record, Withdrawn
from support.lora_files import kohya, write_file
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import lacks, shows, until
from support.ui_effects.files import library_run, lora, on_files, on_installable, preferences_in
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

HOSTILE = "\x1b[2Jowned [bold red]x[/] \u202egnp 日本 👨\u200d👩 .safetensors"


async def on_row(shown: Shown, name: str) -> None:
    """Go down to the file of this name."""
    for _ in range(20):
        if any(row.startswith(">") and f"{name} " in row for row in shown.rows()):
            return
        await shown.press("down")
    raise AssertionError(shown.text())


async def test_every_file_of_every_run_has_its_state_in_words(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    library_run(preferences, 1, files=("200", "final"))
    run_id = library_run(preferences, 2, files=("200", "400", "600"))
    (preferences.run_folder(run_id) / "zog-2-step400.safetensors").unlink()
    async with on_files(tmp_path, (120, 40)) as shown:
        rows = {row.split()[0]: row for row in shown.rows() if " kB  " in row and not row.startswith(">")}
        assert "● here" in rows["zog-1-step200"]
        assert lora("zog-1", "200").sha256[:7] in rows["zog-1-step200"]
        assert "○ on its machine" in rows["zog-1"]
        assert "! missing from disk" in rows["zog-2-step400"]


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_files_of_one_name_are_told_apart(tmp_path: Path, size: tuple[int, int]) -> None:
    preferences = preferences_in(tmp_path)
    for number in (1, 2):
        library_run(preferences, number, name="zog", files=("200", "final"))
    async with on_files(tmp_path, size) as shown:
        rows = [row[2:] for row in shown.rows() if row[2:].startswith("zog-ste")]
        assert len({row[:26] for row in rows}) == 2, rows


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_names_from_elsewhere_are_text_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    preferences = preferences_in(tmp_path)
    run_id = library_run(preferences, 1, name="zog", files=("200",))
    with Store(preferences.database) as store:
        evil = dataclasses.replace(lora("zog", "400"), name=HOSTILE)
        store.append(run_id, "e", [Record(seq=9, ts=1.0, event=evil)])
        store._database.execute("UPDATE runs SET name = ?, target = ?", (HOSTILE, HOSTILE))
        store._database.execute("UPDATE downloads SET path = ?", (HOSTILE,))
    async with on_files(tmp_path, size) as shown:
        for key in ("down", "up", "o", "R", "escape", "/"):
            await shown.press(key)
            shown.clock.advance(1)
            assert all(char.isprintable() for row in shown.rows() for char in row)
            assert all(strip.cell_length == size[0] for strip in shown.screen._compositor.render_strips())
        assert "owned [bold red]x[/]" in shown.text() or size[0] < 80


async def test_a_file_that_was_damaged_is_found_out(tmp_path: Path) -> None:
    async with on_files(tmp_path) as shown:
        path = preferences_in(tmp_path).run_folder(f"01HX{2:022}") / "zog-2-step200.safetensors"
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        await on_row(shown, "zog-2-step200")
        await shown.press("v")
        await until(shown, shows("! zog-2-step200.safetensors: its sha256 is", "! verified 14:22"))


async def test_marked_files_are_verified_one_after_the_other(tmp_path: Path) -> None:
    async with on_files(tmp_path) as shown:
        for name in ("zog-2-step200", "zog-1-step200"):
            await on_row(shown, name)
            await shown.press("space")
        await shown.press("v")
        await until(shown, shows("all 2 are what was announced"))


async def test_deleting_asks_names_what_stays_and_enter_does_nothing(tmp_path: Path) -> None:
    path = preferences_in(tmp_path).run_folder(f"01HX{2:022}") / "zog-2-step200.safetensors"
    async with on_files(tmp_path) as shown:
        await on_row(shown, "zog-2-step200")
        await shown.press("d")
        assert "DELETE zog-2-step200.safetensors (4.5 kB)" in shown.text()
        await shown.press("y")
        assert path.exists(), "typed ahead"
        shown.clock.advance(1)
        for key in ("enter", "space", "d", "x"):
            await shown.press(key)
        assert path.exists()
        await shown.press("y")
        await until(shown, lambda shown: not path.exists())
        await until(shown, shows("zog-2-step200.safetensors is deleted"))
        await until(
            shown, lambda shown: any("zog-2-step200 " in row and "on its machine" in row for row in shown.rows())
        )


async def test_the_only_copy_is_said_to_be_the_only_one(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    run_id = library_run(preferences, 1, files=("200",))
    copy = tmp_path / "out" / "zog-1-step200.safetensors"
    async with on_files(tmp_path) as shown:
        with Store(preferences.database) as store:
            store.begin_history(run_id, "e", reset=False)
            gone = Withdrawn(id="200", name="n", sha256=lora("zog-1", "200").sha256, why="newer ones")
            store.append(run_id, "e", [Record(seq=2, ts=1.0, event=gone)])
        await shown.tick(6)
        await until(shown, lambda shown: shown.screen.page.refusals().get("file_download", "") != "")
        await shown.press("d")
        assert "This is the only copy" in shown.text()
        shown.clock.advance(1)
        await shown.press("escape")
        copy.parent.mkdir()
        copy.write_bytes((preferences.run_folder(run_id) / copy.name).read_bytes())
        with Store(preferences.database) as store:
            store.note_export(run_id, "200", copy)
        await shown.tick(6)
        await until(shown, shows("/out/"))
        await shown.press("d")
        assert "A copy stays at" in shown.text()


async def test_a_rating_is_stored_for_every_marked_file_and_orders_the_list(tmp_path: Path) -> None:
    async with on_files(tmp_path) as shown:
        await on_row(shown, "zog-1-step200")
        await shown.press("R")
        shown.clock.advance(1)
        await shown.press("4")
        database = preferences_in(tmp_path).database
        await until(shown, lambda shown: list(ratings(database).values()) == [4])
        await shown.press("s", "s")
        await until(shown, shows("by rating"))
        assert "zog-1-step200 " in shown.rows()[5]
        await shown.press("/")
        await shown.type("rated>=4")
        assert "1 of 5" in shown.text()
        await shown.press("enter")
        assert "zog-2" not in "".join(shown.rows()[5:15])


async def test_why_a_file_did_not_come_is_told_while_its_run_is_followed(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    run_id = library_run(preferences, 1, files=("200", "final"))
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    source.run.run_id = source.run_id = run_id
    source.run.download_failures["final"] = "the host sent other bytes"
    async with showing(source, clock, desk=DeskOfMany(source, preferences)) as shown:
        await shown.press("7")
        await until(shown, lacks("reading…"))
        await until(shown, shows("x not fetched", "not fetched: the host sent other bytes"))


async def test_a_read_only_screen_neither_fetches_nor_deletes(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    library_run(preferences, 1, files=("200",))
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    desk = DeskOfMany(source, preferences)
    async with showing(source, clock, desk=desk, options=UiOptions(readonly=True)) as shown:
        await shown.press("7")
        await until(shown, lacks("reading…"))
        await shown.press("d")
        assert "not now, this screen is read-only" in shown.text()
        await shown.press("w")
        assert shown.screen.errands.all == []


async def test_files_that_come_while_one_looks_appear(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    run_id = library_run(preferences, 1, files=("200",))
    async with on_files(tmp_path) as shown:
        with Store(preferences.database) as store:
            store.append(run_id, "e", [Record(seq=2, ts=2e9, event=lora("zog-1", "final"))])
        await shown.tick(6)
        await until(shown, shows("LoRAs  by newest  2"))
        assert any(row.startswith(">") and "zog-1-step200 " in row for row in shown.rows()), "the cursor stays"


async def test_a_library_that_can_not_be_read_says_why(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    preferences.database.parent.mkdir(parents=True)
    preferences.database.write_bytes(b"no database at all" * 100)
    async with on_files(tmp_path) as shown:
        assert "! the library can't be read:" in shown.text()


async def test_a_file_goes_to_the_program_that_was_agreed_to_and_is_told_with_its_prompt(tmp_path: Path) -> None:
    async with on_installable(tmp_path) as shown:
        chosen = preferences_in(tmp_path).run_folder(f"01HX{2:022}") / "zog-2-step400.safetensors"
        write_file(chosen, kohya(TINY_NETWORK), {"modelspec.trigger_phrase": "zog"})
        await shown.press("i")
        await until(shown, shows("INSTALL zog-2-step400.safetensors", "no file there is overwritten"))
        await shown.press("y")
        assert not shown.screen.errands.all, "typed ahead"
        shown.clock.advance(1)
        await shown.press("y")
        [errand] = shown.screen.errands.all
        assert errand.process.wait(60) == 0, errand.lines()
        await shown.tick()
        await until(shown, shows("install zog-2-step400.safetensors: prompt: zog"))
        installed = tmp_path / "person" / "ComfyUI" / "models" / "loras" / "zog-2-step400.safetensors"
        assert installed.read_bytes() == chosen.read_bytes()


async def test_without_a_program_it_is_said_where_one_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nobody").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    async with on_files(tmp_path) as shown:
        await shown.press("down", "i")
        await until(shown, shows("no A1111, Forge or ComfyUI is found here"))


async def test_the_report_of_a_files_run_is_written_and_told(tmp_path: Path) -> None:
    async with on_files(tmp_path) as shown:
        await shown.press("r")
        [errand] = shown.screen.errands.all
        assert errand.process.wait(60) == 0, errand.lines()
        written = preferences_in(tmp_path).run_folder(f"01HX{2:022}") / "zog-2-report.html"
        assert errand.last_line() == str(written)
        assert written.is_file()
