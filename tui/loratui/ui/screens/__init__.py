"""The screens, each with its page: what lies between the tabs and the footer. ``pages`` loads them."""
