"""A text that is asked for in the place of the footer."""

from pathlib import Path

from textual.events import Key, Paste

from loratui.ui.widgets.prompt import Typed
from support.ui_effects.home import on_home
from support.ui_pilot import Shown


def row_of_prompt(shown: Shown) -> str:
    return shown.rows()[-1]


async def test_what_is_typed_is_handed_over(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", taken.append, "/data")
        await shown.pilot.pause()
        assert row_of_prompt(shown).startswith(" folder /data")
        await shown.type("/q1?")
        assert row_of_prompt(shown).startswith(" folder /data/q1?"), "no key means anything else meanwhile"
        await shown.press("enter")

        assert taken == ["/data/q1?"]
        assert "Help" in row_of_prompt(shown)


async def test_escape_hands_nothing_over(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", taken.append)
        await shown.type("x")
        await shown.press("escape")
        await shown.press("5")

        assert taken == []
        assert "▌5Run▐" in shown.text()


async def test_keys_that_come_together_keep_their_order(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("at most, in dollars:", taken.append, "0.11")
        for key in ("backspace", "backspace", "2", "home", "3", "enter", "2"):
            shown.app.post_message(Key(key=key, character=key if key.isdecimal() else None))
        await shown.pilot.pause()

        assert taken == ["30.2"]
        assert "▌2Data▐" in shown.text(), "what comes after enter is none of the text"


async def test_what_is_typed_right_behind_the_key_that_asks_is_the_answer(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        await shown.type("o34")

        assert row_of_prompt(shown).rstrip().endswith("/34")


async def test_what_is_typed_takes_the_place_of_a_proposed_answer(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:

        async def answer(*keys: str) -> str:
            shown.screen.ask_text("trigger word:", taken.append, "zoxur", Typed.ANSWER)
            await shown.pilot.pause()
            assert row_of_prompt(shown).startswith(" trigger word: zoxur")
            await shown.press(*keys, "enter")
            return taken[-1]

        assert await answer("r", "b", "t") == "rbt"
        assert await answer() == "zoxur"
        assert await answer("right", "1") == "zoxur1", "once the cursor was moved it is changed where it stands"
        assert await answer("left", "X") == "Xzoxur"
        assert await answer("backspace") == ""


async def test_of_what_is_pasted_the_first_line_is_typed(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", taken.append, "/data")
        shown.app.post_message(Paste("/q1?\nrm -r ~\n"))
        shown.app.post_message(Key(key="enter", character=None))
        await shown.pilot.pause()

        assert taken == ["/data/q1?"]


async def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("key", taken.append, kind=Typed.SECRET)
        await shown.type("hunter2")
        assert "hunter2" not in shown.text()
        await shown.press("enter")

        assert taken == ["hunter2"]


async def test_control_c_leaves_even_while_a_text_is_typed(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", lambda _: None)
        await shown.press("ctrl+c")

        assert shown.app.return_value == 130


async def test_keys_that_come_all_at_once_count_in_the_order_in_which_they_were_pressed(tmp_path: Path) -> None:
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", taken.append, "/data/old")
        await shown.pilot.pause()
        for key, character in (("ctrl+u", "\x15"), ("a", "a"), ("c", "c"), ("backspace", "\x7f"), ("b", "b")):
            shown.app.post_message(Key(key=key, character=character))
        shown.app.post_message(Key(key="enter", character="\r"))
        await shown.pilot.pause()

        assert taken == ["ab"]


async def test_tab_completes_a_path_before_the_cursor_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    taken: list[str] = []
    async with on_home(tmp_path) as shown:
        shown.screen.ask_text("folder", taken.append, f"{tmp_path}/pic", Typed.PATH)
        await shown.press("tab", "x", "enter")
        shown.screen.ask_text("words", taken.append, f"{tmp_path}/pic")
        await shown.press("tab", "enter")

    assert taken == [f"{tmp_path}/pictures/x", f"{tmp_path}/pic"]
