"""Captions beyond 75 tokens are read in chunks as sd-scripts reads them: training, looks, samples and the try-out."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from loratui_agent.train import evaluate, loop, saving, single_file, validation
from loratui_agent.train.controls import Controls
from loratui_agent.train.kinds import SDXL
from loratui_agent.train.models import load_models
from loratui_agent.train.run import Run
from loratui_agent.train.text import Prompts, num_cut_captions, tokenize_in_chunks
from loratui_protocol import messages
from loratui_protocol.messages import ArtifactKind
from support.tiny_run import HeardReporter, new_run, take_steps, trained
from support.tiny_sdxl import write_tiny_sdxl
from support.tiny_training import write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

FILLER = "red circle " * 40
"""Eighty words: what stands behind it is in the second chunk."""
NUM_CHUNKS = {75: 1, 150: 2, 225: 3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL as a diffusers folder."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("base") / "xl")


@pytest.fixture(scope="module")
def tokenizers() -> list[CLIPTokenizer]:
    """SDXL's: Stable Diffusion 1.x has the first one."""
    return [single_file.load_tokenizer(SDXL.configs / part.tokenizer) for part in SDXL.text_parts]


def sd_scripts_chunks(tokenizer: CLIPTokenizer, caption: str, max_token_length: int) -> list[list[int]]:
    """Return what sd-scripts makes of a caption, told in its order of doing it."""
    start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    words = tokenizer(caption, add_special_tokens=False, verbose=False).input_ids[:max_token_length]
    whole = [start, *words, end] + [pad] * (max_token_length - len(words))
    if max_token_length == 75:
        return [whole]
    chunks = []
    for first in range(1, max_token_length, 75):
        chunk = [start, *whole[first : first + 75], whole[-1]]
        if chunk[-2] not in (end, pad):
            chunk[-1] = end
        if chunk[1] == pad:
            chunk[1] = end
        chunks.append(chunk)
    return chunks


words = st.sampled_from(["cat", "a", "zorbix", "!", "!!", "wallpaper,", "1girl"])
lengths = st.integers(0, 260) | st.sampled_from([74, 75, 76, 149, 150, 151, 224, 225, 226])


@given(lengths, st.lists(words, min_size=1, max_size=4), st.sampled_from(list(NUM_CHUNKS)))
def test_token_ids_are_cut_started_ended_and_padded_as_sd_scripts_does_it(
    tokenizers: list[CLIPTokenizer], length: int, some: list[str], max_token_length: int
):
    caption = " ".join((some * length)[:length])
    for tokenizer in tokenizers:
        [chunks] = tokenize_in_chunks(tokenizer, [caption], max_token_length).tolist()
        assert chunks == sd_scripts_chunks(tokenizer, caption, max_token_length)


def test_a_short_caption_leaves_the_other_chunks_empty(tokenizers: list[CLIPTokenizer]):
    for tokenizer, pad in zip(tokenizers, (49407, 0), strict=True):
        [chunks] = tokenize_in_chunks(tokenizer, ["cat"], 150).tolist()
        end_of_first = 49407 if pad == 49407 else 0
        assert chunks == [[49406, 2368, 49407, *[pad] * 73, end_of_first], [49406, 49407, *[pad] * 75]]


@pytest.mark.parametrize("max_token_length", [None, 75])
def test_unset_is_75_and_the_models_own_length(tokenizers: list[CLIPTokenizer], max_token_length: int | None):
    for tokenizer in tokenizers:
        ids = tokenize_in_chunks(tokenizer, [FILLER, "!!! cat"], max_token_length)
        expected = tokenizer([FILLER, "!!! cat"], padding="max_length", truncation=True, max_length=77)
        assert ids[:, 0].tolist() == expected.input_ids


@pytest.mark.parametrize("clip_skip", [None, 2])
def test_the_text_keeps_the_first_start_the_last_end_and_all_between(clip_skip: int | None):
    models = load_models("builtin:tiny", torch.float32)
    captions = [FILLER + "on a blue background", "a zorbix", ""]
    text = Prompts(models, trained=True, clip_skip=clip_skip, max_token_length=225).encode(captions).hidden_BLD
    ids = tokenize_in_chunks(models.tokenizers["tokenizer"], captions, 225)
    chunks = [
        models.kind.encode(list(models.text_encoders.values()), [ids[:, [number]]], clip_skip).hidden_BLD
        for number in range(3)
    ]
    expected = torch.cat([chunks[0][:, :1], *(chunk[:, 1:76] for chunk in chunks), chunks[2][:, 76:]], dim=1)
    assert text.shape[:2] == (3, 227)
    assert torch.allclose(text, expected, atol=1e-6)


def test_sdxl_takes_its_pooled_text_from_the_first_chunk(base: Path):
    models = load_models(str(base), torch.float32)
    one, other = (FILLER + tail for tail in ("on a blue background", "on a red background"))
    text = Prompts(models, trained=True, clip_skip=2, max_token_length=150).encode([one, other, "a zorbix"])
    short = Prompts(models, trained=True, clip_skip=2).encode([one, other, "a zorbix"])
    assert text.hidden_BLD.shape == (3, 152, 40)
    assert text.pooled_BP is not None
    assert short.pooled_BP is not None
    assert torch.allclose(text.pooled_BP, short.pooled_BP, atol=1e-6)
    assert torch.allclose(text.hidden_BLD[:, :76], short.hidden_BLD[:, :76], atol=1e-6)
    assert not torch.allclose(text.hidden_BLD[0, 76:], text.hidden_BLD[1, 76:])


def run_on(folder: Path, caption: str, num_pictures: int = 4, **changes: object) -> Run:
    """Return a run whose pictures are all captioned so."""
    (folder / "artifacts").mkdir(parents=True)
    for picture in write_pictures(folder / "pictures", num_pictures).rglob("*.txt"):
        picture.write_text(caption, "utf-8")
    return new_run(folder, **changes)


def learned_from(folder: Path, tail: str, **changes: object) -> dict[str, torch.Tensor]:
    run = run_on(folder / tail, FILLER + tail, **changes)
    take_steps(run, 1)
    return trained(run)


@pytest.mark.parametrize("is_text_trained", [False, True], ids=["frozen", "trained"])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_what_stands_beyond_75_tokens_is_learned_from(tmp_path: Path, base: Path, kind: str, is_text_trained: bool):
    changes = {
        "pretrained_model_name_or_path": str(base) if kind == "sdxl" else "builtin:tiny",
        "network_train_unet_only": not is_text_trained,
        "max_token_length": 150,
    }
    one, other = (learned_from(tmp_path, tail, **changes) for tail in ("blue", "green"))
    for part in {key.split("_")[1] for key in one}:
        assert not all(torch.equal(tensor, other[key]) for key, tensor in one.items() if key.split("_")[1] == part)


def test_without_being_asked_nothing_beyond_75_tokens_is_read(tmp_path: Path):
    one, other = (learned_from(tmp_path, tail) for tail in ("blue", "green"))
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_captions_that_are_cut_are_counted_against_what_is_asked(tmp_path: Path, tokenizers: list[CLIPTokenizer]):
    captions = ["cat " * 75, "cat " * 76, "cat " * 150, "cat " * 151, "cat " * 226]
    assert [num_cut_captions(tokenizers[0], captions, length) for length in NUM_CHUNKS] == [4, 2, 1]
    said = []
    for asked in (None, 150, 225):
        run = run_on(tmp_path / str(asked), "red " * 226, max_token_length=asked)
        loop.encode_prompts(run)
        assert isinstance(run.reporter, HeardReporter)
        said += [event.message for event in run.reporter.heard if isinstance(event, messages.Warn)]
    assert said == [
        "4 of 4 captions have more than 75 tokens: the rest is not read; max_token_length = 150 or 225 reads more",
        "4 of 4 captions have more than 150 tokens: the rest is not read; max_token_length = 225 reads more",
        "4 of 4 captions have more than 225 tokens: the rest is not read",
    ]


def test_looks_and_samples_and_the_try_out_read_as_far_as_training_does(tmp_path: Path, base: Path):
    seen = []
    for tail in ("blue", "green"):
        run = run_on(
            tmp_path / tail,
            FILLER + tail,
            6,
            pretrained_model_name_or_path=str(base),
            max_token_length=150,
            network_train_unet_only=True,
            sample_prompts=(FILLER + tail,),
            validation_split=0.5,
        )
        take_steps(run, 0)
        look = validation.look(run)
        saving.make_samples(run, Controls(run.reporter))
        sample = (run.job.artifacts / "sample-step00000000-00.png").read_bytes()
        saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
        file, device = run.job.artifacts / saved.id, torch.device("cpu")
        tryout = evaluate.Tryout(base, base, file, device, (64, 64), max_token_length=150)
        [picture] = tryout.pictures([FILLER + tail], [1], 1.0, lambda _: None)
        seen.append((look.loss, look.train_loss, sample, picture.tobytes()))
    assert all(one != other for one, other in zip(*seen, strict=True))
