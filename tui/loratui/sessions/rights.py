"""Whether a config's pictures may be trained on, as its owner has said, and what the base model's licence asks."""

import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from loratui.domain import formatting
from loratui.settings import Settings
from loratui.store.rights import RightsAnswer, last_answer, note_answer
from loratui_protocol.base_license import base_license
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.harmless import clean
from loratui_protocol.known_models import current_address
from loratui_protocol.subsets import subsets_of

_MAX_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What is known of them here."""

    dataset: str
    """Its folders, absolute, one a line."""
    base: str
    license: str
    """Of the base model; empty: nobody knows here."""
    statement: str = ""
    """``rights_statement`` of the config, which is an answer."""
    answer: RightsAnswer | None = None

    @property
    def are_given(self) -> bool:
        """Return whether somebody has said that the pictures may be trained on, or there are none."""
        return not self.dataset or bool(self.statement) or (self.answer is not None and self.answer.may_train)

    @property
    def folders(self) -> str:
        """Return the folders as a sentence has them."""
        return clean(" and ".join(formatting.homely(Path(line)) for line in self.dataset.splitlines()), _MAX_CHARS)

    @property
    def license_sentence(self) -> str:
        """Return what the base model's licence means for a LoRA of it."""
        name = clean(self.license, _MAX_CHARS)
        if not name:
            return "the licence of the base model is not known here: read it; what it asks holds for the LoRA, too"
        if "rail" in name.casefold():
            return f"the base model is under {name}: its limits of use hold for the LoRA, too, and go with it"
        return f"the base model is under {name}: what that asks holds for the LoRA, too"

    @property
    def sentence(self) -> str:
        """Return what was said of the pictures, and who said it when; empty: nothing."""
        if not self.dataset:
            # LoRA files can be judged without them.
            return "no pictures go with it"
        if self.statement:
            return f"stated in the config: {clean(self.statement, _MAX_CHARS)}"
        if self.answer is None:
            return ""
        answer = "may" if self.answer.may_train else "may not"
        when = formatting.day_and_time(self.answer.ts)
        return f"the pictures {answer} be trained on, said {clean(self.answer.author, 100)} on {when}"


def rights_of(config: TrainingConfig, preferences: Settings) -> Rights:
    """Return what is known of the rights to a config's pictures."""
    dataset = "\n".join(sorted({str(Path(subset.image_dir).absolute()) for subset in subsets_of(config)}))
    name = config.pretrained_model_name_or_path
    # What stands behind an address may be a secret.
    base = urlsplit(current_address(name))._replace(query="", fragment="").geturl()
    return Rights(
        dataset=dataset,
        base=base,
        license=_license(name),
        statement=config.rights_statement or "",
        answer=last_answer(preferences.database, dataset, base),
    )


def answer_rights(preferences: Settings, rights: Rights, *, may_train: bool) -> None:
    """Write down what was answered of these pictures; ``rights_of`` has it from then on.

    Raises:
        StorageError: the file or the disk fails.
    """
    note_answer(
        preferences.database,
        RightsAnswer(
            dataset=rights.dataset,
            base=rights.base,
            may_train=may_train,
            license=rights.license,
            author=preferences.author,
            ts=time.time(),
        ),
    )


def _license(name: str) -> str:
    try:
        return base_license(Path(name).expanduser(), name)
    except (ModelError, OSError):
        return ""
