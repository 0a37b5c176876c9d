"""The configuration: one TOML file becomes one frozen dataclass, passed on as arguments.

Defaults live in the dataclasses and nowhere else; an unknown key is an error before the first frame.
docs/configuration.md has a heading for every key. Not for: environment variables, of which there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen, Predicate

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.frame import DEFAULT_RATE_HZ
from cathrt.runtime.outside.input_file import toml_from_file
from cathrt.runtime.outside.validation import faults_of, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Caps on what an input may declare, checked before anything is allocated, and on the process that decodes it."""

    __pydantic_config__ = _STRICT
    max_rows: Annotated[int, Ge(1), Le(65535)] = 4096
    max_columns: Annotated[int, Ge(1), Le(65535)] = 4096
    max_frames: Annotated[int, Ge(1)] = 4000
    max_file_mib: Annotated[int, Ge(1)] = 4096
    decoder_memory_mib: Annotated[int, Ge(256)] = 1536
    decoder_cpu_s: Annotated[int, Ge(1)] = 600
    first_frame_s: Annotated[float, Gt(0.0)] = 20.0
    frame_s: Annotated[float, Gt(0.0)] = 5.0


@dataclass(frozen=True, slots=True)
class LineConfig:
    """The live line.

    Both count at real time only. budget_ms: end to end per frame; a frame judged later ends LATE. queue_frames: frames
    that may wait; one more overruns the oldest, which ends DROPPED.
    """

    __pydantic_config__ = _STRICT
    budget_ms: Annotated[float, Gt(0.0)] = 100.0
    queue_frames: Annotated[int, Ge(1), Le(64)] = 4
    stale_s: Annotated[float, Gt(0.0)] = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides over time for one kind of model: the table [policy.<kind>]. Each kind has a dataclass of its own."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine runs the bundle, and with how many threads (0: as many as the CPU quota gives).

    fallback: the engine that takes over where `name` cannot be opened or its device is lost; "" for none.
    keep_warm_ms: a dummy inference runs after so long without work, so that an idle GPU keeps its clocks up; 0: never.
    device_wait_ms: longest that the line waits for a GPU to do one frame; then the device is lost.
    provider: of ONNX Runtime: what runs the graph. provider_options: NAME=VALUE each, as the provider documents them.
    provider_library: of a plugin provider, to register; "" where the installed ONNX Runtime has the provider itself.
    """

    __pydantic_config__ = _STRICT
    name: str = "openvino"
    threads: Annotated[int, Ge(0), Le(256)] = 0
    fallback: str = ""
    keep_warm_ms: Annotated[float, Ge(0.0), Le(10_000.0)] = 50.0
    device_wait_ms: Annotated[float, Ge(10.0), Le(60_000.0)] = 800.0
    provider: Literal["cpu", "cuda", "tensorrt", "nv_tensorrt_rtx"] = "cpu"
    provider_options: tuple[str, ...] = ()
    provider_library: str = ""

    @property
    def label(self) -> str:
        """The name that verdicts give the engine `name` where it runs as configured."""
        on_device = self.name == "onnxruntime" and self.provider != "cpu"
        return f"{self.name} on {self.provider}" if on_device else self.name


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """group_commit_ms: longest that a plain verdict waits for its transaction; alerts never wait."""

    __pydantic_config__ = _STRICT
    group_commit_ms: Annotated[float, Ge(0.0), Le(100.0)] = 50.0


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """The DICOM listener.

    calling_ae_titles: senders that are let in; none named: any. addresses: addresses and networks that may connect.
    max_associations: at once. pdu_bytes: of one PDU. pdu_s: longest for a PDU to arrive, and for a TLS handshake.
    idle_s: longest without a PDU. association_s: longest in all. reserve_mib: what stays free on the disk. drain_s: how
    long open associations may go on when the listener is stopped. tls_*: PEM files; all three or none.
    commitment_*: AE_TITLE@HOST:PORT of peers that storage commitment is reported to; failed attempts before a report is
    given up; wait after the first, doubled each time. study_*: seconds without anything new of a study: before any end,
    and two that are a sign of the end each.
    """

    __pydantic_config__ = _STRICT
    ae_title: Annotated[str, MinLen(1), MaxLen(16)] = "CATHRT"
    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 11112
    calling_ae_titles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ("127.0.0.0/8", "::1")
    max_associations: Annotated[int, Ge(1), Le(64)] = 8
    pdu_bytes: Annotated[int, Ge(16_384), Le(1 << 20)] = 131_072
    pdu_s: Annotated[float, Gt(0.0)] = 20.0
    idle_s: Annotated[float, Gt(0.0)] = 60.0
    association_s: Annotated[float, Gt(0.0)] = 3600.0
    reserve_mib: Annotated[int, Ge(1)] = 1024
    drain_s: Annotated[float, Ge(0.0)] = 10.0
    tls_certificate: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    commitment_peers: tuple[str, ...] = ()
    commitment_attempts: Annotated[int, Ge(1), Le(100)] = 20
    commitment_retry_s: Annotated[float, Gt(0.0)] = 30.0
    study_settle_s: Annotated[float, Gt(0.0)] = 30.0
    study_idle_s: Annotated[float, Gt(0.0)] = 600.0
    study_long_idle_s: Annotated[float, Gt(0.0)] = 3600.0


def _is_region(numbers: tuple[int, ...]) -> bool:
    """Nothing, or left, top, width, height."""
    return not numbers or (len(numbers) == 4 and min(numbers[2:]) > 0)


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One live source of `cathrt run`; two planes of a biplane system are two sources.

    address: what the kind says: a URL, a device, a file, HOST:PORT, a seed. region: columns and rows of the screen that
    are the X-ray picture, (left, top, width, height); () for all. rate_hz: pulse rate until it is measured; 0: unknown.
    budget_ms: from capture to verdict; 0: one frame period. queue_frames: pictures that may wait for the line.
    no_signal_s: longest without a picture before the source is opened anew. first_picture_s: longest after opening.
    """

    __pydantic_config__ = _STRICT
    name: Annotated[str, MinLen(1), MaxLen(32), Predicate(str.isprintable)]
    kind: Literal["phantom", "video", "openigtlink"]
    address: str = ""
    region: Annotated[tuple[Annotated[int, Ge(0)], ...], Predicate(_is_region)] = ()
    photometric_interpretation: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    rate_hz: Annotated[float, Ge(0.0), Le(250.0)] = 0.0
    budget_ms: Annotated[float, Ge(0.0), Le(10_000.0)] = 0.0
    queue_frames: Annotated[int, Ge(1), Le(8)] = 2
    no_signal_s: Annotated[float, Gt(0.0)] = 5.0
    first_picture_s: Annotated[float, Gt(0.0)] = 20.0

    @property
    def frame_budget_ms(self) -> float:
        """From capture to verdict: as configured, or one frame period."""
        return self.budget_ms or 1000.0 / (self.rate_hz or DEFAULT_RATE_HZ)


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """The gateway's HTTP: the feed of records, health and metrics. port 0: any that is free.

    token_file: holds what a request must show as its bearer token. tls_*: PEM files, both or none. An address that
    other machines reach needs all three.
    """

    __pydantic_config__ = _STRICT
    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 8732
    max_readers: Annotated[int, Ge(1), Le(256)] = 32
    token_file: str = ""
    tls_certificate: str = ""
    tls_key: str = ""


@dataclass(frozen=True, slots=True)
class PageConfig:
    """The gateway's page for people (docs/page.md). port 0: any that is free.

    users_file: who may log in; "": page-users in the state folder. demo: nobody logs in. tls_*: PEM files, both or
    none; an address that other machines reach needs them. names: under which the page may be asked for, beside the
    loopback's and the certificate's. proxy_*: addresses of reverse proxies, and the header in which they name who asks.
    idle_minutes: longest of a session without a request or a stream. session_hours: in all.
    picture_mib: room for one live picture in shared memory, three for each source; of a larger one every 2nd (3rd ...)
    row and column is shown. frames_mib: frames of received runs that are kept decoded.
    """

    __pydantic_config__ = _STRICT
    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 8733
    users_file: str = ""
    demo: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    names: tuple[str, ...] = ()
    proxy_addresses: tuple[str, ...] = ()
    proxy_user_header: str = ""
    idle_minutes: Annotated[float, Gt(0.0), Le(1440.0)] = 60.0
    session_hours: Annotated[float, Gt(0.0), Le(168.0)] = 12.0
    max_connections: Annotated[int, Ge(8), Le(4096)] = 512
    max_connections_of_address: Annotated[int, Ge(8), Le(4096)] = 256
    picture_mib: Annotated[int, Ge(1), Le(64)] = 2
    frames_mib: Annotated[int, Ge(16), Le(16384)] = 256


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where the gateway sends its figures by OpenTelemetry, beside /metrics, which is always there.

    otlp_endpoint: of an OTLP receiver over HTTP; "": nothing is sent. otlp_traces_endpoint: where a span for each run
    goes, likewise. otlp_interval_s: between two sendings. otlp_ca: PEM file of the authorities that may sign the
    receiver's certificate; "": those of the system. otlp_token_file: holds the bearer token for the receiver.
    """

    __pydantic_config__ = _STRICT
    otlp_endpoint: str = ""
    otlp_interval_s: Annotated[float, Ge(1.0), Le(3600.0)] = 15.0
    otlp_ca: str = ""
    otlp_token_file: str = ""
    otlp_traces_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How the processes of `cathrt run` write their messages to standard error: lines for a person, or JSON."""

    __pydantic_config__ = _STRICT
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """Where audit messages go beside their file (docs/delivery.md).

    address: of a receiver by syslog, syslog+tls://HOST:PORT, or +tcp, +udp; "" for none. tls_*: PEM files.
    """

    __pydantic_config__ = _STRICT
    address: Annotated[str, MaxLen(2048), Predicate(str.isprintable)] = ""
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""


@dataclass(frozen=True, slots=True)
class OutletConfig:
    """One receiver of records (docs/outlets.md): `[[outlets]]`.

    address: scheme://host:port, as the kind asks for. types: of records; () for all but pass and verdict. mandatory:
    nothing is deleted before it was delivered here. begin: of an outlet that is new: with the first record of each
    journal, or with those that come from now on. names: whether what files are called may leave this machine.
    rate_per_minute: alerts and verdicts of one run and kind; 0: no limit. refusals: answers that refuse a record
    before it is a dead letter. secret_file: signs webhooks; the password of user. tls_*: PEM files. topic: of MQTT.
    facility: of syslog. ae_title: ours, of dicom. commitment: whether storage commitment is asked for. modalities: of
    objects that are sent; () for all. patient_system: what identifiers of patients are from, of fhir and hl7.
    charset, processing, sending_*, receiving_*: of hl7. timeout_s: of one attempt. first_wait_s: after the first that
    failed, doubled each time up to most_wait_s. drain_s: for a last try at the stop. lag_s: how long it may be behind
    before health says so.
    """

    __pydantic_config__ = _STRICT
    name: Annotated[str, MinLen(1), MaxLen(32), Predicate(str.isprintable)]
    kind: Literal["webhook", "mqtt", "syslog", "dicom", "stow", "fhir", "hl7"]
    address: Annotated[str, MinLen(1), MaxLen(2048), Predicate(str.isprintable)]
    types: tuple[str, ...] = ()
    mandatory: bool = False
    begin: Literal["first", "now"] = "first"
    names: bool = False
    rate_per_minute: Annotated[int, Ge(0), Le(100_000)] = 60
    refusals: Annotated[int, Ge(1), Le(100)] = 3
    secret_file: str = ""
    user: str = ""
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    topic: Annotated[str, MinLen(1), MaxLen(200), Predicate(str.isprintable)] = "cathrt"
    facility: Literal["daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"] = (
        "local0"
    )
    ae_title: Annotated[str, MinLen(1), MaxLen(16), Predicate(str.isprintable)] = "CATHRT"
    commitment: bool = True
    modalities: tuple[str, ...] = ()
    fhir_version: Literal["R4", "R5"] = "R4"
    patient_system: Annotated[str, MaxLen(200), Predicate(str.isprintable)] = ""
    charset: Literal["UNICODE UTF-8", "ISO IR87"] = "UNICODE UTF-8"
    processing: Literal["P", "T", "D"] = "T"
    sending_facility: Annotated[str, MaxLen(100), Predicate(str.isprintable)] = ""
    receiving_application: Annotated[str, MaxLen(100), Predicate(str.isprintable)] = ""
    receiving_facility: Annotated[str, MaxLen(100), Predicate(str.isprintable)] = ""
    timeout_s: Annotated[float, Gt(0.0), Le(300.0)] = 10.0
    first_wait_s: Annotated[float, Gt(0.0), Le(3600.0)] = 1.0
    most_wait_s: Annotated[float, Gt(0.0), Le(3600.0)] = 60.0
    drain_s: Annotated[float, Ge(0.0), Le(60.0)] = 3.0
    lag_s: Annotated[float, Gt(0.0)] = 300.0


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """How `cathrt run` keeps its processes going.

    restarts: of one process within restart_window_s before it is given up. backoff_s: wait before the first restart,
    twice as long before each further one, at most most_backoff_s. drain_s: how long a process may take to end well:
    longer than listener.drain_s. inference_s: health asks for a real inference within so long. reserve_mib: disk that
    must be free at the start.
    """

    __pydantic_config__ = _STRICT
    restarts: Annotated[int, Ge(0), Le(1000)] = 10
    restart_window_s: Annotated[float, Gt(0.0)] = 300.0
    backoff_s: Annotated[float, Gt(0.0)] = 0.2
    most_backoff_s: Annotated[float, Gt(0.0)] = 10.0
    drain_s: Annotated[float, Gt(0.0)] = 30.0
    inference_s: Annotated[float, Gt(0.0)] = 10.0
    reserve_mib: Annotated[int, Ge(1)] = 2048


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """Runs judged from their files: confirmed results.

    watched_folders: folders in which files of whole runs appear. settle_s: a file counts as complete when it has not
    changed for so long.
    """

    __pydantic_config__ = _STRICT
    watched_folders: tuple[str, ...] = ()
    settle_s: Annotated[float, Gt(0.0)] = 2.0


@dataclass(frozen=True, slots=True)
class RungConfig:
    """One more rung of the live process's ladder, below engine.name and engine.fallback; the list is in order.

    provider: of ONNX Runtime. bundle: folder of another bundle of the same kind; "": those of the command line.
    """

    __pydantic_config__ = _STRICT
    engine: Annotated[str, MinLen(1)]
    provider: Literal["cpu", "cuda", "tensorrt", "nv_tensorrt_rtx"] = "cpu"
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class LadderConfig:
    """When the live process changes the rung. errors, missed_share and heat count only where [[rungs]] are named.

    hang_ms: longest inference of a CPU engine; then it hangs. errors: FAILED frames within errors_s. missed_share: of
    the frames of the last missed_s, LATE or overrun. heat: whether throttling counts. back_after_s: how long a rung
    must be well before it judges again, doubled each time that it falls again, at most most_back_s.
    """

    __pydantic_config__ = _STRICT
    hang_ms: Annotated[float, Ge(50.0), Le(60_000.0)] = 800.0
    errors: Annotated[int, Ge(1), Le(1000)] = 3
    errors_s: Annotated[float, Gt(0.0)] = 5.0
    missed_share: Annotated[float, Gt(0.0), Le(1.0)] = 0.5
    missed_s: Annotated[float, Ge(0.2), Le(60.0)] = 0.8
    heat: bool = True
    back_after_s: Annotated[float, Gt(0.0)] = 10.0
    most_back_s: Annotated[float, Gt(0.0)] = 600.0


@dataclass(frozen=True, slots=True)
class SwapConfig:
    """How a bundle comes into the running live process.

    shadow_frames: live frames that both bundles judge before the new one may. shadow_s: longest time for these.
    agreement: share of them on which the scores must be no more than score_difference apart. watch_frames: frames of
    the new bundle within which it may be rolled back.
    """

    __pydantic_config__ = _STRICT
    shadow_frames: Annotated[int, Ge(1), Le(100_000)] = 60
    shadow_s: Annotated[float, Gt(0.0)] = 1800.0
    agreement: Annotated[float, Ge(0.0), Le(1.0)] = 0.9
    score_difference: Annotated[float, Ge(0.0), Le(1.0)] = 0.25
    watch_frames: Annotated[int, Ge(1), Le(100_000)] = 150


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long and how much is kept; 0 for no limit. What is not delivered, or not judged, is kept in any case.

    live, study, gateway: their journals. store: received objects. features: what runs were encoded to. books: what is
    known of studies and files that are gone.
    keep_hours: nothing younger is removed, whatever the disk says. free_mib: with less free, the oldest of what may go
    goes before its time: objects below it, journals' rows below the half. log_mib: of a journal's log, for health.
    """

    __pydantic_config__ = _STRICT
    live_days: Annotated[float, Ge(0.0)] = 90.0
    live_mib: Annotated[int, Ge(0)] = 1024
    study_days: Annotated[float, Ge(0.0)] = 365.0
    study_mib: Annotated[int, Ge(0)] = 4096
    gateway_days: Annotated[float, Ge(0.0)] = 0.0
    gateway_mib: Annotated[int, Ge(0)] = 0
    store_days: Annotated[float, Ge(0.0)] = 30.0
    store_mib: Annotated[int, Ge(0)] = 0
    features_mib: Annotated[int, Ge(0)] = 2048
    books_days: Annotated[float, Ge(0.0)] = 400.0
    keep_hours: Annotated[float, Ge(0.0)] = 24.0
    free_mib: Annotated[int, Ge(1)] = 4096
    log_mib: Annotated[int, Ge(16)] = 256


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """keys: ed25519 public keys (64 hex digits) that may sign bundles, beside that of the shipped demonstration."""

    __pydantic_config__ = _STRICT
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, one section per field. policy: by kind of model; one that is not in it has defaults."""

    __pydantic_config__ = _STRICT
    line: LineConfig = field(default_factory=LineConfig)
    policy: Mapping[str, Policy] = field(default_factory=dict)
    engine: EngineConfig = field(default_factory=EngineConfig)
    rungs: tuple[RungConfig, ...] = ()
    ladder: LadderConfig = field(default_factory=LadderConfig)
    swap: SwapConfig = field(default_factory=SwapConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    listener: ListenerConfig = field(default_factory=ListenerConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    sources: tuple[SourceConfig, ...] = ()
    feed: FeedConfig = field(default_factory=FeedConfig)
    page: PageConfig = field(default_factory=PageConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    outlets: tuple[OutletConfig, ...] = ()
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    study: StudyConfig = field(default_factory=StudyConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)


def load_config(path: Path | None, policies: Mapping[str, type[Policy]]) -> Config:
    """Read a TOML file; None gives the defaults. policies: the dataclass of each kind of model (models.load_config).

    Raises ConfigError naming the key, what was found and expected.
    """
    if path is None:
        return config_from_document({}, policies, origin="defaults")
    return config_from_document(toml_from_file(path), policies, origin=str(path))


def config_from_document(document: dict[str, Any], policies: Mapping[str, type[Policy]], *, origin: str) -> Config:
    """Check a parsed TOML document. Raises ConfigError listing every key that does not fit."""
    from pydantic import ValidationError

    given = document.get("policy", {})
    faults = (
        [] if isinstance(given, dict) else [f"policy: found {shown(given)}, expected a table for each kind of model"]
    )
    tables = given if isinstance(given, dict) else {}
    unknown = [kind for kind in tables if kind not in policies]
    faults += [
        f"policy.{shown(kind)}: unknown kind of model, expected one of {', '.join(policies)}" for kind in unknown
    ]
    policy: dict[str, Policy] = {}
    made: Any  # functools.cache would ask for a hash of the class's instances
    for kind, made in policies.items():
        table = tables.get(kind, {})
        if not isinstance(table, dict):
            faults.append(f"policy.{kind}: found {shown(table)}, expected a table")
            continue
        try:
            policy[kind] = _adapter(made).validate_json(json.dumps(table, default=str))
        except ValidationError as exc:
            faults += [f"policy.{kind}.{fault}" for fault in faults_of(exc)]
    try:
        # Through JSON, because strict validation takes TOML's tables and arrays for dataclasses and tuples only there.
        rest = {key: value for key, value in document.items() if key != "policy"}
        config: Config = _adapter(Config).validate_json(json.dumps(rest, default=str))
    except ValidationError as exc:
        faults += faults_of(exc)
    else:
        for key, made_of in (("sources", config.sources), ("outlets", config.outlets)):
            names = [table.name for table in made_of]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                faults.append(f"{key}: found the name {shown(twice[0])} twice, expected each once")
        if config.supervisor.drain_s <= config.listener.drain_s:
            faults.append(
                f"supervisor.drain_s: found {config.supervisor.drain_s:g}, expected more than listener.drain_s "
                f"({config.listener.drain_s:g}), or the gateway is killed while senders may still go on"
            )
    if faults:
        raise ConfigError(f"{origin}: {'; '.join(faults)}: see docs/configuration.md for the keys")
    return replace(config, policy=policy)


@cache
def _adapter(made: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(made)
