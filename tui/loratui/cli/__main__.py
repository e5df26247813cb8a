"""Lets ``python -m loratui.cli`` stand for ``loratui``."""

import sys

from loratui.cli.main import main

sys.exit(main())
