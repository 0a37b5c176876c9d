"""`cathrt key new`: a key pair to sign bundles with. It joins the runtime's `key trust` and `key list`.

Not for: signing (bundle/sign.py), or whose signature is accepted (cathrt.runtime.commands.key).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.bundle.keys import PublicKey, public_key_from_text
from cathrt.runtime.commands.key import KeyNameOption
from cathrt.runtime.commands.options import show
from cathrt.runtime.errors import ConfigError

PRIVATE_FILE, PUBLIC_FILE = "signing-key.pem", "signing-key.pub"


def new_command(
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the two files; made if it is missing.")],
    name: KeyNameOption = None,
) -> None:
    """Make a key pair to sign bundles with.

    Writes signing-key.pem, which only its owner can read and which must stay with whoever signs, and signing-key.pub,
    which goes to everybody who shall open the bundles. Files that exist are not overwritten.
    """
    from cathrt.runtime.outside.output_files import output_folder, whole_file

    # Checked ahead of the work: a name that does not fit must not leave a key behind.
    named = PublicKey("0" * 64) if name is None else public_key_from_text(f"{'0' * 64} {name}", "--name")
    output_folder(out)
    private, public = out / PRIVATE_FILE, out / PUBLIC_FILE
    if os.path.lexists(public):
        raise ConfigError(f"{public}: exists already and is not overwritten: give another --out")
    from cathrt.export.bundle.sign import generate_key

    key = PublicKey(generate_key(private), named.name)
    with whole_file(public) as part:
        part.write_text(f"{key.text}\n", encoding="utf-8")
    show(f"private key: {private}  (mode 0600; keep it, and let nobody else have it)")
    show(f"public key:  {public}")
    show(f"fingerprint: {key.fingerprint}")
    show(f"sign with it:     cathrt export ... --sign {private}")
    show(f"to be trusted:    cathrt key trust {public} --config lab.toml")
