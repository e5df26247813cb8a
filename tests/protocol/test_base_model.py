from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.base_model import files_of_model

HUB = [
    "model_index.json",
    "README.md",
    "v1-5-pruned-emaonly.safetensors",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_flax_model.msgpack",
    "vae/config.json",
    "vae/diffusion_pytorch_model.bin",
]


def weights(chosen: dict[str, str]) -> dict[str, str]:
    return {name: taken for name, taken in chosen.items() if not name.endswith((".json", ".txt"))}


def test_each_part_is_read_once_as_safetensors_where_there_are_some():
    chosen = files_of_model(HUB)
    assert weights(chosen) == {
        "text_encoder/model.safetensors": "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors": "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin": "vae/diffusion_pytorch_model.bin",
    }
    assert set(chosen) - set(weights(chosen)) == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "vae/config.json",
    }


def test_half_precision_comes_under_the_plain_name():
    chosen = weights(files_of_model(HUB, is_half=True))
    unet = "unet/diffusion_pytorch_model"
    assert chosen[f"{unet}.safetensors"] == f"{unet}.fp16.safetensors"
    assert f"{unet}.fp16.safetensors" not in chosen


def test_shards_come_with_the_index_that_names_them_and_without_them_no_index_does():
    shards = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    assert set(files_of_model([index, *shards])) == {index, *shards}
    assert set(files_of_model([index, "unet/diffusion_pytorch_model.safetensors"])) == {
        "unet/diffusion_pytorch_model.safetensors"
    }


def test_what_tells_another_kind_of_model_is_seen():
    assert "text_encoder_2/config.json" in files_of_model(["text_encoder_2/config.json", "text_encoder_2/model.bin"])


@given(st.lists(st.sampled_from(HUB), unique=True), st.booleans())
def test_nothing_is_invented_and_the_order_of_a_list_does_not_matter(names, is_half):
    chosen = files_of_model(names, is_half=is_half)
    assert set(chosen.values()) <= set(names)
    assert files_of_model(reversed(names), is_half=is_half) == chosen
