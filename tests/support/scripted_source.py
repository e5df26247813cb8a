"""A run that follows a script: the interface can be shown, measured and tested without an agent."""

import math
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loratui.domain.run import CommandKind, LinkState, RunView
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    CommandResult,
    Cost,
    DeltaNorms,
    Done,
    Evaluation,
    Event,
    Heartbeat,
    JobState,
    JobStatus,
    Log,
    Metrics,
    Record,
    Sample,
    State,
    Step,
    Telemetry,
)

RUN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
STARTED_TS = 1_790_000_000.0
PRICE = 690_000
LORA_BYTES = 1_240_000


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now_s = 10_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def local(self) -> datetime:
        return datetime(2026, 11, 23, 14, 22, 7, tzinfo=UTC) + timedelta(seconds=self.now_s - 10_000.0)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class ScriptedSource:
    """Trains at ``it_s`` steps a second from ``step`` on, by the clock it is given."""

    def __init__(
        self,
        clock: HandClock,
        *,
        name: str = "my-style-v3",
        target: str = "local",
        total: int = 2500,
        step: int = 1240,
        it_s: float = 2.31,
        gpu: bool = False,
    ) -> None:
        self.run_id = RUN_ID
        self.run = RunView(run_id=RUN_ID, name=name, target=target)
        self.num_retries = 0
        self.sent: list[tuple[str, float]] = []
        self.answers: list[Future[CommandResult]] = []
        self.total = total
        self._clock = clock
        self._start_s = clock.monotonic_s()
        self._first_step = step
        self._it_s = it_s
        self._gpu = gpu
        self.run.clock_offset_s = self._start_s - (STARTED_TS + step / it_s)
        self.run.heard(LinkState.UP, self._start_s)
        self.add(State(state=JobState.PREPARING), 0)
        self.add(State(state=JobState.RUNNING), 0)
        for done in range(1, step + 1):
            self._train(done)
        self.beat()

    def add(self, event: Event, step: int | None = None) -> None:
        at = self.run.step if step is None else step
        self.run.apply(Record(seq=self.run.last_seq + 1, ts=STARTED_TS + at / self._it_s, event=event))

    def beat(self) -> None:
        """Let the agent say how it is."""
        now_s = self._clock.monotonic_s()
        wave = math.sin(now_s / 7)
        telemetry = Telemetry(
            source="nvml" if self._gpu else "psutil",
            cpu_pct=round(93 + 4 * wave),
            ram_used_gib=3.2,
            ram_total_gib=8.0,
            disk_free_gib=18.1,
            **(
                {
                    "gpu_name": "RTX 4090",
                    "gpu_util_pct": round(96 + 3 * wave),
                    "vram_used_gib": 21.4,
                    "vram_total_gib": 24.0,
                    "gpu_temp_c": round(71 + wave),
                    "gpu_power_w": round(312 + 20 * wave),
                }
                if self._gpu
                else {}
            ),
        )
        elapsed_s = self.run.step / self._it_s
        active = JobStatus(
            job=RUN_ID,
            name=self.run.name,
            state=self.run.state,
            price_microusd_per_h=PRICE,
            spent_microusd=round(PRICE * elapsed_s / 3600),
            deadline_s=3 * 3600 - elapsed_s,
        )
        self.run.beat(Heartbeat(now_ts=0, telemetry=telemetry, active=active, last_step_age_s=0.3), now_s)

    def _train(self, step: int) -> None:
        noise = math.sin(step * 12.9898) * 43758.5453
        value = 0.08 + 0.3 * math.exp(-step / 260) + 0.03 * (noise - math.floor(noise) - 0.5)
        lr = 1e-4 * 0.5 * (1 + math.cos(math.pi * step / self.total))
        left = (self.total - step) / self._it_s
        self.add(
            Step(
                step=step,
                total=self.total,
                epoch=1 + step * 10 // self.total,
                loss=value,
                lr=lr,
                it_s=self._it_s,
                eta_s=left,
                ram_gib=0.9,
                vram_gib=22.1 if self._gpu else None,
                grad_norm=0.6 + 2 * math.exp(-step / 100) + value,
            ),
            step,
        )
        if step % 25 == 0:
            self.add(
                Metrics(
                    step=step,
                    img_s=4 * self._it_s,
                    tflop_s=54.2 if self._gpu else 0.0123,
                    data_wait=0.031,
                    exposures_per_picture=step / 50,
                    effective_lr={"unet": lr / 2, "text_encoder": lr / 4},
                )
            )
            self.add(Log(level="INFO", line=f"step {step} loss {value:.4f} grad .83"))
        if step % 250 == 0:
            blocks = [f"down_blocks.{n}" for n in range(3)] + ["mid_block"] + [f"up_blocks.{n}" for n in range(1, 4)]
            relative = {name: step * (7 + n) / 1e6 for n, name in enumerate(["unet", *blocks, "text_encoder"])}
            self.add(DeltaNorms(step=step, relative=relative))
            self.add(Checkpoint(step=step, size=LORA_BYTES * 3, seconds=0.4))
            artifact = Artifact(
                id=f"ckpt-{step}",
                kind=ArtifactKind.CHECKPOINT_LORA,
                name=f"{self.run.name}-step{step:08}.safetensors",
                size=LORA_BYTES,
                sha256="0" * 64,
                step=step,
            )
            self.add(artifact)
            self.run.downloaded[artifact.id] = Path("/state") / artifact.name
            self.add(Log(level="INFO", line=f"saved {artifact.name} 1.2 MB"))

    def paint_samples(self, folder: Path, step: int, prompts: tuple[str, ...]) -> None:
        """Make sample pictures of a step and put them where downloads lie."""
        from PIL import Image, ImageDraw

        for index, prompt in enumerate(prompts):
            picture = Image.new("RGB", (64, 64), ("navy", "darkgreen", "maroon", "gray")[index % 4])
            pen = ImageDraw.Draw(picture)
            pen.ellipse((12 + index, 12, 50, 52), fill=("gold", "tomato", "skyblue", "white")[index % 4])
            pen.rectangle((28, 28, 60, 60 - index % 8 * 4), fill=("crimson", "teal", "orange", "black")[index % 4])
            name = f"sample-{step}-{index}.png"
            picture.save(folder / name)
            self.add(Sample(step=step, index=index, prompt=prompt, seed=index, artifact_id=name, width=64, height=64))
            self.run.downloaded[name] = folder / name

    def paint_base(self, folder: Path, prompts: tuple[str, ...]) -> None:
        """Tell of samples without the LoRA, of which only small ones are here."""
        from PIL import Image

        for index, prompt in enumerate(prompts):
            small = f"base-{index}-small.jpg"
            Image.new("RGB", (16, 16), "white").save(folder / small)
            base = Sample(
                step=100,
                index=index,
                prompt=prompt,
                seed=index,
                artifact_id=f"base-{index}",
                width=64,
                height=64,
                weight=0.0,
                thumbnail_id=small,
            )
            self.add(base)
            self.run.downloaded[small] = folder / small

    def finish(self, folder: Path) -> None:
        """Bring the run to its end, with a LoRA and a verdict."""
        lora = f"{self.run.name}.safetensors"
        self.add(
            Artifact(id=lora, kind=ArtifactKind.LORA, name=lora, size=LORA_BYTES, sha256="0" * 64, step=self.total)
        )
        self.run.downloaded[lora] = folder / lora
        self.add(
            Evaluation(
                scores={"concept": 0.92, "base": 0.04},
                verdict="The LoRA learned its concept: 23 of 25 pictures show it at weight 1, 1 of 25 without it.",
            )
        )
        self.add(Done(artifact_id=lora, name=lora, size=LORA_BYTES, sha256="0" * 64, steps=self.total))
        self.add(Cost(spent_microusd=1_870_000, price_microusd_per_h=PRICE, deadline_s=None))
        self.add(State(state=JobState.DONE))

    def view(self) -> RunView:
        now_s = self._clock.monotonic_s()
        if self.run.state is JobState.RUNNING and self.run.link is LinkState.UP:
            wanted = min(self.total, self._first_step + int((now_s - self._start_s) * self._it_s))
            for step in range(self.run.step + 1, wanted + 1):
                self._train(step)
            if now_s - (self.run.money_at_s or 0) >= 2:
                self.beat()
        return self.run.snapshot()

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        self.sent.append((command_kind, seconds))
        answer: Future[CommandResult] = Future()
        self.answers.append(answer)
        return answer

    def retry_now(self) -> None:
        self.num_retries += 1

    def close(self) -> None:
        pass
