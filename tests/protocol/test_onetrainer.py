"""A config of OneTrainer means here what it means there, whatever version saved it."""

import json
from pathlib import Path
from typing import Any

from loratui_protocol.config_file import Partial, read_config, read_partial

LORA: dict[str, Any] = {
    "training_method": "LORA",
    "model_type": "STABLE_DIFFUSION_15",
    "base_model_name": "builtin:tiny",
    "layer_filter_preset": "attn-mlp",
    "learning_rate": 0.0003,
    "epochs": 100,
    "resolution": 512,
    "concepts": [{"path": "cats"}],
}


def of_onetrainer(folder: Path, **changes: Any) -> Partial:
    """Return what a config with these settings says."""
    path = folder / "onetrainer.json"
    path.write_text(json.dumps({**LORA, **changes}), "utf-8")
    return read_partial(path)


def told(partial: Partial) -> str:
    return "\n".join(f"[{each.severity}] {each.what}" for each in partial.findings)


def concept(path: str, resolution: str | None = None) -> dict[str, Any]:
    own = {"enable_resolution_override": resolution is not None, "resolution_override": resolution or "512"}
    return {"path": path, "image": {**own, "enable_random_flip": False}}


def test_concepts_of_another_resolution_are_datasets_of_their_own(tmp_path: Path) -> None:
    concepts = [concept("a"), concept("b", "768"), concept("c"), concept("d", "768x640"), concept("e", "768")]
    of_onetrainer(tmp_path, concepts=concepts)
    config = read_config(tmp_path / "onetrainer.json").config
    assert [
        (dataset.settings.get("resolution"), [Path(each.image_dir).name for each in dataset.subsets])
        for dataset in config.datasets
    ] == [(None, ["a", "c"]), ((768, 768), ["b", "e"]), ((768, 640), ["d"])]
    assert config.resolution == (512, 512)


def test_several_resolutions_for_one_concept_are_refused(tmp_path: Path) -> None:
    problem = of_onetrainer(tmp_path, concepts=[concept("a", "512,768")]).problems[0]
    assert problem.code == "config.unsupported"
    assert "resolution_override '512,768' of concept 1" in problem.what


def test_a_concept_that_the_base_model_shall_keep_is_refused(tmp_path: Path) -> None:
    kept = {"path": "a", "type": "PRIOR_PREDICTION"}
    assert "PRIOR_PREDICTION" in of_onetrainer(tmp_path, concepts=[kept]).problems[0].what


def test_keys_from_before_version_2_are_brought_up_to_date(tmp_path: Path) -> None:
    old = {
        "optimizer": "ADAMW",
        "weight_decay": 0.05,
        "train_text_encoder": True,
        "train_text_encoder_epochs": 30,
        "text_encoder_learning_rate": 1e-5,
        "train_unet": True,
        "train_unet_epochs": 100000,
        "unet_learning_rate": 2e-4,
        "unet_weight_dtype": "NONE",
        "vae_weight_dtype": "FLOAT_32",
        "latent_caching_epochs": 1,
        "circular_mask_generation": False,
        "token_count": 1,
        "initial_embedding_text": "*",
        "min_snr_gamma": 5.0,
    }
    partial = of_onetrainer(tmp_path, **old)
    assert not partial.problems
    values = partial.values
    assert (values["unet_lr"], values["text_encoder_lr"], values["min_snr_gamma"]) == (2e-4, 1e-5, 5.0)
    assert values["optimizer_args"] == {"weight_decay": 0.05}
    assert "[warning] text_encoder learns for 30 epochs alone there" in told(partial)
    assert "unet learns" not in told(partial)


def test_a_text_encoder_that_says_nothing_stops_early_there(tmp_path: Path) -> None:
    assert "text_encoder learns for 30 epochs alone there" in told(of_onetrainer(tmp_path))
    assert "alone there" not in told(of_onetrainer(tmp_path, epochs=20))
    assert "alone there" not in told(of_onetrainer(tmp_path, text_encoder={"train": False}))
    never = {"stop_training_after_unit": "NEVER"}
    assert "alone there" not in told(of_onetrainer(tmp_path, text_encoder=never))


def test_arguments_of_other_optimizers_ask_for_nothing(tmp_path: Path) -> None:
    # Every config has the arguments of all of them.
    optimizer = {"optimizer": "ADAMW", "weight_decay": 0.02, "use_schedulefree": True, "beta1": 0.9, "beta2": 0.99}
    partial = of_onetrainer(tmp_path, optimizer=optimizer)
    assert not partial.problems
    assert partial.values["optimizer_args"] == {"weight_decay": 0.02, "betas": (0.9, 0.99)}


def test_turned_pictures_are_refused(tmp_path: Path) -> None:
    assert "random_rotate_and_crop" in of_onetrainer(tmp_path, random_rotate_and_crop=True).problems[0].what


def test_a_change_of_no_strength_changes_nothing(tmp_path: Path) -> None:
    image = {"enable_random_rotate": True, "random_rotate_max_angle": 0.0, "enable_random_circular_mask_shrink": True}
    partial = of_onetrainer(tmp_path, concepts=[{"path": "a", "image": image}])
    assert not partial.problems
    assert "enable_random_circular_mask_shrink of concept 1 has no effect" in told(partial)
    turned = {**image, "random_rotate_max_angle": 10.0}
    problem = of_onetrainer(tmp_path, concepts=[{"path": "a", "image": turned}]).problems[0]
    assert "enable_random_rotate" in problem.what
