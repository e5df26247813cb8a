"""Write the demo: pictures of a concept that the base model has never been shown, and a config to learn it."""

from pathlib import Path

from loratui_agent.demo.concept import CONCEPTS, write_dataset
from loratui_protocol.errors import UsageError

NUM_STEPS = 700

_CONFIG = """\
# Teaches the built-in tiny model one new thing, for real: less than two minutes on two CPU cores.

[model]
pretrained_model_name_or_path = "builtin:tiny"

[dataset]
train_data_dir = "{train}"
reg_data_dir = "{reg}"      # ordinary pictures, so that the base keeps what it knows
resolution = "64"

[network]
network_module = "networks.lora"
network_dim = 16
network_alpha = 16

[optimizer]
unet_lr = 3e-3
text_encoder_lr = 3e-3
lr_scheduler = "cosine"

[training]
train_batch_size = 8
max_train_steps = {steps}
min_snr_gamma = 5.0
prior_loss_weight = 0.35
seed = 1

[save]
output_name = "{trigger}"
trigger_word = "{trigger}"
checkpoint_every_n_steps = 200

[sample]
sample_prompts = ["{prompt}"]
sample_every_n_steps = 200
"""


def write_demo(folder: Path, concept_name: str, num_steps: int | None = None) -> Path:
    """Write dataset and config of a built-in concept into ``folder`` and return the config's path.

    Raises:
        UsageError: there is no such concept, or the number of steps is not positive.
    """
    concept = CONCEPTS.get(concept_name)
    if concept is None:
        raise UsageError(f"there is no demo concept {concept_name!r}", fix=f"known: {', '.join(CONCEPTS)}")
    if num_steps is not None and num_steps < 1:
        raise UsageError(f"{num_steps} steps are no training", fix="give 1 or more")
    train, reg = write_dataset(folder / "dataset", concept)
    path = folder / f"{concept.trigger}.toml"
    text = _CONFIG.format(
        train=train.relative_to(folder).as_posix(),
        reg=reg.relative_to(folder).as_posix(),
        steps=num_steps or NUM_STEPS,
        trigger=concept.trigger,
        prompt=concept.test_prompts[0],
    )
    path.write_text(text, "utf-8")
    return path
