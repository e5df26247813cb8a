"""The word that is proposed for a trigger: rare, in front of most captions or in a folder's name, else made up."""

import pytest

from loratui.preflight.likely_trigger import Likely, is_rare, likely_trigger
from loratui.preflight.triggers import trigger_findings


@pytest.mark.parametrize(
    ("captions", "word"),
    [
        (["zorbix, a cat", "zorbix, a dog"], "zorbix"),
        (["photo of Zorbix in a park", "a Zorbix on a table", "zorbix at night"], "Zorbix"),
        (["zorbix_(toy), red", "zorbix_(toy), blue"], "zorbix"),
        (["w1ndm1ll, a hill"], "w1ndm1ll"),
        (["ohwx woman, in a park"], "ohwx"),
    ],
)
def test_a_rare_word_in_front_of_most_captions_is_proposed(captions: list[str], word: str) -> None:
    assert likely_trigger(captions, ["pictures"], "lora") == Likely(word, "captions")


@pytest.mark.parametrize(
    "caption",
    [
        "1girl, solo, thighhighs",
        "a photograph of a woman in a park",
        "masterpiece, best quality, absurdres",
        "חתול, על שולחן",
        "hairclip, t-shirt",
        "a woman who sits at a table in a turtleneck",
        "",
    ],
)
def test_common_words_tags_and_other_letters_are_not_proposed(caption: str) -> None:
    found = likely_trigger([caption] * 5, ["imgs", "my dataset", "תמונות"], "lora")
    assert found.origin == "made up"


def test_a_word_in_few_captions_is_not_the_trigger() -> None:
    assert likely_trigger(["zorbix, a", "b", "c"], [], "lora").origin == "made up"


def test_a_folder_lends_its_rare_word() -> None:
    assert likely_trigger(["a cat"], ["10_zorbix cat"], "lora") == Likely("zorbix", "folder")
    assert likely_trigger([], ["my_zorbix-pics"], "lora") == Likely("zorbix", "folder")


def test_a_made_up_word_can_be_taught_and_stays_the_same() -> None:
    words = {likely_trigger([], [], f"lora {number}").word for number in range(40)}
    assert len(words) > 30
    assert likely_trigger([], [], "lora 1") == likely_trigger([], [], "lora 1")
    for word in words:
        assert is_rare(word)
        assert list(trigger_findings(word, [], [], ",", counts_tokens=True)) == []
