"""The command line: what people, scripts and tests rely on."""

try:
    from loratui.cli.main import main
except KeyboardInterrupt:
    # Nothing was begun yet that anything is to be said of.
    raise SystemExit(130) from None

__all__ = ["main"]
