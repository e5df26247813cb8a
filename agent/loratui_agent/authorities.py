"""Whom to trust on the internet, wherever this machine keeps the list. Standard library only."""

import ssl
from pathlib import Path

_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def trust() -> ssl.SSLContext:
    """Return a context that knows the authorities of this machine, wherever it keeps them."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).glob("*.0"))):
        # A Python that was brought here looks for them where its maker had them.
        for candidate in filter(Path.is_file, map(Path, _AUTHORITIES)):
            context.load_verify_locations(candidate)
    return context
