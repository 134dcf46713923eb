// Times in the viewer's zone, due times that run, and what is new as it comes. The page is readable without it.
"use strict";
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  // The hub's clock, not the viewer's, says what is overdue.
  let ahead = Number(document.body.dataset.now || Date.now()) - Date.now();

  function words(ms) {
    let seconds = Math.floor(Math.abs(ms) / 1000);
    const found = [];
    for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      const amount = Math.floor(seconds / size);
      seconds -= amount * size;
      if (amount) found.push(`${amount} ${name}`);
    }
    return found.slice(0, 2).join(" ") || "0 s";
  }

  function tell(root) {
    for (const time of root.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.textContent = local.format(at);
    }
    count(root);
  }

  function count(root) {
    for (const left of root.querySelectorAll("[data-due]")) {
      const ms = Number(left.dataset.due) - (Date.now() + ahead);
      left.textContent = ms > 0 ? `due in ${words(ms)}` : `${words(ms)} overdue`;
    }
  }

  function piece(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // made and escaped by the server
    tell(template.content);
    return template.content;
  }

  function add(html) {
    const entry = piece(html).querySelector("li.entry");
    if (!entry || document.getElementById(entry.id)) return;
    const list = document.getElementById("entries");
    const at = BigInt(entry.dataset.at);
    const later = [...list.children].find((other) => BigInt(other.dataset.at) <= at);
    // Older than all that is shown: it belongs on a later page, if there is one.
    if (!later && list.children.length && document.querySelector("a.more")) return;
    list.insertBefore(entry, later || null);
    document.getElementById("nothing")?.remove();
    entry.classList.add("new");
    status.textContent = `New: ${entry.querySelector("h3").textContent}`;
  }

  function replaceTickets(data) {
    const cut = data.indexOf("\n");
    ahead = Number(data.slice(0, cut)) - Date.now();
    const panel = document.getElementById("tickets");
    const open = [...panel.querySelectorAll("details[open]")].map((each) => each.id);
    panel.replaceChildren(piece(data.slice(cut + 1)));
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  }

  function watch() {
    const source = new EventSource(resume());
    source.onopen = () => { status.textContent = "Live: what is new appears by itself."; };
    source.addEventListener("entry", (event) => { last = event.lastEventId; add(event.data); });
    source.addEventListener("tickets", (event) => replaceTickets(event.data));
    source.onerror = () => {
      status.textContent = "The connection is lost; trying again.";
      // A browser gives up for good when the answer is an error page; then a new one is needed.
      if (source.readyState === EventSource.CLOSED) setTimeout(watch, 3000);
    };
  }

  let last = null;
  function resume() {
    const url = new URL(document.body.dataset.live, location.href);
    if (last !== null) url.searchParams.set("after", last);
    return url;
  }

  const status = document.getElementById("live");
  tell(document);
  setInterval(() => count(document), 1000);
  if (document.body.dataset.live) watch();
})();
