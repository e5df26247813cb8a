"""Whatever the tensors of a file are, the doctor says something of it, and nothing of that is no JSON."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from loratui.cli.lora_table import lora_table
from loratui.sessions.lora_check import check_lora
from support.lora_files import write_file

ROLES = [
    "lora_down.weight",
    "lora_up.weight",
    "lora_mid.weight",
    "alpha",
    "dora_scale",
    "hada_w1_a",
    "hada_w1_b",
    "hada_w2_a",
    "hada_w2_b",
    "hada_t1",
    "lokr_w1",
    "lokr_w1_a",
    "lokr_w1_b",
    "lokr_w2",
    "lokr_w2_a",
    "lokr_w2_b",
    "lokr_t2",
    "oft_blocks",
    "diff",
    "diff_b",
    "w_norm",
    "b_norm",
    "scalar",
    "lora_A.weight",
    "lora_B.weight",
    "lora.up.weight",
    "lora.down.weight",
]
NAMES = (
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
    "unet.mid_block.x",
    "bundle_emb.x",
    "lycoris_y",
    "base_model.model.z",
    "",
)
TAGS = ("[1]", '{"a":{"b":1e999,"c":true}}', '{"a":' * 3000, "")
ADAPTERS = ('{"r":0,"lora_alpha":1}', '{"unet.r":"x","unet.lora_alpha":[1]}', '{"r":2,"lora_alpha":4}', "7")


@pytest.mark.parametrize("seed", range(3))
def test_no_file_that_is_whole_is_too_odd(tmp_path: Path, seed: int):
    drawn = random.Random(seed)
    for _ in range(150):
        tensors = {}
        for _ in range(drawn.randint(1, 6)):
            shape = tuple(drawn.choice([0, 1, 1, 2, 3, 4]) for _ in range(drawn.choice([0, 1, 2, 2, 2, 3, 4])))
            whole = drawn.random() < 0.1
            value = 0 if whole else drawn.choice([0, 1, 1e30, np.nan, np.inf, -2])
            key = f"{drawn.choice(NAMES)}.{drawn.choice(ROLES)}"
            tensors[key] = np.full(shape, value, np.int64 if whole else np.float32)
        words = {"ss_tag_frequency": drawn.choice(TAGS), "lora_adapter_metadata": drawn.choice(ADAPTERS)}
        path = write_file(tmp_path / "a.safetensors", tensors, words, drawn.choice(["F32", "BF16"]))
        facts, findings = check_lora(path, drawn.choice([None, "builtin:tiny"]))
        json.dumps(facts.fields(), allow_nan=False)
        assert all(each.code.startswith("lora.") for each in findings)
        assert not facts.modules or list(lora_table(facts))
