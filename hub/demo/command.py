"""``hub demo``: brings up the servers and the hub's processes, tells the story, and stops everything cleanly."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from hub.demo.api import Api, Entry, NotSeen, seen
from hub.demo.oncall import OnCall
from hub.demo.payloads import SUPPORT
from hub.demo.story import CUSTOMER, SECOND_CUSTOMER, Stage, tell
from hub.everything import commands_for
from hub.local.alertmanager import find_alertmanager
from hub.local.ami_peer import AmiPeer
from hub.local.commands import prepare
from hub.local.stack import Addresses, LocalStack
from hub.local.state import default_folder
from hub.policy.applying import configuration_event
from hub.processes import publisher_for
from hub.supervisor import Supervisor
from hub.wiring import stop_event
from runtime import logging
from runtime.clock import MovableClock
from runtime.settings import Settings, load

Say = Callable[[str], None]
WORDS = {"sla.warned": "warned", "sla.breached": "PAGED", "sla.resolved": "told that it is over"}


class Totals(msgspec.Struct):
    """The last line of ``hub demo --exit``."""

    timeline_entries: int
    tickets: int
    warnings: int
    breaches: int
    alerts_delivered: int


def play(out: Console, exit_after: bool, folder: Path | None = None) -> int:
    """Run the demonstration in ``folder`` (default: ``.local/demo``), whose data of an earlier run are removed.

    Returns the exit code: 0, 1 when the story did not go as it should, or 130 when it was interrupted.
    """
    folder = (folder or default_folder() / "demo").resolve()
    logging.configure("error", "demo")
    began = time.monotonic()

    def say(line: str) -> None:
        out.print(f"[dim]{time.monotonic() - began:5.1f} s[/]  {line}", highlight=False)

    oncall = OnCall(
        "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
        lambda kind: say(f"[bold yellow]on-call is {WORDS.get(kind, kind)}[/]"),
    )
    port = oncall.bind()
    webhook = f"http://127.0.0.1:{port}/alertmanager" if find_alertmanager() else None
    given = load()
    stack = LocalStack(folder, alert_webhook=webhook, owned=True, progress=say)
    stack.remove()
    try:
        with stack as addresses:
            settings = _settings(given, folder, addresses, oncall, port)
            return asyncio.run(_run(settings, folder, oncall, out, say, exit_after, addresses))
    except KeyboardInterrupt:
        return 130


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("this machine has no free port")


def _settings(given: Settings, folder: Path, addresses: Addresses, oncall: OnCall, port: int) -> Settings:
    """The settings of all processes, as one file and one environment."""
    http = _free_port(given.http_port)
    return msgspec.structs.replace(
        given,
        kafka=addresses.kafka,
        postgres=addresses.postgres,
        tenant="demo",
        api_token=secrets.token_urlsafe(18),
        http_port=http,
        lmtp_port=_free_port(given.lmtp_port),
        accounts=str(folder / "accounts.yaml"),
        blobs=str(folder / "blobs"),
        alertmanager=addresses.alertmanager or "",
        alert_webhook=f"http://127.0.0.1:{port}/oncall",
        alert_webhook_secret=oncall.secret,
        public_url=f"http://127.0.0.1:{http}",
        clock_file=str(folder / "clock"),
        log_level="warning",
    )


def environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables that the processes read."""
    return {f"HUB_{name.upper()}": str(getattr(settings, name)) for name in settings.__struct_fields__}


async def _run(
    settings: Settings,
    folder: Path,
    oncall: OnCall,
    out: Console,
    say: Say,
    exit_after: bool,
    addresses: Addresses,
) -> int:
    switch = AmiPeer()
    secret = secrets.token_hex(16)
    _write_accounts(Path(settings.accounts), secret, await switch.start("127.0.0.1", 0))
    clock = MovableClock(Path(settings.clock_file))
    Path(settings.clock_file).write_text("0")  # noqa: ASYNC240 - a few bytes, before anything runs
    await oncall.start()
    say("making topics and tables")
    await prepare(addresses)
    async with publisher_for(settings, clock) as publisher:
        text = (Path(__file__).parent / "policies.yaml").read_text(encoding="utf-8")
        await publisher.publish([configuration_event(text, settings.tenant, clock.now())])
    supervisor = Supervisor(commands_for(settings), environment(settings), folder / "logs", say)
    api = Api(settings.public_url, settings.api_token)
    stopping = stop_event()
    say("starting the hub's processes")
    await supervisor.start()
    try:
        ending = asyncio.create_task(stopping.wait())
        telling = asyncio.create_task(_tell(settings, api, clock, oncall, switch, secret, out, say))
        await asyncio.wait({ending, telling}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            telling.cancel()
            return 130
        totals = telling.result()
        if not exit_after:
            _show_doors(settings, folder, out)
            await stopping.wait()
            return 0
        out.print(msgspec.json.encode(totals).decode(), highlight=False, soft_wrap=True)
        return 0
    except NotSeen as error:
        out.print(f"[bold red]The story broke off:[/] {error}; see the logs in {folder / 'logs'}", highlight=False)
        return 1
    finally:
        say("stopping")
        await api.close()
        await supervisor.stop()
        await switch.stop()
        await oncall.stop()


async def _tell(
    settings: Settings,
    api: Api,
    clock: MovableClock,
    oncall: OnCall,
    switch: AmiPeer,
    secret: str,
    out: Console,
    say: Say,
) -> Totals:
    await seen("the HTTP server", api.ready)
    await seen("the mail door", lambda: asyncio.to_thread(_listens, settings.lmtp_port))
    await asyncio.wait_for(switch.until_logged_in(), 60)
    say(f"the hub is up; its page: {settings.public_url}")
    await tell(Stage(api, clock, oncall, switch, settings.lmtp_port, secret, say))
    entries = [*await api.history(CUSTOMER), *await api.history(SECOND_CUSTOMER)]
    out.print(_history(await api.history(CUSTOMER)))
    tickets = await api.tickets()
    outcomes = [verdict.outcome for ticket in tickets for verdict in ticket.verdicts]
    customer = await api.customer(CUSTOMER)
    out.print(f"The same, live, in the browser: {settings.public_url}/customers/{customer}", highlight=False)
    return Totals(len(entries), len(tickets), outcomes.count("warned"), outcomes.count("breached"), len(oncall.opened))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write_accounts(file: Path, secret: str, switch: int) -> None:
    owner = {"tenant": "demo", "name": "demo", "organisation": "own", "team": "second-line"}
    tree = {
        "whatsapp": [{**owner, "secret": secret, "verify_token": secrets.token_hex(8)}],
        "email": [{**owner, "options": {"recipients": SUPPORT, "own_addresses": SUPPORT}}],
        "asterisk-ami": [
            {
                **owner,
                "secret": "hub",
                "region": "DE",
                "options": {"host": "127.0.0.1", "port": str(switch), "username": "hub"},
            }
        ],
    }
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    file.chmod(0o600)


def _history(entries: list[Entry]) -> Table:
    table = Table(title="The customer's history", header_style="bold", box=None, pad_edge=False)
    for column in ("at (UTC)", "channel", "what", "who", "words"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        actor = entry.actor
        who = "/".join(part for part in (actor.organisation, actor.team) if part) if actor else ""
        words = (entry.text or entry.subject or "").strip().replace("\n", " ")
        table.add_row(
            entry.occurred_at[:16].replace("T", " "),
            entry.channel,
            entry.type,
            who or (actor.kind if actor else ""),
            words[:70],
        )
    return table


def _show_doors(settings: Settings, folder: Path, out: Console) -> None:
    url, token = settings.public_url, settings.api_token
    rows = [
        ("page", f"{url} (token below)"),
        ("API", f'curl -H "Authorization: Bearer {token}" {url}/v1/tickets'),
        ("token", token),
        ("mail (LMTP)", f"127.0.0.1:{settings.lmtp_port}, to {SUPPORT}"),
        ("WhatsApp", f"{url}/v1/channels/whatsapp/demo"),
        ("Alertmanager", settings.alertmanager or "not installed"),
        ("Kafka", settings.kafka),
        ("PostgreSQL", settings.postgres),
        ("logs", str(folder / "logs")),
    ]
    for name, address in rows:
        out.print(f"{name:<14}{address}", highlight=False, soft_wrap=True)
    out.print("Ctrl-C stops everything.", style="bold")
