"""Which pictures a LoRA is judged by, and what is written down of them."""

import itertools
import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.protocol_strategies import plain_config

from loratui_protocol.errors import ConfigError, ProtocolError
from loratui_protocol.judging.grid import Cell, Grid, TriedFile, seeds, spread, spread_by_step
from loratui_protocol.judging.judgement import Judged, Judgement, parse_judgement
from loratui_protocol.judging.planning import planned_grid, steps_said, told_apart
from loratui_protocol.judging.prompts import MARK, SCENES, GridPrompt, Role, grid_prompts, without_trigger
from loratui_protocol.judging.summary import Mean, mean_of, means_at

PROMPTS = grid_prompts(
    plain_config(trigger_word="ohwx", evaluate_class_word="woman", evaluate_together="/b.safetensors")
)
FILES = tuple(TriedFile(id=f"lora-{step}", name=f"my-{step}.safetensors", step=step) for step in (100, 200, 300))
GRID = Grid(files=FILES, weights=(1.0, 0.0, 0.5), seeds=seeds(5), prompts=PROMPTS)


def test_the_trigger_is_asked_for_in_every_place_and_left_out_once() -> None:
    by_role = {prompt.role: prompt for prompt in PROMPTS}
    assert set(by_role) == set(Role)
    assert by_role[Role.START].text.startswith("ohwx woman,")
    assert ", ohwx woman," in by_role[Role.MIDDLE].text
    assert by_role[Role.END].text.endswith(", ohwx woman")
    assert "ohwx" not in by_role[Role.WITHOUT].text
    assert "ohwx" not in by_role[Role.NEGATIVE].text
    assert by_role[Role.NEGATIVE].negative == "ohwx"


def test_what_a_picture_should_show_is_said_without_the_made_up_word() -> None:
    assert all("ohwx" not in prompt.plain and MARK not in prompt.text + prompt.plain for prompt in PROMPTS)
    assert all("woman" in prompt.plain for prompt in PROMPTS)


def test_scenes_that_captions_name_are_passed_over() -> None:
    captions = [f"ohwx woman {SCENES[0]}", "a photo of ohwx, wearing something"]
    scenes = [
        each.text for each in grid_prompts(plain_config(trigger_word="ohwx"), captions) if each.role is Role.SCENE
    ]
    assert scenes
    assert not any("beach" in scene or "wearing" in scene for scene in scenes)


def test_ones_own_prompts_take_the_place_of_all_that_are_made() -> None:
    prompts = grid_prompts(plain_config(trigger_word="ohwx", evaluate_prompts=(f"{MARK} on a red background", "a cat")))
    assert [each.text for each in prompts] == [
        *("ohwx on a red background", "a cat", "picture on a red background", "picture on a red background")
    ]
    assert [each.role for each in prompts] == [Role.SCENE, Role.WITHOUT, Role.WITHOUT, Role.NEGATIVE]


@pytest.mark.parametrize("written", ["zorbix, a castle", "a castle, Zorbix", "zorbix  man before a castle"])
def test_a_trigger_that_is_written_out_is_read_as_one(written: str) -> None:
    config = plain_config(trigger_word="zorbix", evaluate_class_word="man", evaluate_prompts=(written,))
    prompts = grid_prompts(config)
    assert [each.role for each in prompts] == [Role.SCENE, Role.WITHOUT, Role.NEGATIVE]
    assert prompts[0].text == written
    for plain in (prompts[0].plain, *(each.text for each in prompts[1:])):
        assert "zorbix" not in plain.casefold()
        assert plain.count("man") == 1
    assert without_trigger(config) == []


def test_prompts_that_do_not_ask_for_the_concept_count_for_nothing_that_it_should_show_in() -> None:
    own = ("a castle", "a zorbixed tower", f"a {MARK} garden")
    config = plain_config(trigger_word="zorbix", evaluate_prompts=own)
    assert {each.text: each.role for each in grid_prompts(config)[:3]} == {
        "a castle": Role.WITHOUT,
        "a zorbixed tower": Role.WITHOUT,
        "a zorbix garden": Role.SCENE,
    }
    assert without_trigger(config) == ["a castle", "a zorbixed tower"]


def test_without_a_trigger_word_every_prompt_of_ones_own_asks_for_the_concept() -> None:
    config = plain_config(evaluate_prompts=(f"{MARK}, a castle", "a tower"))
    assert [(each.role, each.text) for each in grid_prompts(config)] == [
        (Role.SCENE, "a castle"),
        (Role.SCENE, "a tower"),
    ]
    assert without_trigger(config) == []


def test_another_lora_is_drawn_beside_one_without_a_trigger_word() -> None:
    config = plain_config(evaluate_prompts=("a castle",), evaluate_together="/b.safetensors")
    assert [(each.role, each.text) for each in grid_prompts(config)] == [
        (Role.SCENE, "a castle"),
        (Role.TOGETHER, "a castle"),
    ]


def test_what_nothing_calls_is_drawn_once_a_scene_in_words_that_can_be_read() -> None:
    prompts = grid_prompts(plain_config())
    texts = [each.text for each in prompts]
    assert texts == ["standing in a room, soft light", *SCENES[:3]]
    assert [each.plain for each in prompts] == [
        "picture, standing in a room, soft light",
        *(f"picture {scene}" for scene in SCENES[:3]),
    ]


@given(
    st.sampled_from([None, "zorbix", "sks, tall", "trigger"]),
    st.sampled_from([None, "woman"]),
    st.lists(st.sampled_from([f"{MARK}, a castle", f"a castle, {MARK}", "zorbix in fog", "a sea"]), max_size=3),
)
def test_no_prompt_has_an_empty_part_or_a_mark(trigger: str | None, word: str | None, own: list[str]) -> None:
    config = plain_config(trigger_word=trigger, evaluate_class_word=word, evaluate_prompts=tuple(own))
    for prompt in grid_prompts(config):
        for text in (prompt.text, prompt.plain):
            assert not {"{", "}"} & set(text)
            assert text == " ".join(text.split())
            assert all(part.strip() for part in text.split(","))


def test_the_class_word_is_that_of_the_folder() -> None:
    (start, *_) = grid_prompts(plain_config(trigger_word="ohwx"), class_tokens="ohwx woman")
    assert start.text.startswith("ohwx woman,")
    assert start.plain.startswith("woman,")


def test_a_class_word_of_the_config_goes_before_that_of_the_folder() -> None:
    config = plain_config(trigger_word="ohwx", evaluate_class_word="girl")
    assert grid_prompts(config, class_tokens="ohwx woman")[0].plain.startswith("girl,")


def test_every_picture_is_drawn_once_and_the_base_model_once_for_all_files() -> None:
    cells = [cell for batch in GRID.batches() for cell in batch]
    assert len(cells) == len(set(cells)) == len({cell.name for cell in cells}) == GRID.num_pictures
    alone = len(PROMPTS) - 1
    assert sum(cell.file == -1 for cell in cells) == 5 * alone
    assert GRID.num_pictures == 5 * (alone + 3 * 2 * len(PROMPTS))


def test_a_grid_that_is_stopped_has_whole_rows_of_fewer_seeds() -> None:
    cells = [cell for batch in GRID.batches() for cell in batch]
    first = cells[: GRID.num_pictures // 5]
    assert {cell.seed for cell in first} == {GRID.seeds[0] + GRID.seeds_apart(prompt) for prompt in range(len(PROMPTS))}
    assert {(cell.file, cell.weight) for cell in first} == {(cell.file, cell.weight) for cell in cells}


@given(st.integers(1, 40))
def test_batches_are_filled_and_seeds_come_one_after_the_other(size: int) -> None:
    batches = list(GRID.batches(size))
    assert sorted(itertools.chain(*batches), key=repr) == sorted(itertools.chain(*GRID.batches()), key=repr)
    for batch in batches:
        assert len({(cell.file, cell.weight) for cell in batch}) == 1
        assert len(batch) <= size
    of_one = [batch for batch in batches if (batch[0].file, batch[0].weight) == (0, 1.0)]
    assert len(of_one) == math.ceil(len(GRID.seeds) * len(PROMPTS) / size), "no batch is emptier than it has to be"
    cells = [cell for cell in itertools.chain(*batches) if (cell.file, cell.weight) == (0, 1.0)]
    for prompt in range(len(PROMPTS)):
        own = [seed + GRID.seeds_apart(prompt) for seed in GRID.seeds]
        assert [cell.seed for cell in cells if cell.prompt == prompt] == own


def test_no_two_prompts_of_other_words_share_a_seed_and_files_and_weights_share_all() -> None:
    most = replace(GRID, seeds=seeds(100))
    drawn = {(cell.file, cell.weight): set[tuple[int, int]]() for batch in most.batches() for cell in batch}
    for cell in itertools.chain(*most.batches()):
        drawn[cell.file, cell.weight].add((cell.prompt, cell.seed))
    for places in drawn.values():
        owners = {seed: {PROMPTS[prompt].plain for prompt, each in places if each == seed} for _, seed in places}
        assert all(len(words) == 1 for words in owners.values()), (
            "a seed is of one picture, whatever is asked for in it"
        )
    of_roles = [
        {seed for prompt, seed in drawn[0, 1.0] if PROMPTS[prompt].role is role}
        for role in (Role.WITHOUT, Role.TOGETHER)
    ]
    assert of_roles[0] == of_roles[1], "what another LoRA does can be seen"
    with_lora = [places for (file, _), places in drawn.items() if file >= 0]
    assert all(places == with_lora[0] for places in with_lora)
    assert drawn[-1, 0.0] < with_lora[0], "what is with another LoRA is not of the base model"


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40, unique=True).map(sorted), st.integers(1, 12))
def test_of_files_as_many_as_asked_for_are_chosen_by_their_steps_and_the_last_always(
    steps: list[int], most: int
) -> None:
    chosen = spread_by_step(steps, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(steps))
    assert chosen[-1] == len(steps) - 1


def test_a_file_that_comes_soon_before_the_last_one_takes_no_place_of_an_earlier_one() -> None:
    every = [116, 232, 348, 464, 580, 696, 700]
    assert [every[index] for index in spread_by_step(every, 6)] == [116, 232, 348, 464, 580, 700]
    assert [every[index] for index in spread_by_step(every, 2)] == [348, 700]


@given(st.integers(1, 60), st.integers(1, 20))
def test_the_files_that_are_tried_are_evenly_spread_and_end_with_the_last(count: int, most: int) -> None:
    chosen = spread(count, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, most)
    assert chosen[-1] == count - 1
    gaps = [after - before for before, after in itertools.pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(
    st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)), unique=True
    )
)
def test_no_two_files_are_called_alike(paths: list[str]) -> None:
    names = told_apart(paths)
    assert len(set(names)) == len(paths)
    assert all(path.endswith(name) for path, name in zip(paths, names, strict=True))


def test_files_are_called_by_the_least_folder_that_tells_them_apart() -> None:
    paths = ["/runs/a/last.safetensors", "/runs/b/last.safetensors", "/runs/b/other.safetensors"]
    assert told_apart(paths) == ["a/last.safetensors", "b/last.safetensors", "other.safetensors"]
    config = plain_config(evaluate_loras=tuple(paths))
    grid = planned_grid(config, [], [], 0)
    assert grid is not None
    assert [(file.id, file.name) for file in grid.files] == [(name, name) for name in told_apart(paths)]


OF_SD_SCRIPTS = {"ss_session_id": "1892", "ss_seed": "42", "ss_output_name": "toy", "modelspec.title": "toy"}


def lora_files(folder: Path, *said: dict[str, str]) -> list[Path]:
    paths = [folder / f"{index}.safetensors" for index in range(len(said))]
    for path, metadata in zip(paths, said, strict=True):
        header = json.dumps({"__metadata__": metadata}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
    return paths


def at_step(steps: str, **more: str) -> dict[str, str]:
    return {**OF_SD_SCRIPTS, "ss_steps": steps, "ss_epoch": steps, "ss_training_finished_at": f"1.{steps}", **more}


def test_files_of_one_training_say_after_which_step_they_were_written(tmp_path: Path) -> None:
    paths = lora_files(tmp_path, at_step("800", sshs_model_hash="ab"), at_step("400", sshs_model_hash="cd"))
    assert steps_said(paths) == [800, 400]


@pytest.mark.parametrize(
    "other",
    [
        at_step("400", ss_session_id="7"),
        at_step("400", ss_unet_lr="0.1"),
        at_step("four"),
        at_step("0"),
        at_step("9" * 5000),
        at_step("٤"),
        {},
        OF_SD_SCRIPTS,
    ],
    ids=["another session", "another rate", "no number", "zero", "endless", "other digits", "silent", "no steps"],
)
def test_steps_that_are_not_of_one_training_or_none_say_nothing(tmp_path: Path, other: dict[str, str]) -> None:
    assert steps_said(lora_files(tmp_path, at_step("800"), other)) == [0, 0]


def test_steps_alone_do_not_make_files_those_of_one_training(tmp_path: Path) -> None:
    assert steps_said(lora_files(tmp_path, {"ss_steps": "800"}, {"ss_steps": "400"})) == [0, 0]
    assert steps_said(lora_files(tmp_path, at_step("800"))) == [800]
    assert steps_said([]) == []


def test_a_grid_that_no_judgement_holds_is_refused_before_anything_is_drawn() -> None:
    files = tuple(f"/{number}.safetensors" for number in range(20))
    large = plain_config(evaluate_loras=files, evaluate_seeds=100, evaluate_weights=(0.0, 0.5, 0.8, 1.0))
    with pytest.raises(ConfigError, match=r"24,400 pictures .* no more than 20,000") as refusal:
        planned_grid(large, [], [], 0)
    assert refusal.value.code == "evaluate.too_many"
    few = replace(large, evaluate_seeds=50, resolution=(1024, 1024))
    with pytest.raises(ConfigError, match="no more than 7,629"):
        planned_grid(few, [], [], 0)
    grid = planned_grid(replace(few, evaluate_seeds=10), [], [], 0)
    assert grid is not None
    assert grid.num_pictures == len(list(itertools.chain(*grid.batches())))


def test_what_is_asked_for_twice_is_drawn_once() -> None:
    own = ("{trigger} on a beach", "dog on a beach", "{trigger} on a beach")
    config = plain_config(trigger_word="zorb", evaluate_class_word="dog", evaluate_prompts=own)
    texts = [(prompt.role, prompt.text, prompt.negative) for prompt in grid_prompts(config)]
    assert len(set(texts)) == len(texts)
    assert [text for role, text, _ in texts if role is Role.WITHOUT] == ["dog on a beach"]


def judgement_of(*pictures: Judged) -> Judgement:
    return Judgement(grid=GRID, pictures=pictures, features={"dino": "facebook/dinov2-small"})


def test_a_judgement_reads_back_as_it_was_written() -> None:
    written = judgement_of(
        Judged(cell=Cell(-1, 0.0, 0, 101), scores={"likeness": 0.25}, width=512, height=768),
        Judged(cell=Cell(2, 0.5, 3, 102), scores={}),
    )
    assert parse_judgement(written.to_bytes()) == written


@pytest.mark.parametrize(
    "spoil",
    [
        {"version": 2},
        {"pictures": [[7, 1.0, 0, 101, 1, 1, {}]]},
        {"pictures": [[0, 1.0, 99, 101, 1, 1, {}]]},
        {"pictures": [[0, 1.0, 0, 101, 1, 1, {"likeness": "high"}]]},
        {"weights": [math.nan]},
        {"prompts": [{"role": "start", "text": 5, "negative": "", "plain": ""}]},
        {"files": None},
    ],
)
def test_a_judgement_that_lies_is_refused(spoil: dict[str, object]) -> None:
    document = json.loads(judgement_of().to_bytes())
    with pytest.raises(ProtocolError) as refusal:
        parse_judgement(json.dumps({**document, **spoil}).encode())
    assert refusal.value.code == "judgement.damaged"


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_judgement(content)


def test_texts_of_a_judgement_can_not_steer_a_terminal() -> None:
    prompt = GridPrompt(role=Role.START, text="a\x1b[31m cat", negative="", plain="a cat")
    grid = Grid(files=FILES, weights=(1.0,), seeds=(101,), prompts=(prompt,))
    read = parse_judgement(Judgement(grid=grid, pictures=(), features={}).to_bytes())
    assert read.grid.prompts[0].text == "a[31m cat"


def test_a_mean_knows_how_sure_it_is() -> None:
    mean = mean_of([0.0, 1.0, 0.0, 1.0])
    assert (mean.value, mean.count) == (0.5, 4)
    assert mean.error == pytest.approx(math.sqrt(1 / 3 / 4))
    assert mean_of([1.0]).error == math.inf


def test_what_pictures_of_a_prompt_have_together_counts_once_a_prompt() -> None:
    def judged(*values: float) -> dict[str, Mean]:
        cells = [Cell(0, 1.0, prompt, seed) for prompt in range(len(values)) for seed in (101, 102)]
        scores = [{"diversity": values[cell.prompt], "likeness": values[cell.prompt]} for cell in cells]
        pictures = [Judged(cell=cell, scores=each) for cell, each in zip(cells, scores, strict=True)]
        return means_at(judgement_of(*pictures), file=0, weight=1.0)

    # Two seeds: each is as far from the other as the other from it. That is one fact, and not two that agree.
    assert judged(0.3)["diversity"] == Mean(0.3, math.inf, 1)
    assert judged(0.3)["likeness"] == Mean(0.3, 0.0, 2)
    several = judged(0.2, 0.4, 0.6)["diversity"]
    assert (several.value, several.count) == (pytest.approx(0.4), 3)
    assert several.error == pytest.approx(mean_of([0.2, 0.4, 0.6]).error)


def test_pictures_with_another_lora_count_for_none_of_them() -> None:
    together = next(index for index, each in enumerate(PROMPTS) if each.role is Role.TOGETHER)
    judged = judgement_of(
        Judged(cell=Cell(0, 1.0, 0, 101), scores={"likeness": 0.5}),
        Judged(cell=Cell(0, 1.0, together, 101), scores={"likeness": 0.1}),
        Judged(cell=Cell(1, 1.0, 0, 101), scores={"likeness": 0.9}),
    )
    assert means_at(judged, file=0, weight=1.0)["likeness"].value == 0.5
