from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.plan import plan
from loratui_protocol.sample_prompts import NUM_DERIVED, SamplePrompt, prompts_of, read_prompt
from loratui_protocol.subsets import DatasetConfig, Subset
from support.protocol_strategies import picture, plain_config


def test_options_behind_a_prompt_are_its_own() -> None:
    prompt, idle = read_prompt("a cat, red --n ugly, blurry --w 768 --h 512 --D 42 --l 7.5 --s 30")
    assert prompt == SamplePrompt(
        text="a cat, red",
        negative="ugly, blurry",
        width=768,
        height=512,
        seed=42,
        num_inference_steps=30,
        guidance_scale=7.5,
    )
    assert idle == []


def test_an_option_that_can_not_be_done_is_named_and_no_part_of_the_prompt() -> None:
    prompt, idle = read_prompt("a cat --ss euler_a --w wide --h 512 --s 0 --d 99999999999999999 --l")
    assert prompt == SamplePrompt(text="a cat", height=512)
    assert idle == ["--ss euler_a", "--w wide", "--s 0", "--d 99999999999999999", "--l"]
    assert read_prompt("--w 512") == (SamplePrompt(text="", width=512), [])
    assert read_prompt("a well-known cat") == (SamplePrompt(text="a well-known cat"), [])


@given(st.text())
def test_any_line_is_read(line: str) -> None:
    prompt, _ = read_prompt(line)
    assert " --" not in f" {prompt.text}"


DATASET = [
    *(replace(picture(number), caption=f"a cat, {number % 8}") for number in range(16)),
    replace(picture(16), caption=""),
    *(replace(picture(number, is_reg=True), caption="a shape") for number in range(17, 20)),
]


def test_without_prompts_some_captions_from_all_over_the_dataset_stand_in() -> None:
    config = plain_config(sample_every_n_steps=10, max_train_steps=20, caption_suffix="photo")
    planned = plan(config, DATASET)
    chosen = [prompt.text for prompt in planned.samples.prompts]
    assert chosen == ["a cat, 0 photo", "a cat, 2 photo", "a cat, 4 photo", "a cat, 6 photo"]
    assert len(chosen) == NUM_DERIVED
    assert (planned.sample_steps, planned.num_sample_pictures) == ((10, 20), 4 * 3)
    told = next(each for each in planned.findings if each.code == "plan.samples_derived")
    assert "4 of the 9 different captions" in told.what
    assert "'a cat, 2 photo'" in told.what
    assert plan(plain_config(), DATASET).num_sample_pictures == 0


def test_captions_stand_in_with_the_prefix_of_their_own_folder() -> None:
    folders = (
        Subset(image_dir="a", num_repeats=1, settings={"caption_prefix": "photo of"}),
        Subset(image_dir="b", num_repeats=1, settings={}),
    )
    config = plain_config(caption_prefix="drawing of", datasets=(DatasetConfig(subsets=folders),))
    pictures = [replace(picture(0), caption="a cat"), replace(picture(1), caption="a dog", subset=1)]
    assert [each.text for each in prompts_of(config, pictures).prompts] == ["photo of a cat", "drawing of a dog"]


def test_few_captions_are_all_taken_and_none_is_said() -> None:
    config = plain_config(sample_at_first=True)
    assert [each.text for each in prompts_of(config, DATASET[:1] * 3).prompts] == ["a cat, 0"]
    without = prompts_of(config, [replace(each, caption=" ") for each in DATASET])
    assert (without.prompts, [each.code for each in without.findings]) == ((), ["plan.no_samples"])
    assert prompts_of(plain_config(), []).findings == ()


def test_prompts_of_the_config_are_taken_as_they_are() -> None:
    found = prompts_of(plain_config(sample_prompts=("a dog --d 3",)), DATASET)
    assert found.prompts == (SamplePrompt(text="a dog", seed=3),)
    assert found.told == ""
