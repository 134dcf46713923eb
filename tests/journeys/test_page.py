"""A person in customer operations signs in, finds a customer, and sees what happens while it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from consumers.projector import Batch, write
from projections.migrate import migrate
from projections.postgres import connect
from schemas.records import Actor, Attachment, Handling, Link, SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from tests.http.serving import TOKEN, serving
from tests.projections.samples import CUSTOMER, MINUTE, NOON, TICKET, clock, entry, ticket, uid, verdict

pytestmark = [pytest.mark.postgres, pytest.mark.browser]
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@dataclass
class Desk:
    """A browser's page, signed in to a served hub."""

    page: Page
    url: str
    dsn: str

    async def happens(
        self,
        entries: Sequence[TimelineEntryAdded] = (),
        tickets: Sequence[TicketChanged] = (),
        verdicts: Sequence[SlaVerdictIssued] = (),
    ) -> None:
        """As the projector writes it."""
        connection = await connect(self.dsn)
        await write(connection, Batch(list(entries), list(tickets), list(verdicts)))
        await connection.close()

    async def watch(self) -> None:
        await self.page.goto(f"{self.url}/customers/{CUSTOMER}")
        await expect(self.page.locator("#live")).to_contain_text("Live")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield opened
        await opened.close()


@pytest.fixture
async def desk(database: str, browser: Browser) -> AsyncIterator[Desk]:
    await migrate(database)
    connection = await connect(database)
    add = "INSERT INTO customers VALUES ($1, 'default', now(), 'email', 'customer@example.com', NULL)"
    await connection.execute(add, CUSTOMER)
    add = "INSERT INTO contact_points VALUES ('default', 'email', $2, $1, true, false, 'first contact', now(), $1)"
    await connection.execute(add, CUSTOMER, "customer@example.com")
    await connection.close()
    complaints: list[str] = []

    def complained(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "[DOM]" not in message.text:
            complaints.append(message.text)

    async with serving(database) as served:
        context = await browser.new_context(locale="en-GB", timezone_id="Europe/Berlin")
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", complained)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{served.url}/customers/{CUSTOMER}")
        assert page.url.startswith(f"{served.url}/login")
        await page.get_by_label("API token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{served.url}/customers/{CUSTOMER}")
        yield Desk(page, served.url, database)
        await context.close()
    assert complaints == []  # nor did the content security policy refuse anything of ours


async def test_what_happens_appears_by_itself_in_its_place(desk: Desk) -> None:
    page = desk.page
    await desk.happens([entry(1), entry(2, occurred_at=NOON + 30 * MINUTE)])
    await desk.watch()
    entries = page.locator("#entries > li")
    await expect(entries).to_have_count(2)
    await desk.happens([entry(3, channel="voice", type="call.abandoned", occurred_at=NOON + 40 * MINUTE)])
    await expect(entries.first).to_contain_text("Phone")
    await expect(page.locator("#live")).to_contain_text("New: Call abandoned")
    # It came late: it is shown where it belongs, not on top.
    await desk.happens([entry(4, text="came late", occurred_at=NOON + 20 * MINUTE)])
    await expect(entries).to_have_count(4)
    await expect(entries.nth(2)).to_contain_text("came late")
    await page.reload()
    await expect(entries.nth(2)).to_contain_text("came late")


async def test_tickets_promises_and_verdicts_change_with_it(desk: Desk) -> None:
    page = desk.page
    await desk.happens([entry(1)], [ticket(1)])
    await desk.watch()
    panel = page.locator("#tickets")
    await expect(panel).to_contain_text("First response")
    await expect(panel).to_contain_text("due in 4")  # 49 min and some seconds at ten past noon, by the hub's clock
    missed = clock(state="breached_running", breached_at=NOON + 60 * MINUTE)
    await desk.happens(tickets=[ticket(2, clocks=[missed], organisation="own", team="care")], verdicts=[verdict(1)])
    await expect(panel).to_contain_text("Missed, still open")
    await expect(panel).to_contain_text("own · care")
    await panel.locator("summary").focus()
    await page.keyboard.press("Enter")
    evidence = panel.locator(f"#verdict-{verdict(1).id} table")
    await expect(evidence).to_be_visible()
    await expect(evidence.locator("tbody tr")).to_have_count(2)
    await expect(evidence).to_contain_text("vendor-a · support")
    await expect(evidence).to_contain_text("40 min")
    await desk.happens(verdicts=[verdict(2, outcome="retracted")])
    await expect(panel).to_contain_text("Taken back")
    await expect(evidence).to_be_visible()  # what was opened stays open


async def test_a_ticket_shows_its_level_links_merges_and_who_acts_on_it_at_the_same_time(desk: Desk) -> None:
    source = ticket(1, id=uid("t2"), subject="asked twice", status="closed", merged_into=TICKET, clocks=[])
    both = [Handling(NOON, NOON + 9 * MINUTE, 2, "vendor-a", "support"), Handling(NOON, NOON + 5 * MINUTE, 1, "own")]
    whole = ticket(
        2,
        level=2,
        ticket_type="task",
        about="order=4711",
        tier="gold",
        fields={"size": "9"},
        links=[Link("caused_by", uid("t3"), NOON)],
        merged=[uid("t2")],
        accepted_at=NOON,
        person="agent-7",
        handled_by=both,
        concurrent_at=NOON + 9 * MINUTE,
    )
    await desk.happens([entry(1, joined_because="same_conversation")], [whole, source])
    await desk.watch()
    shown = desk.page.locator(f"#ticket-{TICKET}")
    for words in (
        "Escalated to level 2", "Task", "agent-7, taken on", "About order=4711", "Customer's tier: gold",
        "Tags: delivery", "size: 9", f"Goes on for ticket {uid('t2')[:8]}", f"Caused by ticket {uid('t3')[:8]}",
        "More than one at the same time", "vendor-a · support: 2 actions", "own: 1 action,",
    ):  # fmt: skip
        await expect(shown).to_contain_text(words)
    merged = desk.page.locator(f"#ticket-{uid('t2')}")
    await expect(merged).to_contain_text(f"Merged: ticket {TICKET[:8]} goes on for it.")
    await merged.get_by_role("link", name=TICKET[:8]).click()
    assert desk.page.url.endswith(f"#ticket-{TICKET}")
    await expect(desk.page.locator("#entries")).to_contain_text("(same conversation)")


async def test_what_a_customer_writes_is_text_and_nothing_else(desk: Desk) -> None:
    page = desk.page
    hostile = entry(
        1,
        subject=HOSTILE,
        text=HOSTILE,
        actor=Actor("customer", team=HOSTILE),
        attachments=[Attachment(HOSTILE, HOSTILE, 1, None, "x")],
    )
    await desk.happens([hostile], [ticket(1, subject=HOSTILE, team=HOSTILE)])
    await desk.watch()
    await desk.happens([another(hostile)], [ticket(2, subject=HOSTILE)])
    entries = page.locator("#entries > li")
    await expect(entries).to_have_count(2)
    for each in (entries.nth(0), entries.nth(1), page.locator("#tickets")):
        await expect(each).to_contain_text("<script>document.title='owned'</script>")
    assert await page.locator("main script, main img").count() == 0
    await page.goto(desk.url)
    await expect(page.locator(".list")).to_contain_text("<script>")
    assert "owned" not in await page.title()


def another(first: TimelineEntryAdded) -> TimelineEntryAdded:
    """Another such entry, a minute later."""
    return entry(2, subject=first.subject, text=first.text, actor=first.actor, attachments=first.attachments)


async def test_times_are_the_viewers_and_utc_is_at_hand(desk: Desk) -> None:
    await desk.happens([entry(1)])
    await desk.watch()
    time = desk.page.locator("#entries time").first
    await expect(time).to_have_text("2 Jan 2026, 13:01")
    await expect(time).to_have_attribute("title", "02 Jan 2026, 12:01:00 UTC")


async def test_long_histories_have_older_pages(desk: Desk) -> None:
    await desk.happens([entry(n) for n in range(1, 121)])
    await desk.watch()
    page = desk.page
    seen = await page.locator("#entries .text").all_inner_texts()
    while await page.locator("a.more").count():
        await page.locator("a.more").click()
        await page.wait_for_load_state()
        seen += await page.locator("#entries .text").all_inner_texts()
    assert seen == [f"Message {n}" for n in range(120, 0, -1)]


async def test_a_customer_is_found_and_tickets_stand_in_order_of_need(desk: Desk) -> None:
    page = desk.page
    await desk.happens(
        tickets=[
            ticket(1, subject="later"),
            ticket(1, id=uid("t2"), subject="sooner", clocks=[clock(due_at=NOON + MINUTE)]),
            ticket(1, id=uid("t3"), subject="done", status="resolved"),
        ]
    )
    await page.goto(desk.url)
    assert await page.locator(".list .title").all_inner_texts() == ["sooner", "later"]
    await page.get_by_label("Find a customer").fill("nobody@example.com")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Nobody is known by")
    await page.get_by_label("Find a customer").fill("Customer@Example.com")
    await page.get_by_role("button", name="Find").click()
    await page.wait_for_url(f"{desk.url}/customers/{CUSTOMER}")
    assert "customer@" not in page.url
    await expect(page.locator("h1")).to_have_text("customer@example.com")
    await expect(page.locator(f"#ticket-{TICKET}")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_is_cut_off_on_a_narrow_screen(desk: Desk, width: int) -> None:
    long = "x" * 300
    await desk.happens([entry(1, subject=long, text=long)], [ticket(1, subject=long, team=long)], [verdict(1)])
    await desk.page.set_viewport_size({"width": width, "height": 800})
    await desk.watch()
    await desk.page.locator("summary").click()
    for path in (f"/customers/{CUSTOMER}", "/"):
        await desk.page.goto(desk.url + path)
        assert await desk.page.evaluate("document.documentElement.scrollWidth") <= width
