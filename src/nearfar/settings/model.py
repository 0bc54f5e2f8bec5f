"""The settings as frozen values, each with its default and its unit. They know neither files nor environment.

``config schema`` is generated from these structs, so their docstrings and field names are the reference.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Strategy = Literal[
    "local-only",
    "local-first",
    "cloud-first",
    "cloud-only",
    "cheapest",
    "fastest",
    "quality",
    "cascade",
    "weighted",
    "canary",
    "shadow",
]
PlaceName = Literal["device", "lan", "private-cloud", "cloud"]
ClassName = Literal["public", "internal", "confidential", "restricted"]
PresetName = Literal["default", "developer", "team", "tw-medical", "tw-finance", "government", "offline"]


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs at least one key."""
    port: int = 8642
    """Port to listen on; 0 takes a free one."""
    workers: int = 1
    """Gateway processes that share the port, the engines, the ledger and the cool-downs."""
    tls_cert: str = ""
    """PEM file; with tls_key, the edge speaks HTTPS."""
    tls_key: str = ""
    """PEM file of the private key that belongs to tls_cert."""
    cors_origins: tuple[str, ...] = ()
    """Browser origins that may call; closed by default."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers accepted besides loopback names and the listening address."""
    require_key: bool | None = None
    """True: every call needs a key. Unset: as soon as one key exists, or the edge is not on loopback."""
    max_body_bytes: int = 32 * 1024 * 1024
    """The largest request body; more is 413."""
    max_reply_bytes: int = 256 * 1024 * 1024
    """Bytes of plain replies that one worker holds at a time, all together; more is 502. Streams are passed on."""
    max_header_bytes: int = 32 * 1024
    """The largest request head; more is 431."""
    header_timeout: float = 10.0
    """Seconds a client may take to send its request headers."""
    body_timeout: float = 30.0
    """Seconds a client may pause between pieces of its body."""
    keep_alive_timeout: float = 75.0
    """Seconds an idle client connection is kept."""
    max_connections: int = 10_000
    """Client connections at once; more are turned away with 503."""
    shutdown_grace: float = 30.0
    """Seconds that running streams get to finish when the gateway is asked to stop."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds each phase of an upstream attempt may take."""

    connect: float = 5.0
    """Until the connection stands, TLS included."""
    first_byte: float = 120.0
    """From sending the request to the head of the reply."""
    between_bytes: float = 60.0
    """Between two pieces of a reply."""
    total: float = 900.0
    """The whole attempt."""


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The budget of one request: how often and how long deployments are asked until one answers."""

    attempts: int = 8
    """Attempts of one request at all deployments together."""
    seconds: float = 300.0
    """Seconds after a request's arrival in which another attempt may begin."""
    again: int = 1
    """How often one deployment is asked again, once no other one is left; 0 for clients whose own SDK retries."""
    pause: float = 0.25
    """Seconds of the first pause before that, at most: its length is drawn at random, and its bound doubles."""
    longest: float = 2.0
    """The longest pause in seconds. An upstream that asks for more is not waited for: the client is told how long."""


class Proxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HTTP proxies for upstreams off this machine. HTTPS_PROXY, HTTP_PROXY and NO_PROXY fill empty fields."""

    https: str = ""
    """``http://host:port`` of the proxy for HTTPS upstreams."""
    http: str = ""
    """``http://host:port`` of the proxy for plain HTTP upstreams."""
    no_proxy: tuple[str, ...] = ()
    """Hosts, with everything below them, that are reached directly; ``*`` for all."""


class Engine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded engine."""

    enabled: bool = True
    """Whether model files of this machine are offered at all."""
    memory_mb: int | None = None
    """Memory that loaded models may take together; unset: 70 % of what the machine (or container) has."""
    threads: int | None = None
    """Threads per model; unset: physical cores minus one, at least one."""
    slots: int = 4
    """Requests that one model answers at once."""
    context: int = 8192
    """Tokens of context per slot asked for; never more than the model was trained for."""
    idle_unload: float = 600.0
    """Seconds without a request after which a model is unloaded; 0 keeps it."""
    start_timeout: float = 120.0
    """Seconds a model may take to load."""
    prompt_cache_mb: int = 64
    """Memory in which a model keeps the state of earlier prompts."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where attempts are recorded."""

    url: str = ""
    """``sqlite:///PATH`` or ``postgresql://…``; empty: ledger.db in the state folder."""
    journal: str = ""
    """Folder of the journal; empty: ``journal`` in the state folder."""
    flush_seconds: float = 0.5
    """How often the database is filled from the journal."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far each class may go, and in which form: a preset, a file of your own, or single places."""

    preset: PresetName = "default"
    """The policy to begin with; ``nearfar policy presets`` says what each is for."""
    file: str = ""
    """Absolute path of a policy file of your own; it may extend a preset. See ``nearfar policy show``."""
    mode: Literal["enforce", "observe"] = "enforce"
    """``observe`` tries the preset or the file out: what it would do with each request is told (header, counter,
    audit) and NOT done. Meanwhile the preset ``default`` holds."""
    public: PlaceName | None = None
    """The furthest place for public requests, in clear; nothing goes further. Unset: as preset or file have it."""
    internal: PlaceName | None = None
    """The same for internal requests."""
    confidential: PlaceName | None = None
    """The same for confidential requests."""
    restricted: PlaceName | None = None
    """The same for restricted requests."""
    default_class: ClassName | None = None
    """Class of a request about which nobody said anything; unset: as preset or file have it."""
    detect: bool | None = None
    """Whether the content of requests is looked at; unset: with every preset but ``default``, with a file of your own,
    and with ``detectors``. What is found raises a request's class."""
    detect_deadline: float = 5.0
    """Seconds that further detectors (``detectors``) may take for one request; then it stays near or is refused."""
    replies: Literal["pass", "tell", "redact"] | None = None
    """Private values that a reply from beyond the local network brings up and the caller did not send: they pass, are
    told of, or are redacted. Unset: as preset or file have it, which is ``pass`` unless they say more."""
    harmless: tuple[str, ...] = ()
    """Your own values that count as nothing on every route: a phone number, a business number, a line of a
    letterhead. They are counted, and audited."""


class DetectorSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector of your own choice beside the rules and the embedded names. It runs here, with a library and a model
    that you have installed; nothing is downloaded. Whatever goes wrong with it keeps requests near or refuses them.
    """

    engine: Literal["presidio", "gliner", "classifier"]
    """``classifier``: a token classifier of transformers, such as a privacy filter."""
    model: str = ""
    """Folder of its model; ``presidio`` without one finds what its patterns find."""
    labels: tuple[str, ...] = ()
    """What ``gliner`` is asked for; empty: person and address."""
    threshold: float = 0.5
    """The lowest score that counts, from 0 to 1."""
    language: str = "en"
    """Of the texts, for ``presidio``."""


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records that the policy demands before bytes leave. They hold kinds and counts, never values."""

    folder: str = ""
    """Folder of the chains; empty: ``audit`` in the state folder."""
    wait: float = 5.0
    """Seconds a record may take to reach the disk; then nothing leaves for beyond the local network."""


class Responses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether answers of ``/v1/responses`` are kept, so that clients can continue them. They are encrypted."""

    keep_hours: float = 0.0
    """How long a response is kept for its caller; 0 keeps none. OpenAI's own service keeps them for 30 days."""
    highest_class: ClassName = "internal"
    """Responses of a higher class are not kept."""
    most_per_caller: int = 10_000
    """Responses kept for one caller (without keys: for all); one more, and the oldest goes. 0: any number."""
    most_mb_per_caller: int = 256
    """MB of them, compressed and encrypted; more, and the oldest go. 0: any size."""
    key: str = ""
    """Where the key (32 bytes, as 64 hexadecimal digits) is: ``env:NAME`` or ``file:PATH``; empty: ``responses.key`` in
    the state folder. Gateways that share a database need the same."""


class PriceSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    input: float
    """Tokens of the prompt."""
    output: float
    """Tokens of the answer, reasoning included."""
    cached_input: float | None = None
    """Tokens of the prompt that the provider had in its cache; unset: as input."""
    cache_write: float | None = None
    """Tokens that the provider puts into its cache; unset: as input."""


class DeploymentSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model at a provider. Any OpenAI-compatible server: provider, base_url, model."""

    provider: str
    """A name from ``nearfar providers ls``; ``openai-compatible`` for any server that speaks OpenAI's dialect."""
    model: str
    """The name by which the provider knows the model."""
    base_url: str = ""
    """Where its API begins, such as ``https://host/v1``; unset: the provider's own address."""
    key: str = ""
    """Where the key is: ``env:NAME`` or ``file:PATH``. Never the key itself."""
    place: PlaceName | None = None
    """Your word that the deployment runs there; unset: the provider's own place."""
    region: str = ""
    """Where a cloud runs it, for people to read; not used in decisions yet."""
    options: dict[str, str] = {}
    """What the provider needs to know besides, such as ``region`` or ``api_version``; ``nearfar providers ls`` says."""
    operations: tuple[Literal["chat", "embeddings", "transcription"], ...] = ()
    """What it can be asked for; unset: what the provider can do."""
    context: int | None = None
    """Tokens that prompt and answer may have together; longer prompts are not sent there."""
    max_output: int | None = None
    """The longest answer in tokens; also bounds what an attempt can cost."""
    price: PriceSetting | None = None
    """Unset: the dated price list, or unknown."""
    capabilities: dict[str, bool] = {}
    """What it can do, such as ``tools``, ``images``, ``json_schema``; false keeps requests away that need it."""
    headers: dict[str, str] = {}
    """Extra request headers; values may be references (``env:``, ``file:``)."""
    slots: int | None = None
    """Requests that it answers at once; more wait in the gateway's queue. Unset: ``engine.slots`` for the embedded
    engine, no limit for others. Take the number that the runtime was started with."""
    quality: float | None = None
    """Your own word of how good its answers are, on any scale, for the strategy ``quality``."""


class BranchSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment of the route that gets a share of its traffic."""

    deployment: str
    """Its name; it is one of the route's ``deployments``."""
    share: float
    """From 0 to 1."""


class CascadeSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the strategy ``cascade`` judges a near answer, and who is asked besides."""

    opinions: tuple[str, ...] = ()
    """Deployments, at most two, that are asked the same while the answer is uncertain, in this order; best of another
    family than the near model. The near model itself is asked again in another style."""
    threshold: float = 0.5
    """The confidence from 0 to 1 that an answer needs to be kept."""
    answers: Literal["text", "number", "choice", "literal", "json", "code"] = "text"
    """How answers are read and compared. Requests that ask for JSON are compared as ``json``."""
    stream: Literal["buffer", "off"] = "buffer"
    """``buffer`` holds a streamed answer until it has been judged, with keep-alives for the client; ``off`` passes it
    straight through, unjudged, and says so."""
    max_cost: float | None = None
    """USD that all attempts for one request may cost together, at their upper bounds. An opinion or an escalation that
    could cost more is not made, and that is told. Unset: no bound of its own."""


class RouterSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A router that ``nearfar router fit`` learned: it says which prompts are worth sending far. It needs NumPy."""

    file: str
    """The router; a relative path counts from the folder of the configuration file that names it."""
    certificate: str = ""
    """What ``nearfar router certify --out`` wrote for this very router: its threshold, and the promise that is watched.
    """
    threshold: float | None = None
    """Instead of a certificate: the expected gap, -1 to 1, up to which near goes first. Nothing is promised then."""
    mode: Literal["observe", "canary", "on"] = "observe"
    """``observe`` only tells what it would do, ``canary`` decides ``share`` of the conversations, ``on`` all."""
    share: float = 0.05
    """For ``canary``, from 0 to 1."""
    embedder: str = ""
    """A near deployment that embeds prompts, for a router that was fitted with embeddings of the same model."""


class RouteSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What clients name as ``model``."""

    deployments: tuple[str, ...]
    """Names of deployments; within one place, earlier ones are tried first."""
    strategy: Strategy = "local-first"
    """Which side is tried first, or alone; or what else decides, see the guide to strategies."""
    class_: ClassName = msgspec.field(name="class", default="public")
    """Requests on this route are at least this sensitive."""
    description: str = ""
    """Shown in ``/v1/models``."""
    harmless: tuple[str, ...] = ()
    """Your own values that count as nothing on this route, beside those of ``policy.harmless``."""
    cold: Literal["warm", "wait"] = "warm"
    """A local model that is not in memory and takes long to load: ``warm`` loads it in the background while another
    allowed deployment of the route answers, ``wait`` waits for it."""
    spill_after: float | None = None
    """Seconds in which the side that goes first is to send its first content: waiting, loading and reading the prompt
    counted. Where it is expected later, or a slot did not become free in time, the other side answers, if it is
    expected sooner and the class allows it. Unset: it waits. With ``fastest``: by how much near may be expected to be
    later and still answer; unset: not at all."""
    balance: Literal["listed", "wait"] = "listed"
    """Within one side: ``listed`` in the order of ``deployments``, ``wait`` whichever is expected to answer soonest."""
    affinity: bool = False
    """Whether a conversation prefers one deployment while that is well, so that prompt caches are of use."""
    weights: dict[str, float] = {}
    """Deployment → weight, for ``strategy = "weighted"``; 1 for those that are not named."""
    canary: BranchSetting | None = None
    """For ``strategy = "canary"``: who is tried with a share of the traffic."""
    shadow: BranchSetting | None = None
    """For ``strategy = "shadow"`` or ``"cascade"``: who is asked a second time, after the reply and unseen by the
    client, with a share of the traffic."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Where its requests stand in a queue. A request may lower it (``x-nearfar-priority: low``), never raise it."""
    continues: bool = False
    """Whether a stream that breaks off after its first content is continued by another allowed deployment, one with
    ``capabilities = { prefill = true }``: there, a last message of the assistant is continued. Only of plain words in
    clear, and told as ``continued:DEPLOYMENT:CODE``. Otherwise it ends with an error event."""
    hedge_after: float | None = None
    """Seconds without content after which another allowed deployment is asked besides the first one: whoever has
    content first answers, the other one is cancelled, and both are paid for. Unset: never."""
    cascade: CascadeSetting | None = None
    """For ``strategy = "cascade"``: how near answers are judged."""
    router: RouterSetting | None = None
    """A learned router that says which side goes first, where both are allowed."""


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queue in front of deployments that answer a known number of requests at once (``slots``)."""

    longest: int = 256
    """Requests that may wait for one model; more are answered elsewhere, or with 503."""
    seconds: float = 300.0
    """How long a request may wait that nobody else may answer; then 503."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of what is asked besides, unseen by clients (``routes.NAME.shadow``)."""

    most: int = 2
    """How many are under way at once in each worker; more are left out."""
    daily_usd: float = 1.0
    """USD that they may cost on each day (UTC), at their upper bounds; a far deployment without a known price is left
    out. Workers share it equally; a restart goes on with what is left of the day. Every gateway has its own."""


class Learning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether pairs of near and far answers are kept, encrypted, and judged, so that a router can be learned from them.
    They come from shadows and cascades. Nothing is kept unless ``keep`` says so.
    """

    keep: tuple[ClassName, ...] = ()
    """Classes whose prompts and answers are kept: ``public``, ``internal``, or both; never a higher one. Empty: no."""
    retention_days: float = 30.0
    """How long they are kept."""
    judge: str = ""
    """A deployment or a route that says which answer is better, where comparing them does not. It gets no more than the
    request's class lets go there for the purpose ``judge``. Empty: only what comparing decides is kept."""
    share_judged: float = 1.0
    """The share of such pairs that it is asked about, from 0 to 1; the others are not kept."""
    anchors: str = ""
    """Absolute path of prompts with a better and a worse answer each, one JSON object for each line, that the judge is
    tried on at first and every day; unset: those that come with nearfar."""
    agreement: float = 0.8
    """The share of them on which it must agree; below that its labels are not trusted, and not used."""
    key: str = ""
    """Where the key (32 bytes, as 64 hexadecimal digits) is: ``env:NAME`` or ``file:PATH``; empty: ``learning.key`` in
    the state folder. Gateways that share a database need the same."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is looked for besides the configuration."""

    loopback: bool = True
    """Ask loopback ports for running local runtimes when the first request needs them; never at start-up."""
    keys: bool = True
    """Use provider keys found in the environment."""
    refresh_seconds: float = 30.0
    """How long what was found is believed before it is looked for again."""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Structured logs on standard error; they never hold content."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["auto", "json", "text"] = "auto"
    """``auto``: text on a terminal, JSON elsewhere."""
    access: bool = False
    """One line per request; the ledger has them all anyway."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be configured."""

    offline: bool = False
    """No cloud client is built at all."""
    state_dir: str = ""
    """Folder of database, journal, keys and sockets; empty: the platform's own (``nearfar doctor`` prints it)."""
    models_dir: str = ""
    """Folder of GGUF files added by ``nearfar models add``; empty: ``models`` in the platform's data folder."""
    server: Server = Server()
    deadlines: Deadlines = Deadlines()
    retries: Retries = Retries()
    proxy: Proxy = Proxy()
    engine: Engine = Engine()
    ledger: Ledger = Ledger()
    policy: Policy = Policy()
    detectors: dict[str, DetectorSetting] = {}
    audit: Audit = Audit()
    responses: Responses = Responses()
    queue: Queue = Queue()
    shadow: Shadow = Shadow()
    learning: Learning = Learning()
    discovery: Discovery = Discovery()
    log: Log = Log()
    deployments: dict[str, DeploymentSetting] = {}
    routes: dict[str, RouteSetting] = {}
