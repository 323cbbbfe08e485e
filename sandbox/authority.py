"""A certificate authority of the sandbox's own, and the certificate its servers show."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Authority:
    """The files: what clients trust, and what servers show."""

    ca_file: Path
    server_file: Path  # Key and certificate chain.


def authority(folder: Path) -> Authority:
    """Make the authority in a folder, anew at each start: its certificates live for a demo, not for a year."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Authority(folder / "ca.pem", folder / "server.pem")
    ca = trustme.CA(organization_name="counterflow sandbox")
    ca.cert_pem.write_to_path(str(made.ca_file))
    ca.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(str(made.server_file))
    ssl.create_default_context(cafile=str(made.ca_file))  # Fails here, not in a client, if it cannot be read.
    return made
