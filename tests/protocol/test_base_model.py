import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui_protocol.base_model import files_of_hub_model, files_of_model
from loratui_protocol.errors import ModelError
from support.model_server import sdxl_files

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
    return {name: taken for name, taken in chosen.items() if not name.endswith((".json", ".txt", ".md"))}


def test_each_part_is_read_once_as_safetensors_where_there_are_some():
    chosen = files_of_model(HUB)
    assert weights(chosen) == {
        "text_encoder/model.safetensors": "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors": "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin": "vae/diffusion_pytorch_model.bin",
    }
    assert set(chosen) - set(weights(chosen)) == {
        "README.md",
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


SAFE_HUB = [*HUB, "vae/diffusion_pytorch_model.safetensors"]
XL_HUB = [
    *SAFE_HUB,
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "text_encoder_2/model.fp16.safetensors",
    "tokenizer_2/merges.txt",
    "vae_1_0/diffusion_pytorch_model.safetensors",
]


def test_of_sdxl_the_second_text_encoder_is_read_too():
    chosen = files_of_hub_model("org/xl", XL_HUB)
    assert chosen["text_encoder_2/model.safetensors"] == "text_encoder_2/model.fp16.safetensors"
    assert {"text_encoder_2/config.json", "tokenizer_2/merges.txt"} <= set(chosen)
    assert not any(name.startswith(("vae_1_0", "safety_checker")) for name in chosen)


@pytest.mark.parametrize(
    ("names", "said", "code"),
    [
        ([name for name in XL_HUB if not name.startswith("text_encoder/")], "an SDXL refiner", "model.unsupported"),
        (
            [*XL_HUB, "text_encoder_3/config.json", "transformer/config.json"],
            "a Stable Diffusion 3",
            "model.unsupported",
        ),
        ([*XL_HUB, "transformer/config.json"], "a transformer in place of a UNet", "model.unsupported"),
        ([name for name in XL_HUB if not name.startswith("tokenizer_2/")], "it lacks tokenizer_2", "model.incomplete"),
        ([name for name in SAFE_HUB if not name.startswith("vae/")], "it lacks vae", "model.incomplete"),
    ],
)
def test_what_is_no_model_that_can_be_trained_is_refused_by_name(names: list[str], said: str, code: str):
    with pytest.raises(ModelError) as caught:
        files_of_hub_model("org/name", names)
    assert caught.value.code == code
    assert said in caught.value.what


def test_what_tells_another_kind_of_model_is_seen():
    assert "transformer/config.json" in files_of_model(["transformer/config.json", "transformer/model.safetensors"])


def test_of_sdxls_own_hub_folder_each_part_comes_once_in_half_precision_and_in_no_other_format():
    files = sdxl_files()
    stems = {"text_encoder": "model", "text_encoder_2": "model"} | dict.fromkeys(
        ("unet", "vae"), "diffusion_pytorch_model"
    )
    assert files_of_hub_model("stabilityai/stable-diffusion-xl-base-1.0", files) == {
        "README.md": "README.md",
        "model_index.json": "model_index.json",
        "scheduler/scheduler_config.json": "scheduler/scheduler_config.json",
        **{f"{part}/{stem}.safetensors": f"{part}/{stem}.fp16.safetensors" for part, stem in stems.items()},
        **{f"{part}/config.json": f"{part}/config.json" for part in stems},
        **{name: name for name in files if name.startswith(("tokenizer/", "tokenizer_2/"))},
    }


def test_other_formats_and_copies_under_other_names_are_no_weights():
    assert not weights(files_of_model(["vae/openvino_model.bin", "vae/model.onnx", "vae/config.json"]))
    copies = [f"unet/{stem}.safetensors" for stem in ("diffusion_pytorch_model", "old_model")]
    assert set(files_of_model(copies)) == {"unet/diffusion_pytorch_model.safetensors"}


@given(st.lists(st.sampled_from(HUB), unique=True), st.booleans())
def test_nothing_is_invented_and_the_order_of_a_list_does_not_matter(names, is_half):
    chosen = files_of_model(names, is_half=is_half)
    assert set(chosen.values()) <= set(names)
    assert files_of_model(reversed(names), is_half=is_half) == chosen
