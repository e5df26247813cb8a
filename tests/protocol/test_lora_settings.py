"""A LoRA of any program gives what it says of its training, and what it doesn't say is told."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loratui_protocol.config_draft import draft
from loratui_protocol.config_file import Partial, read_config, read_partial
from loratui_protocol.errors import ConfigError, LoratuiError
from support.checkpoint_headers import Shape, write_header

KOHYA: dict[str, Shape] = {
    "lora_unet_a.lora_down.weight": (16, 8),
    "lora_unet_b.lora_down.weight": (16, 8),
    "lora_unet_c.lora_down.weight": (4, 8, 3, 3),
    "lora_te_x.lora_down.weight": (16, 8),
}
PEFT: dict[str, Shape] = {"unet.a.lora_A.weight": (32, 8), "unet.a.lora_B.weight": (8, 32)}


def of_lora(folder: Path, metadata: Mapping[str, str], tensors: Mapping[str, Shape] = KOHYA) -> Partial:
    return read_partial(write_header(folder / "cat.safetensors", tensors, metadata=metadata))


def told(partial: Partial) -> str:
    return "\n".join(f"[{each.code}] {each.what}" for each in (*partial.problems, *partial.findings))


def test_a_config_that_onetrainer_wrote_into_its_lora_is_read(tmp_path: Path) -> None:
    config = {
        "training_method": "LORA",
        "model_type": "STABLE_DIFFUSION_XL_10_BASE",
        "base_model_name": "stabilityai/stable-diffusion-xl-base-1.0",
        "lora_rank": 24,
        "layer_filter_preset": "attn-mlp",
        "concepts": [{"path": "C:/pictures/cat"}],
    }
    metadata = {"ot_branch": "master", "ss_base_model_version": "sdxl_", "ot_config": json.dumps(config)}
    partial = of_lora(tmp_path, metadata)
    assert (partial.kind, partial.values["network_dim"]) == ("onetrainer", 24)
    assert "image_dir in dataset 1, subset 1 is C:/pictures/cat" in told(partial)
    assert of_lora(tmp_path, {**metadata, "ot_config": "{"}).kind == "lora"
    # Nobody can add a key to a LoRA.
    without = {**config, "concepts": None, "concept_file_name": "concepts.json"}
    [problem] = of_lora(tmp_path, {**metadata, "ot_config": json.dumps(without)}).problems
    assert "cat.safetensors --to native" in problem.fix


def test_what_a_lora_leaves_out_is_told_with_what_stands_for_it(tmp_path: Path) -> None:
    # As ai-toolkit writes it.
    metadata = {"ss_base_model_version": "sd_1.5", "ss_output_name": "x", "software": '{"name": "ai-toolkit"}'}
    partial = of_lora(tmp_path, metadata)
    assert {problem.code for problem in partial.problems} == {"config.missing_key"}
    assert "doesn't say what its base was, but that it was of SD 1.x" in told(partial)
    assert "our own defaults stand: learning_rate = 0.0001, optimizer_type" in told(partial)
    assert draft(partial) is not None
    all_told = {"learning_rate": "1e-4", "optimizer": "torch.optim.AdamW", "lr_scheduler": "constant"}
    all_told |= {"max_train_steps": "9", "batch_size_per_device": "1", "resolution": "512"}
    whole = of_lora(tmp_path, {f"ss_{key}": value for key, value in all_told.items()})
    assert "our own defaults" not in told(whole)


@pytest.mark.parametrize("written", [{}, {"ss_network_dim": "Dynamic", "ss_network_alpha": "Dynamic"}])
def test_ranks_are_those_of_the_layers_where_the_metadata_has_none(tmp_path: Path, written: dict[str, str]) -> None:
    partial = of_lora(tmp_path, {"ss_output_name": "x", **written})
    assert (partial.values["network_dim"], partial.values["network_args"]) == (16, {"conv_dim": 4.0})
    assert "network_dim = 16 is that of the file's layers" in told(partial)
    uneven = {**KOHYA, "lora_unet_d.lora_down.weight": (8, 8)}
    assert "they differ" in told(of_lora(tmp_path, {"ss_output_name": "x"}, uneven))


@pytest.mark.parametrize(("tensors", "rank"), [(KOHYA, 16), (PEFT, 32)])
def test_a_lora_that_says_nothing_is_told_its_rank(tmp_path: Path, tensors: dict[str, Shape], rank: int) -> None:
    with pytest.raises(ConfigError, match=f"layers of rank {rank}") as caught:
        of_lora(tmp_path, {"format": "pt"}, tensors)
    assert f"network_dim = {rank}" in caught.value.fix


def test_lycoris_locon_is_what_networks_lora_makes(tmp_path: Path) -> None:
    metadata = {"ss_network_module": "lycoris.kohya", "ss_network_dim": "16"}
    args = {"algo": "locon", "conv_dim": "8", "dropout": "0"}
    partial = of_lora(tmp_path, {**metadata, "ss_network_args": json.dumps(args)})
    assert partial.values["network_args"] == {"conv_dim": 8.0}
    assert {problem.code for problem in partial.problems} == {"config.missing_key"}
    # Without a rank of their own its convolutions have one all the same.
    plain = of_lora(tmp_path, {**metadata, "ss_network_args": '{"algo": "lora"}'})
    assert plain.values["network_args"] == {"conv_dim": 4.0}
    for changed in ({"algo": "loha"}, {"algo": "locon", "use_tucker": "True"}):
        refused = of_lora(tmp_path, {**metadata, "ss_network_args": json.dumps(changed)})
        assert "config.unsupported" in {problem.code for problem in refused.problems}
    of_lora(tmp_path, {**metadata, "ss_network_args": "[1]"})


def test_an_old_lora_of_sdxl_is_known_by_its_two_text_encoders(tmp_path: Path) -> None:
    tensors = {"lora_te1_x.lora_down.weight": (4, 8), "lora_unet_x.lora_down.weight": (4, 8)}
    assert "but that it was SDXL's" in told(of_lora(tmp_path, {"ss_network_dim": "4"}, tensors))


def test_what_is_said_of_the_first_folder_alone_is_taken(tmp_path: Path) -> None:
    subset = {"image_dir": "cat", "keep_tokens": 2, "shuffle_caption": True, "flip_aug": False, "random_crop": True}
    datasets = [{"resolution": [768, 768], "subsets": [subset, {**subset, "keep_tokens": 1}]}]
    partial = of_lora(tmp_path, {"ss_network_dim": "4", "ss_datasets": json.dumps(datasets)})
    assert (partial.values["keep_tokens"], partial.values["shuffle_caption"]) == (2, True)
    assert partial.values["resolution"] == (768, 768)
    assert "keep_tokens = 2 is that of the first folder" in told(partial)
    assert "shuffle_caption = True is that" not in told(partial)
    assert "random crops" in told(partial)


def test_a_base_elsewhere_is_named_as_it_is_written(tmp_path: Path) -> None:
    partial = of_lora(tmp_path, {"ss_network_dim": "4", "ss_sd_model_name": "D:\\models\\base.safetensors"})
    assert "pretrained_model_name_or_path is D:\\models\\base.safetensors, a path of another machine" in told(partial)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "cat.safetensors")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["subsets", "algo", "conv_dim", "keep_tokens", "resolution"]), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(datasets=JSON, args=JSON, module=st.sampled_from(["networks.lora", "lycoris.kohya"]))
def test_any_json_in_the_metadata_is_read_or_refused(
    tmp_path: Path, datasets: object, args: object, module: str
) -> None:
    written = {"ss_datasets": json.dumps(datasets), "ss_network_args": json.dumps(args), "ss_network_module": module}
    of_lora(tmp_path, written)
    with contextlib.suppress(LoratuiError):
        of_lora(tmp_path, {"ot_config": json.dumps({"training_method": "LORA", "concepts": datasets, "unet": args})})
