"""The kinds of outlet, and what is checked of their configuration before anything is started.

Not for: what one kind does (webhook.py, mqtt.py, syslog.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.gateway.events import RECORD_TYPES
from cathrt.runtime.objects.due import Evidence
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.kinds import OBJECT_KINDS, OBJECT_TYPES
from cathrt.runtime.outlets.limiter import LIMITED_TYPES
from cathrt.runtime.outlets.peer import Peer
from cathrt.runtime.outlets.studies import Studies
from cathrt.runtime.outlets.syslog import Syslog
from cathrt.runtime.outlets.webhook import Webhook

_LEFT_OUT = ("start", "pass", "verdict", "ended")  # where `types` names none: many, and none of them is for a person
_KINDS: dict[str, Callable[[OutletConfig], Peer]] = {"webhook": Webhook, "syslog": Syslog}  # mqtt: _mqtt_opening()
_NO_STUDIES = Studies(Evidence(Path(), Path()))  # for openings that are closed at once
_TLS = ("tls_ca", "tls_certificate", "tls_key")
# Keys that count for some kinds alone: given to another kind, somebody expects what does not happen.
_ONLY_FOR = {
    "secret_file": ("webhook", "mqtt", "stow", "fhir"),
    "fhir_version": ("fhir",),
    "patient_system": ("fhir", "hl7"),
    "charset": ("hl7",),
    "processing": ("hl7",),
    "sending_facility": ("hl7",),
    "receiving_application": ("hl7",),
    "receiving_facility": ("hl7",),
    "ae_title": ("dicom",),
    "commitment": ("dicom",),
    "modalities": ("dicom", "stow"),
    "rate_per_minute": ("webhook", "mqtt", "syslog"),
    "user": ("mqtt",),
    "topic": ("mqtt",),
    "facility": ("syslog",),
}


def peer_opening(outlet: OutletConfig, studies: Studies | None = None) -> Callable[[], Peer]:
    """What opens the receiver; it may raise ConfigError. Raises ConfigError for what no opening would change.

    studies: what kinds of OBJECT_KINDS send; None where there are none of them.
    """
    key = f"outlets.{outlet.name}"
    for name, kinds in _ONLY_FOR.items():
        default = OutletConfig.__dataclass_fields__[name].default
        if outlet.kind not in kinds and getattr(outlet, name) != default:
            raise ConfigError(f"{key}.{name}: expected only for {' or '.join(kinds)}: remove it")
    encrypted = address_of(outlet).is_encrypted
    if not encrypted and (given := [name for name in _TLS if getattr(outlet, name)]):
        raise ConfigError(f"{key}.{given[0]}: expected only for an address with TLS: change outlets.address")
    wanted_types(outlet)
    if outlet.mandatory and outlet.address.startswith("syslog+udp"):
        raise ConfigError(f"{key}.mandatory: over UDP nobody can tell what was delivered: use syslog+tcp or syslog+tls")
    if outlet.mandatory and outlet.rate_per_minute and set(wanted_types(outlet)) & {*LIMITED_TYPES}:
        raise ConfigError(
            f"{key}.rate_per_minute: found {outlet.rate_per_minute} for a mandatory outlet, expected 0, since what is "
            "mandatory must not be kept back"
        )
    if outlet.user and not outlet.secret_file:
        raise ConfigError(f"{key}.secret_file: found nothing, expected the file with the password of `user`")
    if outlet.kind == "mqtt":
        return _mqtt_opening(outlet)
    if outlet.kind in OBJECT_KINDS:
        return partial(_of_studies(outlet.kind), outlet, studies or _NO_STUDIES)
    return partial(_KINDS[outlet.kind], outlet)


def wanted_types(outlet: OutletConfig) -> frozenset[str]:
    """Of the records that it gets. Raises ConfigError naming one that does not exist."""
    if outlet.kind in OBJECT_KINDS:
        if unknown := [name for name in outlet.types if name not in OBJECT_TYPES]:
            raise ConfigError(
                f"outlets.{outlet.name}.types: found {unknown[0]!r}, expected some of {', '.join(OBJECT_TYPES)} "
                f"for {outlet.kind}"
            )
        return frozenset(outlet.types or OBJECT_TYPES)
    if unknown := [name for name in outlet.types if name not in RECORD_TYPES]:
        raise ConfigError(
            f"outlets.{outlet.name}.types: found {unknown[0]!r}, expected some of {', '.join(RECORD_TYPES)}"
        )
    return frozenset(outlet.types or set(RECORD_TYPES).difference(_LEFT_OUT))


def require_outlets(outlets: Sequence[OutletConfig]) -> None:
    """Open and close each receiver, which connects to none. Raises ConfigError."""
    for outlet in outlets:
        peer_opening(outlet)().close()


def _of_studies(kind: str) -> Callable[[OutletConfig, Studies], Peer]:
    """The opening of a kind that sends objects; each loads its libraries only where it is configured."""
    if kind == "dicom":
        from cathrt.runtime.outlets.dicom import Dicom

        return Dicom
    if kind == "stow":
        from cathrt.runtime.outlets.stow import Stow

        return Stow
    if kind == "fhir":
        from cathrt.runtime.outlets.fhir import Fhir

        return Fhir
    if kind == "hl7":
        from cathrt.runtime.outlets.hl7 import Hl7

        return Hl7
    raise AssertionError(kind)


def _mqtt_opening(outlet: OutletConfig) -> Callable[[], Peer]:
    if find_spec("paho") is None:
        raise ConfigError(f"outlets.{outlet.name}.kind: mqtt needs paho-mqtt: pip install '.[mqtt]'")
    from cathrt.runtime.outlets.mqtt import Mqtt

    return partial(Mqtt, outlet)
