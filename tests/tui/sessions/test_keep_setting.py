"""A setting that is kept stands in config.toml, and nothing else there is different."""

import tomllib
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.keep_setting import keep_setting, with_setting
from loratui_protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[ui]\ntheme = "light"\n'),
        ('[ui]\ntheme = "dark"  # for the evening\n', '[ui]\ntheme = "light"  # for the evening\n'),
        ('ui.theme = "dark"\nauthor = "me"\n', 'ui.theme = "light"\nauthor = "me"\n'),
        (
            "# mine\n[ui]\nnotify = 'bell'\n[keys]\ntheme = 'f4'\n",
            "# mine\n[ui]\ntheme = \"light\"\nnotify = 'bell'\n[keys]\ntheme = 'f4'\n",
        ),
        ("author = 'me'\n", "author = 'me'\n\n[ui]\ntheme = \"light\"\n"),
        (
            "ui.notify = 'bell'\n[keys]\npause = 'P'\n",
            "ui.theme = \"light\"\nui.notify = 'bell'\n[keys]\npause = 'P'\n",
        ),
        ("[keys]\ntheme = 'f4'\n", "[keys]\ntheme = 'f4'\n\n[ui]\ntheme = \"light\"\n"),
        ('x = """\n[ui]\ntheme = 1\n"""\n', 'x = """\n[ui]\ntheme = 1\n"""\n\n[ui]\ntheme = "light"\n'),
    ],
)
def test_one_line_changes_or_comes_in(before: str, after: str) -> None:
    assert with_setting(before, "ui.theme", '"light"') == after
    assert tomllib.loads(after)["ui"]["theme"] == "light"


def test_what_leaves_no_place_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("ui = { theme = 'dark' }\n")
    with pytest.raises(ConfigError, match=r"no place for ui\.theme") as refused:
        keep_setting(path, "ui.theme", '"light"')

    assert 'ui.theme = "light"' in refused.value.fix
    assert path.read_text() == "ui = { theme = 'dark' }\n"


def test_a_file_that_is_a_link_stays_one_and_keeps_who_may_read_it(tmp_path: Path) -> None:
    there = tmp_path / "dotfiles.toml"
    there.write_text('author = "me"\n')
    there.chmod(0o600)
    link = tmp_path / "config" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(there)
    keep_setting(link, "ui.mouse", '"off"')

    assert link.is_symlink()
    assert there.stat().st_mode & 0o777 == 0o600
    loaded = settings.load({}, {"LORATUI_CONFIG_DIR": str(link.parent)})
    assert (loaded.author, loaded.screen.mouse) == ("me", "off")
    assert [*link.parent.iterdir()] == [link]


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    keep_setting(tmp_path / "new" / "config.toml", "ui.ascii", '"on"')

    assert settings.load({}, {"LORATUI_CONFIG_DIR": str(tmp_path / "new")}).screen.ascii == "on"
