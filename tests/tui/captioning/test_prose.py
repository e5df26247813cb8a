"""Captions in sentences, by a BLIP that knows one word and a Florence-2 that has learned nothing, both made here."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BartTokenizerFast,
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

from loratui.captioning.prose import Describer, tidy
from loratui_protocol.errors import ModelError

pytestmark = pytest.mark.torch
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "meadow", "sky"]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that says "meadow" again and again."""
    folder = tmp_path_factory.mktemp("blip")
    (folder / "words.txt").write_text("\n".join(WORDS), "utf-8")
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = {**small, "vocab_size": len(WORDS), "encoder_hidden_size": 8, "max_position_embeddings": 128}
    ends = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(
        text_config={**text, **ends}, vision_config={**small, "image_size": 32, "patch_size": 16}, projection_dim=8
    )
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[WORDS.index("meadow")] = 50.0
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"), additional_special_tokens=["[DEC]"])
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def florence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that says whatever its random weights make of the picture."""
    folder = tmp_path_factory.mktemp("florence")
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocab = {word: number for number, word in enumerate(words)}
    tokenizer = BartTokenizerFast(vocab=vocab, merges=[], extra_special_tokens={"image_token": "<image>"})
    vision = Florence2VisionConfig(
        depths=(1,),
        patch_size=(7,),
        patch_stride=(4,),
        patch_padding=(3,),
        patch_prenorm=(False,),
        embed_dim=(8,),
        num_heads=(1,),
        num_groups=(1,),
        window_size=4,
        projection_dim=8,
        max_position_embeddings=16,
    )
    layers = {f"{part}_{name}": 1 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    text = {**layers, "d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "vocab_size": len(tokenizer)}
    config = Florence2Config(
        text_config={**text, "decoder_start_token_id": 2, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2},
        vision_config=vision,
        image_token_id=tokenizer.image_token_id,
        is_encoder_decoder=True,
    )
    torch.manual_seed(0)
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    preparing = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    # 8 x 8 patches, and what stands for all of them.
    preparing.image_seq_length = 65
    Florence2Processor(preparing, tokenizer).save_pretrained(folder)
    return folder


def test_florence_2_is_asked_for_a_caption_and_answers_the_same_every_time(florence: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    describer = Describer(florence, "florence2")
    said = describer.caption(tmp_path / "a.png")
    assert said == describer.caption(tmp_path / "a.png")
    assert said
    assert "\n" not in said
    assert not any(word in said for word in ("<s>", "<pad>", "<image>"))


def test_a_picture_is_described_in_the_words_of_the_model(blip: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (50, 20), (0, 200, 0, 128)).save(tmp_path / "a.png")
    words = Describer(blip, "blip").caption(tmp_path / "a.png").split()
    assert set(words) == {"meadow"}


def test_a_model_of_another_kind_or_none_is_refused(blip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a model of the kind blip") as caught:
        Describer(blip, "florence2")
    assert caught.value.code == "model.captioner"
    with pytest.raises(ModelError, match="can't be used as a blip model"):
        Describer(tmp_path, "blip")


def test_pickled_weights_and_code_of_the_models_author_are_never_loaded(blip: Path, tmp_path: Path) -> None:
    for path in blip.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can't be used"):
        Describer(tmp_path, "blip")


def test_a_caption_is_one_line_that_does_not_say_that_it_is_a_picture() -> None:
    assert tidy("The image shows a cat\non a  mat.") == "a cat on a mat."
    assert tidy("a cat; the image shows a mat") == "a cat; the image shows a mat"
    assert tidy("\x1b[31ma cat") == "[31ma cat"
    assert tidy("") == ""
