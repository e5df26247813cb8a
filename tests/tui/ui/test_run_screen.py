"""What the run screen says, in every state and at every size."""

import math
import re
from pathlib import Path

import pytest
from textual.events import MouseScrollDown, MouseScrollUp

from loratui.domain.overview import Overview
from loratui.domain.run import LinkState
from loratui.domain.supplied import Supplied
from loratui.ui.environment import UiOptions
from loratui.ui.farewell import farewell
from loratui_protocol.messages import Artifact, ArtifactKind, Cost, JobState, Log, Setup, State, Step, Warn
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import until
from support.ui_effects.home import on_home
from support.ui_effects.money import rental_line
from support.ui_pilot import Shown, showing

BADGES = {
    JobState.QUEUED: "○ QUEUED",
    JobState.PREPARING: "◐ PREPARING",
    JobState.RUNNING: "● TRAINING",
    JobState.PAUSED: "‖ PAUSED (still billing)",
    JobState.STOPPING: "◆ STOPPING",
    JobState.INTERRUPTED: "! INTERRUPTED",
    JobState.RESUMING: "◐ RESUMING",
    JobState.FINISHING: "◆ FINISHING",
    JobState.DONE: "■ DONE",
    JobState.STOPPED: "■ STOPPED",
    JobState.FAILED: "x FAILED",
}


async def test_every_state_is_a_word_and_a_glyph() -> None:
    async with showing() as shown:
        for state in JobState:
            shown.source.add(State(state=state))
            await shown.tick()

            assert BADGES[state] in shown.rows()[0]


async def test_what_learning_waits_for_between_two_steps_is_the_badge_until_it_goes_on() -> None:
    clock = HandClock()
    # So slow that it takes no step by itself.
    async with showing(ScriptedSource(clock, step=3, it_s=1e-4), clock) as shown:
        for event, badge in (
            (Setup(phase="sample", done=1, total=4, unit="pictures"), "◆ SAMPLING 2/4"),
            (Setup(phase="sample", done=4, total=4, unit="pictures"), "● TRAINING"),
            (Setup(phase="checkpoint", done=0, total=1), "◆ CKPT "),
            (Step(step=4, total=2500, epoch=1, loss=0.1, lr=1e-4, it_s=3.0, eta_s=400), "● TRAINING"),
            # Broken off by a crash, and never ended.
            (Setup(phase="sample", done=2, total=4, unit="pictures"), "◆ SAMPLING 3/4"),
            (State(state=JobState.INTERRUPTED), "! INTERRUPTED"),
        ):
            shown.source.add(event)
            await shown.tick()

            assert badge in shown.rows()[0]
        assert "sample" not in shown.text().split("log")[0]


async def test_figures_of_a_machine_are_awaited_while_the_run_is_not_over() -> None:
    async with showing() as shown:
        shown.source.run.telemetry = None
        for state, said in ((JobState.PREPARING, "not measured yet"), (JobState.DONE, "its figures are not kept")):
            shown.source.run.state = state
            await shown.tick()
            assert said in shown.text()


async def test_while_the_link_is_up_the_first_row_tells_the_time() -> None:
    async with showing() as shown:
        assert shown.rows()[0].endswith("link up  14:22:07")
        await shown.tick(3)
        assert shown.rows()[0].endswith("link up  14:22:10")


async def test_before_the_first_contact_the_screen_says_that_it_connects() -> None:
    async with showing() as shown:
        shown.source.run.heard(LinkState.CONNECTING, shown.clock.monotonic_s())
        await shown.tick()

        assert "connecting…" in shown.rows()[0]


@pytest.mark.parametrize(
    ("link", "badge"), [(LinkState.STALE, "! NO HEARTBEAT 0:37"), (LinkState.DOWN, "! LINK DOWN 0:37")]
)
async def test_a_lost_link_shows_its_age_and_marks_every_number(link: LinkState, badge: str) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, target="ssh://box")
    source.run.heard(link, clock.monotonic_s())
    async with showing(source, clock) as shown:
        await shown.tick(37)

        first, second = shown.rows()[:2]
        assert badge in first
        assert "● TRAINING" in first
        assert first.endswith("as of 14:22:07")
        assert "≈$0.11 spent · $0.69/h still billing" in second
        assert "AUTO-STOP ≈2 h 50 min" in second
        assert "run  as of 14:22:07" in shown.text()
        assert "machine  as of 14:22:07" in shown.text()
        assert "eta   ≈" in shown.text()


async def test_a_link_that_is_down_says_when_it_is_tried_again() -> None:
    async with showing() as shown:
        now_s = shown.clock.monotonic_s()
        shown.source.run.heard(LinkState.DOWN, now_s, retry_at_s=now_s + 9)
        await shown.tick()

        assert "LINK DOWN 0:01 · retry in 8 s   my-style-v3   ● TRAINING" in shown.rows()[0]
        assert "r Reconnect" in shown.rows()[-1]


async def test_money_grows_between_two_figures_of_the_agent() -> None:
    async with showing() as shown:
        shown.source.add(Cost(spent_microusd=1_870_000, price_microusd_per_h=36_000_000, deadline_s=2460))
        shown.source.run.money_at_s = shown.clock.monotonic_s()
        shown.source.run.state = JobState.PAUSED
        await shown.tick(1)

        assert "$1.88 spent · $36.00/h" in shown.rows()[1]
        assert shown.rows()[1].endswith("AUTO-STOP 40 min (15:03)")


async def test_the_countdown_grows_louder() -> None:
    async with showing() as shown:
        shown.source.run.state = JobState.PAUSED
        shown.source.run.money_at_s = shown.clock.monotonic_s()
        for left_s, words in (
            (901, "  AUTO-STOP 15 min"),
            (601, "! AUTO-STOP 10 min"),
            (299, "! AUTO-STOP 4 min 59 s"),
            (0, "! AUTO-STOP saving now"),
            (None, "no auto-stop"),
        ):
            shown.source.run.deadline_s = left_s
            await shown.tick(0)

            assert words in shown.rows()[1]


async def test_pace_rates_and_strength_stand_beside_the_chart() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, step=1250, gpu=True), clock) as shown:
        text = shown.text()
        assert "loss  ema 50 steps 0.0" in text
        assert "noisy 0.0" in text
        assert "speed 2.31 it/s     9.2 img/s" in text
        assert "lr    5.0e-05       effective 2.5e-05" in text
        assert "seen  25 x (mean)   delta 0.88 %" in text
        assert "work  54 TFLOP/s    3.1 % data wait" in text


async def test_what_is_not_measured_is_a_dash() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, step=3), clock) as shown:
        text = shown.text()
        assert "speed 2.31 it/s     \u2013" in text
        assert "effective \u2013" in text
        assert "seen  \u2013             delta \u2013" in text
        assert "work  \u2013             \u2013 data wait" in text


async def test_a_large_screen_shows_the_strength_block_by_block() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, step=1250), clock, size=(120, 40)) as shown:
        text = shown.text()
        assert "delta norm  % of the weights, step 1250" in text
        assert "down  1       1.1     1.2" in text
        assert "up    1.5     1.6     1.8" in text


async def test_a_run_of_this_machine_that_costs_nothing_says_so() -> None:
    async with showing() as shown:
        shown.source.run.state = JobState.PAUSED
        shown.source.run.price_microusd_per_h = shown.source.run.spent_microusd = 0
        await shown.tick()

        assert "$0.00 spent · $0.00/h (this machine)" in shown.rows()[1]


async def test_a_run_that_stops_before_its_plan_is_done_is_measured_by_where_it_stops() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=1250)
    source.run.stop = 1500
    async with showing(source, clock) as shown:
        source.run.eta_s = 600.0
        shown.screen.refresh_view()
        await shown.pilot.pause()
        assert "step  1250/1500" in shown.text()
        assert "83 %" in shown.text()
        assert re.search(r"ends \d\d:\d\d, to look", shown.text())
        axis = next(row for row in shown.rows() if re.match(r"\s+0 .* \d+$", row))
        assert axis.split()[-1] == "1500"

        source.run.state = JobState.STOPPED
        shown.screen.refresh_view()
        await shown.pilot.pause()
        assert "step  1250/2500" in shown.text(), "what was planned is what is left to go on to"


async def test_without_a_gpu_no_video_memory_is_shown() -> None:
    async with showing() as shown:
        assert "machine (psutil)" in shown.text()
        assert "no GPU" in shown.text()
        assert "vram" not in shown.text()


async def test_a_gpu_is_shown_with_who_measured_it() -> None:
    clock = HandClock()
    async with showing(ScriptedSource(clock, gpu=True), clock) as shown:
        assert "gpu (nvml)" in shown.text()
        assert "vram  21.4/24.0 GiB" in shown.text()
        assert "RTX 4090" in shown.rows()[0]


async def test_what_comes_before_the_steps_is_shown_in_their_place() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=0)
    source.add(State(state=JobState.PREPARING))
    source.add(Setup(phase="latents", done=12, total=60, unit="pictures", message="caching latents"))
    async with showing(source, clock) as shown:
        await shown.tick(36)
        assert "latents 20 %  36 s, ≈$0.0069" in shown.text()
        assert "caching latents  12/60 pictures" in shown.text()
        assert "waiting for the first step" in shown.text()


async def test_phases_that_go_on_at_once_have_a_row_each_and_an_upload_its_speed() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=0, target="ssh://box")
    source.add(State(state=JobState.PREPARING))
    source.add(Setup(phase="environment", done=2, total=5, message="installing packages"))
    source.add(Setup(phase="base_model", done=5, total=5, unit="bytes"))
    source.add(Setup(phase="dataset", done=100, total=400, unit="bytes"))
    source.run.supply = Supplied(done=100_000_000, total=400_000_000, bytes_per_s=2e6)
    async with showing(source, clock) as shown:
        text = shown.text()
        assert "environment 40 %" in text
        assert "installing packages" in text
        assert "dataset 25 %" in text
        assert "2.0 MB/s, ≈2 min 30 s left" in text
        assert "base model" not in text, "it is over"
        source.run.supply = Supplied(done=100, total=400, message="another client is uploading")
        await shown.tick()
        assert "another client is uploading" in shown.text()


async def test_between_two_phases_the_last_one_is_told_as_done() -> None:
    async with showing() as shown:
        shown.source.add(State(state=JobState.PREPARING))
        shown.source.add(Setup(phase="environment", done=5, total=5))
        await shown.tick()
        assert "now   environment is done" in shown.text()


async def test_at_the_end_only_what_goes_on_now_is_told() -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.add(Setup(phase="environment", done=2, total=5, message="installing packages"), 0)
    source.add(State(state=JobState.FINISHING), 600)
    async with showing(source, clock) as shown:
        assert "environment" not in shown.text()
        assert "step  " in shown.text()
    source.add(Setup(phase="evaluate", done=3, total=25, unit="pictures"), 600)
    async with showing(source, clock) as shown:
        await shown.tick()
        assert "evaluate 12 %" in shown.text()
        assert "environment 40 %" not in shown.text()


async def test_of_files_that_are_tried_out_the_pictures_are_counted_and_nothing_is_trained(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=0, total=0)
    source.add(Setup(phase="judge.draw", done=40, total=520, unit="pictures"))
    async with showing(source, clock) as shown:
        await shown.tick()
        text = shown.text()
        assert "● TRYING OUT" in shown.rows()[0]
        assert "drawing 7 %" in text
        assert "40/520 pictures" in text
        assert "(c Ckpt) (s Sample)" in shown.rows()[-1], "that is for trainings"
        assert "step" not in text
        zipped = Artifact(id="judgement.zip", kind=ArtifactKind.JUDGEMENT, name="j.zip", size=9, sha256="1" * 64)
        source.add(zipped)
        source.run.downloaded["judgement.zip"] = tmp_path / "j.zip"
        source.add(State(state=JobState.STOPPED, detail="stopped before all pictures were drawn"))
        await shown.tick()
        text = shown.text()
        assert "of 0" not in text
        assert "pictures " in text
        assert "lora " not in text
        assert farewell(source.view(), clock.monotonic_s()).endswith(f"What was drawn: {tmp_path / 'j.zip'}")


async def test_when_done_the_verdict_and_the_place_of_the_lora_are_shown(tmp_path: Path) -> None:
    async with showing() as shown:
        shown.source.finish(tmp_path)
        await shown.tick()

        text = shown.text()
        assert "verdict  The LoRA learned its concept: 23 of 25" in text
        assert f"lora     {tmp_path}"[:40] in text
        assert "/my-style-v3.safetensors" in text, "folders are cut before the name is"
        assert "$1.87 spent in all" in shown.rows()[1]


async def test_when_done_the_keys_that_are_left_have_the_room_of_those_that_can_do_nothing(tmp_path: Path) -> None:
    async with showing() as shown:
        await shown.tick()
        assert "c Ckpt" in shown.rows()[-1]
        shown.source.finish(tmp_path)
        await shown.tick()

        assert not re.search("Pause|Ckpt|Stop|30m", shown.rows()[-1])
        assert "q Leave" in shown.rows()[-1]


async def test_a_failed_run_says_why() -> None:
    async with showing() as shown:
        shown.source.add(State(state=JobState.FAILED, reason="disk.full", detail="the disk is full, 0 B free"))
        await shown.tick()

        assert "failed   the disk is full, 0 B free" in shown.text()
        assert "none was made" not in shown.text()

        shown.source.run.artifacts.clear()
        await shown.tick()
        assert "lora     none was made" in shown.text()


async def test_of_a_run_that_was_stopped_the_last_saved_lora_is_named(tmp_path: Path) -> None:
    async with showing() as shown:
        run = shown.source.run
        run.artifacts.clear()
        run.downloaded.clear()
        for step in (500, 1000, 750):
            name = f"cat-step{step}.safetensors"
            shown.source.add(
                Artifact(
                    id=name, kind=ArtifactKind.CHECKPOINT_LORA, name=name, size=1_200_000, sha256="1" * 64, step=step
                )
            )
        shown.source.add(State(state=JobState.STOPPED, reason="user", detail="asked to"))
        await shown.tick()
        assert "lora     cat-step1000.safetensors (1.2 MB) is on its way" in shown.text()

        run.declined["cat-step1000.safetensors"] = "downloads.which is final"
        await shown.tick()
        assert "lora     not fetched: downloads.which is final" in shown.text()

        run.downloaded["cat-step1000.safetensors"] = Path("/x/cat-step1000.safetensors")
        await shown.tick()
        assert "lora     of step 1000: /x/cat-step1000.safetensors" in shown.text()
        assert shown.screen.page.yank_text() == "/x/cat-step1000.safetensors"


async def test_a_loss_that_is_no_number_is_marked_in_the_chart() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=400)
    source.add(Step(step=401, total=2500, epoch=1, loss=math.nan, lr=1e-4, it_s=2, eta_s=9, grad_norm=math.inf), 401)
    async with showing(source, clock) as shown:
        chart = shown.rows()[3:10]
        assert "ema 50 steps 0." in shown.text()
        assert "noisy nan" in shown.text()
        assert any("x" in row for row in chart), shown.text()


async def test_warnings_are_counted_and_stand_in_the_log() -> None:
    async with showing() as shown:
        shown.source.add(Warn(code="data.few", message="only 4 pictures"))
        await shown.tick()

        assert "log  1 warning" in shown.text()
        assert "warn data.few: only 4 pictures" in shown.text()


async def test_a_scrolled_log_stays_where_it_is_while_lines_arrive() -> None:
    async with showing() as shown:
        await shown.press("pageup")
        before = shown.rows()[-6:-1]
        shown.source.add(Log(level="INFO", line="something new"))
        await shown.tick(0)

        assert shown.rows()[-6:-1] == before


async def test_the_wide_screen_has_all_panes(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.paint_samples(tmp_path, 1200, ("one", "two", "three", "four"))
    async with showing(source, clock, size=(120, 40)) as shown:
        for pane in (
            "─ loss",
            "─ lr",
            "─ grad norm",
            "─ run",
            "─ machine",
            "─ checkpoints  ↓ 4/4",
            "─ samples",
            "─ log",
        ):
            assert pane in shown.text(), pane
        assert "▀▀" in shown.text()
        assert "three" in shown.text()


async def test_a_small_terminal_keeps_chart_and_progress() -> None:
    async with showing(size=(60, 16)) as shown:
        assert "─ loss" in shown.text()
        assert "step  1240/2500" in shown.text()
        assert "● TRAINING" in shown.rows()[0]
        assert "AUTO-STOP" in shown.rows()[1]


async def test_the_state_is_never_cut(tmp_path: Path) -> None:
    async with showing() as shown:
        for width in (14, 20, 30, 40, 50, 59, 80):
            await shown.resize(width, 10)
            await until(shown, lambda shown: "● TRAINING" in shown.rows()[0])
    rented = Overview(rentals=(rental_line(), rental_line()), is_read=True)
    async with on_home(tmp_path, rented) as shown:
        for width in (22, 30, 40, 50, 80):
            await shown.resize(width, 10)
            await until(shown, lambda shown: "! 2 RENTED, MAY BILL" in shown.rows()[0])


async def test_a_tiny_terminal_keeps_state_and_money() -> None:
    async with showing(size=(40, 6)) as shown:
        assert "● TRAINING" in shown.rows()[0]
        assert "AUTO-STOP" in shown.rows()[1]
        assert "enlarge the window" in shown.text()


async def test_ascii_mode_uses_ascii_alone(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, name="шаг-日本")
    source.paint_samples(tmp_path, 1200, ("one", "two"))
    async with showing(source, clock, size=(120, 40), options=UiOptions(ascii=True)) as shown:
        assert shown.text().isascii()
        assert "* TRAINING" in shown.text()
        for cover in ("?", "?", "ctrl+p", "escape", "i", "x"):
            await shown.press(cover)
            assert shown.text().isascii()


async def test_a_slow_line_gets_the_body_every_five_seconds() -> None:
    async with showing(options=UiOptions(slow=True)) as shown:
        await shown.tick(1)
        body = shown.rows()[2:-1]
        await shown.tick(1)
        assert shown.rows()[2:-1] == body
        assert "slow  14:22" in shown.rows()[0]
        await shown.tick(5)
        assert shown.rows()[2:-1] != body


async def test_a_change_of_state_is_shown_at_once_on_a_slow_line() -> None:
    async with showing(options=UiOptions(slow=True)) as shown:
        await shown.tick(1)
        shown.source.add(State(state=JobState.FAILED, detail="no memory"))
        await shown.tick(1)

        assert "no memory" in shown.text()


def widths_fit(shown: Shown, width: int) -> bool:
    return all(strip.cell_length == width for strip in shown.screen._compositor.render_strips())


async def test_pictures_stand_beside_those_without_the_lora(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.paint_base(tmp_path, ("one", "two"))
    source.paint_samples(tmp_path, 1200, ("one", "two"))
    async with showing(source, clock, size=(60, 40)) as shown:
        await shown.press("i")
        assert "step 1200  (1 of 1)" in shown.text()
        captions = [line.split() for line in shown.text().splitlines() if "without the LoRA: " in line]
        assert captions == [[">without", "the", "LoRA:", "one", "one"], ["without", "the", "LoRA:", "two", "two"]]
        assert "on its way" not in shown.text()


async def test_a_storm_of_resizes_breaks_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.paint_samples(tmp_path, 1200, ("one", "two", "three"))
    sizes = [
        (20, 5),
        (200, 60),
        (79, 23),
        (1, 1),
        (120, 40),
        (60, 16),
        (59, 15),
        (110, 32),
        (300, 8),
        (20, 60),
        (80, 24),
    ]
    async with showing(source, clock, size=(20, 5)) as shown:
        for cover in ("?", "ctrl+p", "i", "x"):
            await shown.press("escape", cover)
            for width, height in sizes:
                await shown.resize(width, height)
                await until(shown, lambda shown, width=width: widths_fit(shown, width))
        assert "● TRAINING" in shown.text()


async def test_a_lora_that_can_not_be_fetched_is_not_said_to_come(tmp_path: Path) -> None:
    async with showing() as shown:
        shown.source.finish(tmp_path)
        shown.source.run.downloaded = {}
        await shown.tick()
        assert "lora     my-style-v3.safetensors (1.2 MB) is on its way" in shown.text()
        shown.source.run.download_failures["my-style-v3.safetensors"] = "the disk is full"
        await shown.tick()

        assert "lora     could not be fetched: the disk is full" in shown.text()


async def test_a_click_on_a_hint_does_what_its_key_does() -> None:
    async with showing() as shown:
        await shown.pilot.click("#footer", offset=(shown.rows()[-1].index("Ckpt"), 0))
        assert shown.source.sent == [("checkpoint", 0)]


async def test_a_click_answers_no_question() -> None:
    async with showing() as shown:
        await shown.press("x")
        await shown.tick()
        await shown.pilot.click("#strip", offset=(5, 2))

        assert shown.source.sent == []
        assert "STOP my-style-v3" in shown.text()


async def test_the_wheel_scrolls_the_log() -> None:
    async with showing() as shown:
        await shown.pilot._post_mouse_events([MouseScrollUp], widget="#log", button=0)
        assert "scrolled" in shown.text()
        await shown.pilot._post_mouse_events([MouseScrollDown], widget="#log", button=0)
        assert "─ follow ─" in shown.text()
