import re
import runpy
from pathlib import Path

from loratui_protocol.config import KEYS

ROOT = Path(__file__).parents[2]
WRITER = runpy.run_path(str(ROOT / "scripts" / "write_config_docs.py"))


def test_the_table_of_keys_is_up_to_date() -> None:
    written = WRITER["DOCUMENT"].read_text(encoding="utf-8")
    assert written == WRITER["document"](), "run scripts/write_config_docs.py"


def test_every_key_is_explained() -> None:
    assert WRITER["field_docstrings"]().keys() == set(KEYS)


def test_every_code_about_a_config_is_documented() -> None:
    sources = (ROOT / "protocol" / "loratui_protocol").glob("config*.py")
    codes = {code for source in sources for code in re.findall(r'"(config\.[a-z_]+)"', source.read_text())}
    document = WRITER["document"]()
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in document] == []
