"""What can be typed to ``config``."""

import argparse


def config_options(parser: argparse.ArgumentParser) -> None:
    """Add what is shown of the settings of loratui itself, and how one is set."""
    # Its own class of parser, so that complaints are errors like all others.
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    show = actions.add_parser("show", help="every setting and its value")
    show.add_argument("--origin", action="store_true", help="and where each value comes from")
    show.set_defaults(handler="preferences:show")
    schema = actions.add_parser("schema", help="every setting, its type, default and meaning")
    schema.set_defaults(handler="preferences:schema")
    actions.add_parser("path", help="where the settings file is").set_defaults(handler="preferences:path")
    keep = actions.add_parser("set", help="write one setting into the settings file; the rest of it stays")
    keep.add_argument("key", metavar="KEY", help="ui.theme, say; loratui config schema lists them")
    keep.add_argument("value", metavar="VALUE", help="what it is to be")
    keep.set_defaults(handler="preferences:keep")
