"""``check`` of a LoRA file, from whatever trainer: what it is, what is wrong with it, and what programs make of it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loratui.cli import main
from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, TINY_NETWORK, Place, all_layers
from support.checkpoint_headers import sdxl, write_header
from support.lora_files import Tensors, attention_layers, dotted, kohya, write_file

SD1_WORDS = {
    "ss_base_model_version": "sd_v1",
    "ss_sd_model_name": "mine.safetensors",
    "modelspec.trigger_phrase": "mystyle",
    "ss_optimizer": "torch.optim.adamw.AdamW",
}
ENDS = (".lora_A.weight", ".lora_B.weight")


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Return a function that checks a file of these tensors: (exit status, findings by code, what is known)."""

    def tell(tensors: Tensors, metadata=SD1_WORDS, dtype="F16", *arguments: str) -> tuple[int, dict[str, Any], Any]:
        path = write_file(tmp_path / "cat.safetensors", tensors, metadata, dtype)
        status = main(["check", str(path), "--json", *arguments])
        document = json.loads(capsys.readouterr().out)
        return status, {each["code"]: each for each in document["findings"]}, next(iter(document["loras"]), None)

    return tell


def test_a_lora_of_sd_scripts_is_known_by_its_layers(told):
    status, findings, known = told(kohya(SD1_NETWORK, 2, 1.0))
    assert status == 0
    assert set(findings) == {"lora.config"}
    assert "cat.safetensors --to native" in findings["lora.config"]["fix"]
    assert (known["base"], known["kinds"], known["names"]) == ("Stable Diffusion 1.x", ["LoRA"], ["kohya's"])
    assert known["parts"] == {"UNet": 192, "text encoder": 72}
    assert known["ranks"] == [{"rank": 2, "alpha": 1.0, "modules": 264}]
    assert known["trigger"] == "mystyle"
    assert known["snippets"]["prompt"] == "<lora:cat:0.8> mystyle"
    blocks = {each["block"]: each["norm"] for each in known["blocks"]}
    assert list(blocks)[:2] == ["UNet down_blocks_0", "UNet down_blocks_1"]
    assert sum(norm**2 for norm in blocks.values()) ** 0.5 == pytest.approx(known["norm"])


def test_a_lora_for_sdxl_has_two_text_encoders_and_its_version(told):
    tensors = kohya(SDXL_NETWORK, 1, None)
    _, findings, known = told(tensors, {"ss_base_model_version": "sdxl_base_v1-0"})
    assert known["base"] == "SDXL"
    assert known["parts"] == {"UNet": 722, "text encoder": 72, "text encoder 2": 192}
    assert {"lora.no_alpha", "lora.no_trigger"} == set(findings)
    _, findings, _ = told(tensors, {"ss_output_name": "cat"})
    assert "hides it" in findings["lora.no_version"]["what"]


def test_onetrainers_names_are_kohyas_with_diffusers_layers(told):
    tensors = {}
    for layer in attention_layers(SDXL_NETWORK):
        name = lora_names(SDXL_NETWORK.architecture, layer.part, layer.name)[-1]
        tensors[f"{name}.lora_down.weight"] = np.ones((1, layer.taken), np.float32)
        tensors[f"{name}.lora_up.weight"] = np.ones((layer.given, 1), np.float32)
        tensors[f"{name}.alpha"] = np.array(1.0)
    status, findings, known = told(tensors, {"ss_base_model_version": "sdxl_base_v1-0"}, "BF16")
    assert (status, known["base"], known["dtypes"]) == (0, "SDXL", ["BF16"])
    assert set(findings) == {"lora.no_trigger"}


@pytest.mark.parametrize(
    ("ends", "rename"),
    [
        (ENDS, str),
        ((".lora.down.weight", ".lora.up.weight"), str),
        # Attention as diffusers named it at first.
        (
            ("_lora.down.weight", "_lora.up.weight"),
            lambda name: re.sub(r"\.(to_\w+)(\.0)?$", r".processor.\1", name),
        ),
    ],
)
def test_names_of_diffusers_and_peft_are_read_and_said_not_to_be_a1111s(told, ends, rename):
    status, findings, known = told(dotted(SD1_NETWORK, ends, rename, 1))
    assert (status, known["base"], known["parts"]) == (0, "Stable Diffusion 1.x", {"text encoder": 72, "UNet": 192})
    assert "A1111 has no place for them" in findings["lora.dotted_names"]["what"]
    assert "lora.unknown_layers" not in findings


def test_an_alpha_that_only_diffusers_reads_is_told_with_the_weight_to_use(told):
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 2})}
    _, findings, _ = told(dotted(TINY_NETWORK, ENDS), metadata)
    assert "diffusers multiplies by 0.5" in findings["lora.alpha_aside"]["what"]
    assert "0.5 times the weight" in findings["lora.alpha_aside"]["fix"]


def test_what_peft_saves_by_itself_and_what_lycoris_names_itself_is_said_to_have_no_place(told):
    _, findings, _ = told(dotted(TINY_NETWORK, ENDS, lambda name: f"base_model.model.{name}"))
    assert "lora.raw_peft" in findings
    of_unet = {name: value for name, value in kohya(TINY_NETWORK).items() if name.startswith("lora_unet_")}
    status, findings, known = told({name.replace("lora_unet_", "lycoris_"): value for name, value in of_unet.items()})
    assert (status, known["parts"]) == (0, {"UNet": len(of_unet) // 3})
    assert "lora.lycoris_names" in findings


def test_what_no_loader_knows_is_counted_and_what_onetrainer_bundles_is_not_among_it(told):
    bundled = {"bundle_emb.mystyle.clip_l": np.ones((2, 64))}
    _, findings, _ = told(kohya(TINY_NETWORK) | bundled)
    assert "lora.embedding" in findings
    assert "lora.unknown_keys" not in findings
    _, findings, _ = told(kohya(TINY_NETWORK) | bundled | {"extra.weight": np.ones((2, 2))})
    assert "1 tensor is there that no loader knows" in findings["lora.unknown_keys"]["what"]


def test_other_kinds_are_named_with_who_loads_them(told):
    tensors = {}
    for layer in attention_layers(TINY_NETWORK):
        name = lora_names(TINY_NETWORK.architecture, layer.part, layer.name)[0]
        for which in "12":
            tensors[f"{name}.hada_w{which}_a"] = np.ones((layer.given, 1), np.float32)
            tensors[f"{name}.hada_w{which}_b"] = np.ones((1, layer.taken), np.float32)
        tensors[f"{name}.alpha"] = np.array(1.0)
    status, findings, known = told(tensors)
    assert (status, known["kinds"], known["base"]) == (0, ["LoHa"], "builtin:tiny")
    assert "diffusers refuses it" in findings["lora.not_for_diffusers"]["what"]


def test_a_dora_is_told_with_what_its_norm_leaves_out(told):
    tensors = kohya(TINY_NETWORK)
    downs = [name for name in tensors if name.endswith(".lora_down.weight")]
    tensors |= {name.replace("lora_down.weight", "dora_scale"): np.ones((1, 64), np.float32) for name in downs}
    _, findings, known = told(tensors)
    assert known["kinds"] == ["DoRA on LoRA"]
    assert {"lora.dora", "lora.dora_norm"} <= set(findings)


def without_ups(tensors: Tensors, part: str = "") -> Tensors:
    return {
        name: np.zeros_like(value) if "lora_up" in name and part in name else value for name, value in tensors.items()
    }


@pytest.mark.parametrize(
    ("tensors", "metadata", "why"),
    [
        (without_ups(kohya(TINY_NETWORK)), SD1_WORDS, "every up matrix is zero"),
        (without_ups(kohya(TINY_NETWORK)), {"ss_unet_lr": "0.0", "ss_learning_rate": "0"}, "a learning rate of 0"),
        (kohya(TINY_NETWORK, 4, 0.0), SD1_WORDS, "alpha is 0 everywhere"),
    ],
)
def test_without_effect_the_reason_is_told(told, tensors, metadata, why):
    status, findings, known = told(tensors, metadata)
    assert status == 1
    assert why in findings["lora.no_effect"]["what"]
    assert known["norm"] == 0


def test_a_part_that_learned_nothing_is_told_by_itself(told):
    status, findings, _ = told(without_ups(kohya(TINY_NETWORK), "lora_te_"))
    assert status == 0
    assert "the text encoder is not changed" in findings["lora.idle_part"]["what"]


def test_names_that_no_loader_takes_have_no_effect(told):
    tensors = {
        name.replace("lora_unet_", "net_").replace("lora_te_", "net_"): v for name, v in kohya(TINY_NETWORK).items()
    }
    status, findings, _ = told(tensors)
    assert status == 1
    assert "no loader has a place" in findings["lora.no_effect"]["what"]


def test_a_layer_that_the_base_model_has_not_is_counted(told):
    tensors = kohya(SD1_NETWORK, 1)
    name = "lora_unet_down_blocks_9_attentions_0_proj_in"
    tensors |= {f"{name}.lora_down.weight": np.ones((1, 8)), f"{name}.lora_up.weight": np.ones((8, 1))}
    _, findings, _ = told(tensors)
    assert "1 of 265 modules has a layer" in findings["lora.unknown_layers"]["what"]
    assert name in findings["lora.unknown_layers"]["what"]


def test_numbers_that_are_none_are_counted_and_null_in_json(told):
    tensors = kohya(TINY_NETWORK)
    next(value for name, value in tensors.items() if "lora_up" in name)[0, 0] = np.nan
    status, findings, known = told(tensors)
    assert (status, known["norm"]) == (1, None)
    assert re.search(r"1 of \d+ modules has NaN", findings["lora.nan"]["what"])


def test_with_another_kind_of_base_model_it_is_an_error(told, tmp_path: Path):
    model = str(write_header(tmp_path / "sdxl.safetensors", sdxl()))
    status, findings, _ = told(kohya(SD1_NETWORK, 1), SD1_WORDS, "F16", "--base", model)
    assert status == 1
    assert "it is for Stable Diffusion 1.x" in findings["lora.other_base"]["what"]
    status, findings, _ = told(
        kohya(SD1_NETWORK, 1), SD1_WORDS, "F16", "--base", "stable-diffusion-v1-5/stable-diffusion-v1-5"
    )
    assert status == 0
    assert "it was trained on mine.safetensors" in findings["lora.other_checkpoint"]["what"]


@pytest.mark.parametrize(
    ("width", "base"), [(768, "Stable Diffusion 1.x"), (1024, "Stable Diffusion 2.x"), (1280, "the SDXL refiner")]
)
def test_the_width_of_its_text_tells_the_base_model(told, width: int, base: str):
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {f"{name}.lora_down.weight": np.ones((1, width)), f"{name}.lora_up.weight": np.ones((640, 1))}
    assert told(tensors)[2]["base"] == base


def test_a_lora_for_flux_is_told_and_that_its_metadata_says_otherwise(told):
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    tensors = {f"{name}.lora_down.weight": np.ones((1, 8)), f"{name}.lora_up.weight": np.ones((8, 1))}
    _, findings, known = told(tensors)
    assert (known["base"], known["parts"]) == ("Flux, or a model that is built like it", {"transformer": 1})
    assert "lora.metadata_base" in findings


def test_without_metadata_it_is_said_what_a1111_does(told):
    _, findings, _ = told(kohya(TINY_NETWORK), None)
    assert "unknown version" in findings["lora.no_metadata"]["what"]


def test_the_most_frequent_tags_are_offered_where_no_trigger_is_told(told):
    tags = {"10_cat": {"sks cat": 20, "grass": 4, "sky": 3, "red": 1}}
    _, findings, known = told(kohya(TINY_NETWORK), {"ss_tag_frequency": json.dumps(tags)})
    assert known["likely_triggers"] == ["sks cat", "grass", "sky"]
    assert "sks cat, grass, sky" in findings["lora.no_trigger"]["what"]


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["check", str(path), "--json"]) == 1
    return [each["code"] for each in json.loads(capsys.readouterr().out)["findings"]]


def test_what_is_cut_off_hostile_or_no_lora_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    whole = write_file(tmp_path / "a.safetensors", kohya(TINY_NETWORK))
    path = tmp_path / "b.safetensors"
    path.write_bytes(whole.read_bytes()[:-9])
    assert check(path, capsys) == ["model.truncated"]
    path.write_bytes((1 << 60).to_bytes(8, "little") + whole.read_bytes()[8:])
    assert check(path, capsys) == ["model.format"]
    path.write_bytes(whole.read_bytes() + b"more")
    assert check(path, capsys) == ["model.format"]
    path.write_bytes(b"PK\x03\x04" + bytes(64))
    assert check(path, capsys) == ["model.pickle"]
    (tmp_path / "c.pt").write_bytes(b"\x80\x02}q\x00.")
    assert check(tmp_path / "c.pt", capsys) == ["model.pickle"]
    assert check(write_header(path, sdxl()), capsys) == ["lora.not_lora"]
    assert check(write_file(path, {}), capsys) == ["lora.empty"]
    assert check(write_file(path, {"x": np.ones((2, 2))}), capsys) == ["lora.not_lora"]


def test_for_a_person_the_facts_stand_above_the_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    metadata = {**SD1_WORDS, "modelspec.trigger_phrase": "my\x1b[31mstyle"}
    tensors = kohya(TINY_NETWORK) | kohya(TINY_NETWORK, 2, 1.0, attention_layers(TINY_NETWORK)[:3])
    assert main(["check", str(write_file(tmp_path / "cat.safetensors", tensors, metadata))]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "cat.safetensors: LoRA for builtin:tiny"
    assert re.search(r"rank +4 \(alpha 2\) in \d+, 2 \(alpha 1\) in 3", said)
    assert "\x1b" not in said
    assert "UNet mid_block" in said
    assert said.splitlines()[-1].startswith("no errors")


def test_a_base_model_to_compare_with_is_for_loras_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(tmp_path), "--base", "builtin:tiny"]) == 2
    assert "[usage.base]" in capsys.readouterr().err


def test_convolutions_are_layers_like_others(told):
    tensors = kohya(TINY_NETWORK)
    for layer in (each for each in all_layers(TINY_NETWORK) if each.place is Place.RESNET):
        name = lora_names(TINY_NETWORK.architecture, layer.part, layer.name)[0]
        side = (3, 3) if layer.is_wide else (1, 1)
        channels = layer.taken // 9 if layer.is_wide else layer.taken
        tensors[f"{name}.lora_down.weight"] = np.ones((1, channels, *side))
        tensors[f"{name}.lora_up.weight"] = np.ones((layer.given, 1, 1, 1))
    _, findings, _ = told(tensors)
    assert "lora.unknown_layers" not in findings
