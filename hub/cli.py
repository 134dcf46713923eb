"""The command line. Each command tells its units and defaults; settings come from ``HUB_…`` variables."""

from __future__ import annotations

import asyncio
import sys
import zoneinfo
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from domain.errors import HubError
from hub.accounts import AccountsInvalid
from hub.local.process import StackError
from hub.policy.commands import policy
from hub.verify.log import Refused
from runtime import logging
from runtime.settings import SettingInvalid, Settings, load
from runtime.topics_admin import TopicRefused

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
local = typer.Typer(no_args_is_help=True, help="Kafka, PostgreSQL and Alertmanager on this machine, the real ones.")
topics = typer.Typer(no_args_is_help=True, help="The topics as schemas/topics/*.yaml say, against those Kafka has.")
sla = typer.Typer(no_args_is_help=True, help="What was promised, and what became of it.")
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be read or carried out, with the reason.")
for name, group in {"local": local, "topics": topics, "sla": sla, "dlq": dlq, "policy": policy}.items():
    app.add_typer(group, name=name)
out = Console()
err = Console(stderr=True)
Folder = Annotated[
    Path | None,
    typer.Option(help="Where the servers keep data and logs; default: .local in the project.", show_default=False),
]


def run(process: str, work: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine sends and takes
    """Run a process of the hub to its end, with logs set up."""
    logging.configure(settings().log_level, process)
    asyncio.run(work)


def settings() -> Settings:
    """The settings of this process."""
    return load()


@app.command()
def worker(stage: Annotated[str, typer.Argument(help="identity or casework")]) -> None:
    """Run one stage's worker. Start several for more speed: partitions are dealt out among them."""
    from hub.wiring import run_worker

    if stage not in ("identity", "casework"):
        raise typer.BadParameter("a stage is identity or casework")
    run(f"worker {stage}", run_worker(stage, settings()))


@app.command()
def project() -> None:
    """Write timelines, tickets, verdicts and what calls were from their topics to PostgreSQL."""
    from hub import processes

    run("project", processes.project(settings()))


@app.command()
def alert() -> None:
    """Deliver alerts to Alertmanager (HUB_ALERTMANAGER) and the signed webhook (HUB_ALERT_WEBHOOK)."""
    from hub import processes

    run("alert", processes.alert(settings()))


@app.command()
def count(
    anew: Annotated[
        bool, typer.Option("--anew", help="First forget what was counted; then count all that the topic still keeps.")
    ] = False,
) -> None:
    """Count what each source sends, and keep which of its own numbers are missing; see hub sources."""
    from hub.sources import count as work

    run("count", work(settings(), anew))


@app.command()
def sources(
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each; instants in microseconds.")] = False,
) -> None:
    """Show what each source sent, which of its own numbers are missing, and what it says it sent."""
    from hub.sources import show

    raise typer.Exit(asyncio.run(show(settings(), tenant, as_json, out)))


@app.command()
def figures(
    since: Annotated[str, typer.Option("--from", help="Begin of the period: a date, or an instant with a zone.")],
    until: Annotated[str, typer.Option("--to", help="Its end, not part of it.")],
    by: Annotated[str, typer.Option(help="queue, team, organisation or channel.")] = "queue",
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    queue: Annotated[str, typer.Option(help="Only this queue's.")] = "",
    organisation: Annotated[str, typer.Option(help="Only this organisation's.")] = "",
    team: Annotated[str, typer.Option(help="Only this team's.")] = "",
    channel: Annotated[str, typer.Option(help="Only of this channel.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON, as GET /v1/figures has it.")] = False,
) -> None:
    """Show service level, abandonment, speed of answer, handling time, transfers, repeats and resolution."""
    from hub.figures import show, wanted_of

    wanted = wanted_of(since, until, by, (tenant, queue, organisation, team, channel))
    raise typer.Exit(asyncio.run(show(settings(), wanted, as_json, out)))


@app.command()
def serve() -> None:
    """Run the HTTP server: webhooks and events in, timelines and tickets out, and the pages."""
    from hub import processes

    run("serve", processes.serve(settings()))


@app.command()
def receive(adapter: Annotated[str, typer.Argument(help="email or asterisk-ami")]) -> None:
    """Run a door of another protocol than HTTP: mail by LMTP, or a client of Asterisk's manager interface."""
    from hub import processes

    if adapter not in ("email", "asterisk-ami"):
        raise typer.BadParameter("a door is email or asterisk-ami; HTTP channels come in through 'hub serve'")
    run(f"receive {adapter}", processes.receive(adapter, settings()))


@app.command(name="run")
def run_all() -> None:
    """Run everything on this machine under a supervisor that starts anew what exits. Ctrl-C stops it all."""
    from hub.everything import run_everything

    run("run", run_everything(settings()))


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the story, with a last line of JSON.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where its data and logs lie, removed at the next start; default: .local/demo in the project.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the whole hub here and play a story through its real doors. Ctrl-C stops everything."""
    from hub.demo.command import play

    raise typer.Exit(play(out, exit_after, folder))


@app.command()
def migrate() -> None:
    """Bring the database (HUB_POSTGRES) to its newest schema; does nothing if it is."""
    from projections.migrate import migrate as work

    run("migrate", work(settings().postgres))


@app.command()
def parse(
    adapter: Annotated[str, typer.Argument(help="email, whatsapp, amazon-connect or asterisk-ami")],
    files: Annotated[list[Path], typer.Argument(help="Payloads as the vendor sent them.")],
    region: Annotated[str, typer.Option(help="Country (ISO 3166) that completes national phone numbers.")] = "",
    own: Annotated[str, typer.Option(help="The company's own mail addresses or domains, white space between.")] = "",
) -> None:
    """Print the events an adapter makes of payloads, as JSON lines; exits with 1 if one can't be read."""
    from hub.reading import parse_files

    raise typer.Exit(parse_files(adapter, files, region, own, sys.stdout, err))


@app.command()
def verify(
    partition: Annotated[list[int] | None, typer.Option(help="Compare this one only; may be given again.")] = None,
    digest: Annotated[bool, typer.Option("--digest", help="Print one number for what people read instead.")] = False,
) -> None:
    """Compare the log with state, topics and tables, while everything runs; exits with 1 if anything differs."""
    from hub.verify import command

    work = command.show_digest(settings(), out) if digest else command.run(settings(), partition or [], out, err)
    raise typer.Exit(asyncio.run(work))


@app.command()
def rebuild(
    tables: Annotated[bool, typer.Option("--tables", help="Only the read models; casework may go on.")] = False,
) -> None:
    """Drop state and read models and make them anew from the log; nothing is sent again, and nobody is alerted."""
    from hub.rebuild import command

    raise typer.Exit(asyncio.run(command.run(settings(), out, err, only_tables=tables)))


@local.command()
def up(folder: Folder = None) -> None:
    """Start the servers if they don't run, make the topics and tables, and print how to reach them."""
    from hub.local import commands

    commands.up(out, folder)


@local.command()
def down(folder: Folder = None) -> None:
    """Stop the servers; their data stay."""
    from hub.local import commands

    commands.down(out, folder)


@local.command()
def status(folder: Folder = None) -> None:
    """Say which servers run, and where their logs are."""
    from hub.local import commands

    commands.status(out, folder)


@topics.command("apply")
def topics_apply() -> None:
    """Create and configure what is missing on HUB_KAFKA, with HUB_PARTITIONS and HUB_REPLICATION."""
    from hub.operations import topics_apply as work

    raise typer.Exit(asyncio.run(work(settings(), out)))


@topics.command("diff")
def topics_diff() -> None:
    """Show what apply would do; exits with 1 if there is anything."""
    from hub.operations import topics_diff as work

    raise typer.Exit(asyncio.run(work(settings(), out)))


@sla.command()
def explain(
    ticket: Annotated[str, typer.Argument(help="The ticket's id.")],
    metric: Annotated[str, typer.Option(help="Only this promise, such as first_response.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, verdicts as the API answers with them.")] = False,
) -> None:
    """Say in words and in a table what was promised for a ticket, what became of it, and on what evidence."""
    from domain.policies import METRICS
    from hub.sla.explain import explain as work

    if metric and metric not in METRICS:
        raise typer.BadParameter(f"a metric is one of {', '.join(METRICS)}")
    raise typer.Exit(asyncio.run(work(settings(), ticket, out, err, metric, as_json)))


@sla.command("verify")
def sla_verify(
    tenant: Annotated[str, typer.Option(help="Only this tenant's verdicts.")] = "",
    ticket: Annotated[str, typer.Option(help="Only this ticket's verdicts.")] = "",
    begin: Annotated[str, typer.Option("--from", help="Only those judged from this date (UTC) or instant on.")] = "",
    end: Annotated[str, typer.Option("--to", help="Only those judged before this date (UTC) or instant.")] = "",
) -> None:
    """Recompute all verdicts from the log and from their evidence; exits with 1 if any is not what was published."""
    from hub.sla.period import period
    from hub.sla.verify import Wanted
    from hub.sla.verify import run as work

    wanted = Wanted(tenant, ticket, period(begin, end))
    raise typer.Exit(asyncio.run(work(settings(), wanted, out, err)))


@sla.command("what-if")
def what_if(
    policy: Annotated[Path, typer.Option("--policy", help="YAML with the calendars, policies and routes to try.")],
    begin: Annotated[
        str, typer.Option("--from", help="Clocks that began on this date (UTC) or later; or an instant.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Clocks that began before this date (UTC) or instant.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose tickets are judged again; default: HUB_TENANT.")] = "",
    by: Annotated[str, typer.Option(help="Rows by team or by organisation.")] = "team",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with twenty examples of each change.")] = False,
) -> None:
    """Judge a period again under another bundle of policies, in memory, and show by team and vendor what changes."""
    from hub.sla.period import period
    from hub.sla.what_if import Asked
    from hub.sla.what_if import run as work

    if by not in ("team", "organisation"):
        raise typer.BadParameter("rows are by team or by organisation")
    asked = Asked(policy, tenant or settings().tenant, period(begin, end), by == "team", as_json)
    raise typer.Exit(asyncio.run(work(settings(), asked, out, err)))


@dlq.command("list")
def dlq_list(
    reason: Annotated[str, typer.Option(help="Only letters with this reason.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, the newest.")] = 50,
) -> None:
    """List dead letters: when, which stage, why, and when each was put back."""
    from hub.dead_letters import show_list

    raise typer.Exit(asyncio.run(show_list(settings(), reason, limit, out, err)))


@dlq.command("show")
def dlq_show(letter: Annotated[str, typer.Argument(help="The letter's id, from the list.")]) -> None:
    """Show one dead letter whole, with its original bytes."""
    from hub.dead_letters import show

    raise typer.Exit(asyncio.run(show(settings(), letter, out, err)))


@dlq.command("retry")
def dlq_retry(
    letters: Annotated[list[str] | None, typer.Argument(help="Ids from the list; none: all of --reason.")] = None,
    reason: Annotated[str, typer.Option(help="Retry every letter with this reason.")] = "",
    limit: Annotated[
        int, typer.Option(min=0, help="Put back at most so many, the oldest of each partition; 0: all.")
    ] = 0,
) -> None:
    """Put letters back to where they failed, in their order, each once, however often this is run."""
    from hub.dead_letters import retry

    raise typer.Exit(asyncio.run(retry(settings(), letters or [], reason, limit, out, err)))


def table(*columns: str) -> Table:
    """A plain table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column)
    return made


def main() -> None:
    """The command ``hub``: errors that a person can mend are said in a line, without a traceback."""
    # The pinned tzdata package, not the machine's own files: two machines must judge one log alike.
    zoneinfo.reset_tzpath(())
    try:
        app()
    except Exception as error:  # what no person can mend is raised again
        words = in_words(error)
        if words is None:
            raise
        err.print("[bold red]hub:[/]", end=" ")
        err.print(words, highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)


def in_words(error: Exception) -> str | None:
    """What a person can do about an error; None for one that is a fault of ours."""
    if isinstance(error, KafkaError):
        return f"Kafka at {settings().kafka} (HUB_KAFKA) does not answer as it should: {error}"
    known = (HubError, SettingInvalid, AccountsInvalid, StackError, TopicRefused, Refused)
    return str(error) if isinstance(error, known) else None
