import contextlib
from pathlib import Path

import pytest
from hypothesis import given

from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_file import Loaded, parse_config, read_config, to_toml
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.kohya import CERTAIN, UNSUPPORTED, WITHOUT_EFFECT
from support.protocol_strategies import configs

NEEDED = 'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "/data"\nnetwork_module = "networks.lora"\n'


def read(text: str) -> Loaded:
    return parse_config(NEEDED + text, Path("/base"))


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value


def finding(text: str, code: str) -> Finding:
    (found,) = [finding for finding in read(text).findings if finding.code == code]
    return found


def codes(text: str) -> set[str]:
    return {found.code for found in read(text).findings}


@given(configs())
def test_a_config_written_and_read_again_is_the_same(config: TrainingConfig) -> None:
    assert parse_config(to_toml(config), Path("/elsewhere")).config == config


@given(configs())
def test_what_we_write_has_no_trap_in_it(config: TrainingConfig) -> None:
    found = parse_config(to_toml(config), Path("/elsewhere")).findings
    assert {finding.code for finding in found} <= {
        "config.overridden",
        "config.alpha",
        "config.alpha_of_diffusers",
        "config.restarts",
        "config.same_folder",
    }


def test_a_kohya_file_is_read_whatever_its_sections_are_called(tmp_path: Path) -> None:
    file = tmp_path / "training_config.toml"
    file.write_text("""
        seed = 7
        [model_arguments]
        pretrained_model_name_or_path = "builtin:tiny"
        v2 = false
        [anything]
        train_data_dir = "img"
        output_dir = "../out"
        resolution = "512,768"
        network_module = "networks.lora"
        network_dim = 32
        network_alpha = 16
        unet_lr = 1e-4
        text_encoder_lr = [5e-5]
        lr_scheduler = "cosine_with_restarts"
        lr_scheduler_num_cycles = 3
        lr_warmup_steps = 0.05
        optimizer_type = "adamw"
        optimizer_args = ["weight_decay=0.01", "betas=0.9,0.99", "amsgrad=True"]
        min_snr_gamma = 0
        caption_extension = ".txt"
    """)
    loaded = read_config(file)
    config = loaded.config
    assert config.seed == 7
    assert config.train_data_dir == str(tmp_path / "img")
    assert config.output_dir == str(tmp_path.parent / "out")
    assert config.resolution == (512, 768)
    assert (config.network_dim, config.network_alpha) == (32, 16.0)
    assert config.text_encoder_lr == 5e-5
    assert config.lr_warmup_steps == 0.05
    assert config.optimizer_type == "AdamW"
    assert config.optimizer_args == {"weight_decay": 0.01, "betas": (0.9, 0.99), "amsgrad": True}
    assert config.min_snr_gamma is None
    assert [found.code for found in loaded.findings] == ["config.save_state"]
    assert loaded.text == file.read_text()


# --- traps whose meaning is certain -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ['"512"', '"512,512"', "[512, 512]", '" 512 , 512 "', "[512]"])
def test_a_resolution_may_be_written_as_text_or_list(written: str) -> None:
    loaded = read(f"resolution = {written}")
    assert loaded.config.resolution == (512, 512)
    assert "config.resolution_form" not in {found.code for found in loaded.findings}


def test_an_integer_resolution_is_read_and_reported() -> None:
    assert read("resolution = 768").config.resolution == (768, 768)
    assert finding("resolution = 768", "config.resolution_form").fix.startswith('write resolution = "768,768"')


def test_batch_size_is_read_as_train_batch_size_and_reported() -> None:
    assert read("batch_size = 4").config.train_batch_size == 4
    assert "train_batch_size" in finding("batch_size = 4", "config.kohya_name").what


def test_a_missing_network_module_is_added_and_reported() -> None:
    loaded = parse_config('pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "/d"', Path("/"))
    assert loaded.config.network_module == "networks.lora"
    assert [found.severity for found in loaded.findings if found.code == "config.network_module"] == ["warning"]


def test_the_last_of_two_equal_keys_wins_and_is_reported() -> None:
    text = "[a]\nnetwork_dim = 8\n[b]\nnetwork_dim = 16"
    assert read(text).config.network_dim == 16
    assert "network_dim" in finding(text, "config.duplicate_key").what
    assert finding("train_batch_size = 2\nbatch_size = 3", "config.duplicate_key").severity == "warning"


def test_a_flag_may_be_a_number() -> None:
    assert read("flip_aug = 1").config.flip_aug is True
    assert read("enable_bucket = 0").config.enable_bucket is False
    assert finding("flip_aug = 1", "config.flag").fix == "write flip_aug = true"
    assert refusal("flip_aug = 2").code == "config.type"


def test_warm_up_with_constant_means_constant_with_warmup() -> None:
    text = 'lr_scheduler = "constant"\nlr_warmup_steps = 100'
    assert read(text).config.lr_scheduler == "constant_with_warmup"
    assert finding(text, "config.constant_warmup").severity == "warning"
    assert read("lr_warmup_steps = 100").config.lr_scheduler == "constant_with_warmup"


def test_a_warm_up_of_whole_steps_written_as_a_float_is_steps() -> None:
    text = 'lr_scheduler = "cosine"\nlr_warmup_steps = 100.0'
    assert read(text).config.lr_warmup_steps == 100
    assert type(read(text).config.lr_warmup_steps) is int
    assert "config.warmup_form" in codes(text)
    assert refusal('lr_scheduler = "cosine"\nlr_warmup_steps = 1.5').code == "config.value"


def test_a_caption_extension_may_lack_its_dot() -> None:
    assert read('caption_extension = "txt"').config.caption_extension == ".txt"
    assert "config.caption_extension" in codes('caption_extension = "txt"')


def test_an_empty_text_leaves_an_optional_key_unset() -> None:
    assert read('reg_data_dir = ""\nvae = ""\nmixed_precision = ""').config.reg_data_dir is None


# --- what is worth saying ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("max_train_epochs = 2\nmax_train_steps = 500", "max_train_steps"),
        ("learning_rate = 1e-3\nunet_lr = 1e-4\ntext_encoder_lr = 1e-5", "learning_rate"),
        ("keep_tokens = 1", "keep_tokens"),
        ("enable_bucket = false\nmax_bucket_reso = 1024", "max_bucket_reso"),
        ("bucket_no_upscale = true\nmin_bucket_reso = 128", "min_bucket_reso"),
        ('lr_scheduler = "cosine"\nlr_scheduler_num_cycles = 2', "lr_scheduler_num_cycles"),
        ("lr_scheduler_power = 2.0", "lr_scheduler_power"),
        ("prior_loss_weight = 0.5", "prior_loss_weight"),
        ("save_last_n_epochs = 2", "save_last_n_epochs"),
        ("save_last_n_steps = 100\nsave_every_n_epochs = 1", "save_last_n_steps"),
        ("save_every_n_epochs = 1\nkeep_every_n_epochs = 5", "keep_every_n_epochs"),
        ("save_every_n_steps = 10\nkeep_every_n_steps = 50", "keep_every_n_steps"),
        ("keep_best = true", "keep_best"),
        ("network_train_unet_only = true\ntext_encoder_lr = 1e-5", "text_encoder_lr"),
        ("network_train_text_encoder_only = true\nunet_lr = 1e-5", "unet_lr"),
    ],
)
def test_a_setting_that_another_one_switches_off_is_reported(text: str, key: str) -> None:
    found = finding(text, "config.overridden")
    assert found.severity == "warning"
    assert found.what.startswith(f"{key} has no effect")


def test_defaults_that_differ_from_sd_scripts_are_told() -> None:
    assert finding("network_dim = 8", "config.alpha").what.startswith("network_alpha is not set: it is 8")
    assert "config.alpha" not in codes("network_alpha = 1")
    assert "config.restarts" in codes('lr_scheduler = "cosine_with_restarts"')


@pytest.mark.parametrize("alphas", ["network_alpha = 1", 'network_args = ["conv_dim=8", "conv_alpha=4"]'])
def test_an_alpha_that_only_diffusers_would_find_is_told(alphas: str) -> None:
    code, diffusers = "config.alpha_of_diffusers", 'save_format = "diffusers"'
    assert code in codes(f"{diffusers}\n{alphas}")
    assert code not in codes(alphas)
    assert code not in codes(f'{diffusers}\nnetwork_args = ["conv_dim=8"]')


def test_a_key_without_effect_is_reported_with_the_reason() -> None:
    found = finding("xformers = true", "config.without_effect")
    assert found.severity == "warning"
    assert "scaled dot product" in found.what
    assert "config.without_effect" not in codes("xformers = false")


def test_a_secret_is_never_repeated() -> None:
    assert "s3cret" not in str(read('wandb_api_key = "s3cret"').findings)
    assert "s3cret" not in str(refusal('wandb_api_keyy = "s3cret"'))


def test_text_encoders_may_have_a_rate_each_as_in_sd_scripts() -> None:
    assert read("text_encoder_lr = [1e-4, 0]").config.text_encoder_lr == (1e-4, 0.0)
    assert refusal("text_encoder_lr = [1e-4, 1e-5, 1e-6]").code == "config.type"
    assert refusal("text_encoder_lr = [1e-4, -1.0]").code == "config.value"
    assert "text_encoder_lr" not in refusal("learning_rate = -1.0").what


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("learning_rte", "learning_rate"),
        ("lr", "learning_rate"),
        ("Network_Dim", "network_dim"),
        ("lora_rank", "network_dim"),
        ("xformer", "xformers"),
        ("weight_decay", "optimizer_args"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(key: str, meant: str) -> None:
    error = refusal(f"\n{key} = 1")
    assert error.code == "config.unknown_key"
    assert f"{key} (line 5)" in error.what
    assert error.fix == f"did you mean {meant}?"


def test_a_key_like_no_other_says_where_the_keys_are() -> None:
    assert "docs/config.md" in refusal("zzz = 1").fix


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ('learning_rate = "1e-4"', "write learning_rate = 1e-4"),
        ('network_dim = "32"', "write network_dim = 32"),
        ("network_dim = 32.0", "write network_dim = 32"),
        ("network_dim = true", "write network_dim = 1"),
        ('enable_bucket = "true"', "write enable_bucket = true"),
        ("output_name = 7", 'write output_name = "7"'),
        ("learning_rate = nan", "write learning_rate = 0.0001"),
        ("learning_rate = true", "write learning_rate = 0.0001"),
        ("resolution = 512.5", "write resolution = [512, 512]"),
        ('resolution = "512x512"', 'write resolution = "512,512"'),
        ("resolution = [1, 2, 3]", "write resolution = [512, 512]"),
        ("sample_prompts = [1]", 'write sample_prompts = ["a cat"]'),
        ("seed = 2026-11-24", "write seed = 16"),
        ('optimizer_args = "weight_decay=0.01"', 'write optimizer_args = ["weight_decay=0.01", "betas=0.9,0.99"]'),
        ("optimizer_type = 3", 'write optimizer_type = "3"'),
    ],
)
def test_a_wrong_type_is_an_error_with_the_exact_line_to_write(line: str, fix: str) -> None:
    error = refusal(line)
    assert error.code == "config.type"
    assert f"{line.partition(' ')[0]} (line 4)" in error.what
    assert error.fix == fix


def test_a_table_where_a_value_is_wanted_is_a_wrong_type() -> None:
    assert refusal("[training.network_dim]\nx = 1").code == "config.type"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('optimizer_args = ["weight_decy=0.1"]', "config.unknown_key"),
        ('optimizer_args = ["weight_decay=a lot"]', "config.type"),
        ('optimizer_args = ["betas=0.9"]', "config.type"),
        ('optimizer_args = ["weight_decay"]', "config.type"),
        ('optimizer_args = ["amsgrad=1"]', "config.type"),
        ("optimizer_args = [\"weight_decay=__import__('os').getcwd()\"]", "config.type"),
    ],
)
def test_an_argument_of_the_optimizer_is_checked_like_a_key(line: str, code: str) -> None:
    assert refusal(line).code == code


@pytest.mark.parametrize(
    "line",
    ["color_aug = true", 'network_args = ["down_lr_weight=cosine"]', "v2 = true"],
)
def test_what_is_not_supported_is_refused_not_ignored(line: str) -> None:
    error = refusal(line)
    assert error.code == "config.unsupported"
    assert error.fix.startswith("remove ")


@pytest.mark.parametrize(
    "line",
    ["color_aug = false", "network_args = []", "weighted_captions = false"],
)
def test_an_unsupported_key_at_its_default_is_fine(line: str) -> None:
    assert "config.unsupported" not in codes(line)
    assert all(found.severity == "info" for found in read(line).findings)


def test_a_dataset_config_on_its_own_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigError, match="pretrained_model_name_or_path") as caught:
        parse_config("[general]\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'a'\n", Path("/"))
    assert "as its dataset_config" in caught.value.fix


def test_every_problem_is_named_in_one_error() -> None:
    error = refusal('lr = 1\nnetwork_dim = "x"\ncolor_aug = true')
    assert error.code == "config.unknown_key"
    assert error.what.startswith("3 problems:")
    for code in ("config.unknown_key", "config.type", "config.unsupported"):
        assert f"[{code}]" in error.what


def test_a_config_without_model_or_dataset_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("", Path("/"))
    assert caught.value.code == "config.missing_key"
    assert "pretrained_model_name_or_path" in caught.value.what
    assert "train_data_dir" in caught.value.what


def test_a_value_out_of_range_is_refused_by_the_schema() -> None:
    assert refusal("resolution = 16").code == "config.value"


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_missing_a_folder_or_no_toml_is_named(tmp_path: Path) -> None:
    broken, latin, gui = tmp_path / "broken.toml", tmp_path / "latin.toml", tmp_path / "gui.json"
    broken.write_text("a = 1\nb = oops\n")
    latin.write_bytes(b'a = "caf\xe9"')
    gui.write_text("{}")
    cases = {
        tmp_path / "none.toml": "config.missing",
        tmp_path: "config.missing",
        broken: "config.syntax",
        latin: "config.syntax",
        gui: "config.missing_key",
    }
    for path, code in cases.items():
        with pytest.raises(ConfigError) as caught:
            read_config(path)
        assert caught.value.code == code
        assert caught.value.fix
    with pytest.raises(ConfigError, match="line 2"):
        read_config(broken)


def test_a_windows_path_in_double_quotes_is_explained() -> None:
    assert "single quotes" in refusal('output_dir = "C:\\Users\\me"').fix


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "bom.toml"
    file.write_bytes(b"\xef\xbb\xbf" + NEEDED.encode())
    assert read_config(file).config.train_data_dir == "/data"


@pytest.mark.parametrize("key", ["pretrained_model_name_or_path", "evaluate_dino", "evaluate_clip"])
def test_paths_count_from_the_files_folder_and_hub_ids_stay(tmp_path: Path, key: str) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)

    def model(name: str) -> str:
        needed = {"pretrained_model_name_or_path": "builtin:tiny", "train_data_dir": "/d", key: name}
        text = "".join(f'{each} = "{value}"\n' for each, value in needed.items())
        return str(getattr(parse_config(text, tmp_path).config, key))

    assert model("builtin:tiny") == "builtin:tiny"
    assert model("org/name@refs/pr/15") == "org/name@refs/pr/15"
    assert model("models/mine") == str(tmp_path / "models" / "mine")
    assert model("org/name") == "org/name"
    assert model("./not/there") == str(tmp_path / "not" / "there")


def test_sample_prompts_may_be_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("# a comment\na red cat --w 512 --d 1\n\na blue dog\n")
    text = NEEDED + 'sample_prompts = "prompts.txt"'
    loaded = parse_config(text, tmp_path)
    assert loaded.config.sample_prompts == ("a red cat --w 512 --d 1", "a blue dog")
    assert "config.prompt_options" not in {found.code for found in loaded.findings}
    with pytest.raises(ConfigError) as caught:
        parse_config(NEEDED + 'sample_prompts = "none.txt"', tmp_path)
    assert caught.value.code == "config.value"


def test_an_option_of_a_prompt_that_can_not_be_done_is_reported(tmp_path: Path) -> None:
    found = finding('sample_prompts = ["a cat --ss k_euler --w 8", "a dog --d 1 -- at home"]', "config.prompt_options")
    assert found.what.startswith("'--ss k_euler', '--w 8', '-- at home' in sample_prompts")
    (tmp_path / "prompts.txt").write_text("a red cat --w 512 --cn edges.png\n")
    loaded = parse_config(NEEDED + 'sample_prompts = "prompts.txt"', tmp_path)
    assert "'--cn edges.png'" in next(each.what for each in loaded.findings if each.code == "config.prompt_options")
    assert refusal('sample_prompts = "prompts.toml"').code == "config.unsupported"


def test_a_count_of_no_files_keeps_all_as_in_the_guis_files() -> None:
    loaded = read("save_every_n_epochs = 1\nsave_last_n_epochs = 0")
    assert loaded.config.save_last_n_epochs is None
    assert "config.keeps_all" in {each.code for each in loaded.findings}


def test_what_is_kept_for_good_must_be_written() -> None:
    error = refusal("save_every_n_epochs = 2\nsave_last_n_epochs = 1\nkeep_every_n_epochs = 3")
    assert "a multiple of save_every_n_epochs" in error.fix


LITERALS = [
    *(
        '"~nobody-of-that-name/x"',
        f'"{"long" * 2000}"',
        '""',
        '"x"',
        '"1"',
        '"\\u0000"',
        "1",
        "-1",
        "0",
        "99999999999999999999999",
        "1.5",
        "-0.0",
        "1e400",
        "nan",
        "inf",
    ),
    *(
        "true",
        "false",
        "[]",
        "[[1]]",
        '["a"]',
        "[1, 2]",
        "[-5, 0]",
        '["=", "betas=("]',
        "{a = 1}",
        "1979-05-27",
        "07:32:00",
    ),
]


@pytest.mark.parametrize("literal", LITERALS, ids=lambda literal: literal[:20])
def test_no_value_of_any_key_raises_anything_but_a_config_error(literal: str, tmp_path: Path) -> None:
    for key in (*KEYS, *WITHOUT_EFFECT, *UNSUPPORTED, *CERTAIN, "zzz"):
        loaded = None
        with contextlib.suppress(ConfigError):
            loaded = parse_config(f"[{key}]\n{key} = {literal}\n[x]\n{NEEDED.replace(key, 'sdpa')}", tmp_path)
        if loaded:
            # What was let in survives being written.
            assert parse_config(to_toml(loaded.config), tmp_path).config == loaded.config
