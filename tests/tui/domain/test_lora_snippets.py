"""How a LoRA is called: exactly what A1111's prompt and ComfyUI's node take."""

from loratui.domain.lora_snippets import snippets_of


def test_a_file_with_a_trigger():
    found = snippets_of("/files/my style.safetensors", "mystyle", 0.65)
    assert found.prompt == "<lora:my style:0.65> mystyle"
    assert found.comfyui == "LoraLoader: lora_name my style.safetensors, strength_model 0.65, strength_clip 0.65"
    assert found.comfyui_prompt == "mystyle"


def test_brackets_of_a_trigger_are_no_weights():
    found = snippets_of("saber.safetensors", "saber_(fate) [x]")
    assert found.prompt == r"<lora:saber:0.8> saber_\(fate\) \[x\]"
    assert found.comfyui_prompt == r"saber_\(fate\) [x]"


def test_without_a_trigger_nothing_is_made_up():
    found = snippets_of("cat.v2.safetensors")
    assert (found.prompt, found.comfyui_prompt) == ("<lora:cat.v2:0.8>", "")


def test_what_commands_a_terminal_is_left_out():
    assert "\x1b" not in snippets_of("a\x1b[2J.safetensors", "b\x1b[2J").prompt
