// Connections: open WebSockets, event streams, long polls and lines, found by id or user, and one of them with all that is
// known of it; it can be closed here.

import {bytes, card, el, empty, moment, pairs, since, Table} from "./elements.js";
import * as gateway from "./gateway.js";
import {short} from "./numbers.js";

const ID = /^[0-9a-f]{16}$/;

const link = (id) => `#connections/${id}`;

export class Connections {
  title = "Connections";
  every_ms = 3_000;

  constructor() {
    this.search = el("input", {type: "search", id: "connection-search", placeholder: "Id or user", spellcheck: "false", autocapitalize: "none", oninput: () => this.refresh()});
    this.note = el("p", {class: "note"});
    this.table = new Table("Open connections", [
      {title: "Connection", cell: (row) => el("a", {href: link(row.id), class: "id"}, row.id)},
      {title: "User", cell: (row) => row.user || "–"},
      {title: "Protocol", wide: true, cell: (row) => row.protocol},
      {title: "Address", wide: true, cell: (row) => row.peer},
      {title: "Channels", number: true, wide: true, cell: (row) => String(row.channels.length)},
      {title: "Queue", number: true, wide: true, cell: (row) => bytes(row.bytes_queued)},
      {title: "Age", number: true, cell: (row) => since(row.connected_at)},
    ]);
    this.element = el("div", {}, el("h2", {tabindex: "-1"}, this.title),
      el("div", {class: "search"}, el("label", {for: "connection-search"}, "Find"), this.search),
      el("section", {class: "card"}, this.table.element, this.note));
  }

  async find(wanted) {
    if (wanted === "") return gateway.connections();
    if (!ID.test(wanted)) return gateway.connections_of(wanted);
    return {connections: [await gateway.connection(wanted)], num_clients: 1};
  }

  async refresh() {
    const wanted = this.search.value.trim();
    let found = {connections: [], num_clients: 0};
    let note = "";
    try {
      found = await this.find(wanted);
      if (found.connections.length === 0) note = "No open connections.";
      else if (found.num_clients > found.connections.length) note = `${found.connections.length} of ${found.num_clients}; find others by id or user.`;
    } catch (error) {
      if (!(error instanceof gateway.Refused)) throw error;
      note = wanted === "" ? error.message : "No open connection of that id or user.";
    }
    if (wanted !== this.search.value.trim()) return;  // An answer that has been overtaken.
    const rows = found.connections.sort((a, b) => b.connected_at.localeCompare(a.connected_at));
    this.table.element.hidden = rows.length === 0;
    this.table.show(rows);
    this.note.textContent = note;
  }
}

async function confirmed(row) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent =
    `${row.user ? `${row.user}’s` : "Its"} client is told 1008, “closed by the operator”, and may come back.`;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, {once: true}));
  return dialog.returnValue === "yes";
}

export class Connection {
  every_ms = 1_000;

  constructor(id) {
    this.id = id;
    this.title = id;
    this.row = null;
    this.facts = el("div");
    this.channels = el("ul", {class: "names"});
    this.no_channels = empty("None.");
    this.result = el("p", {class: "note", role: "status"});
    this.button = el("button", {type: "button", class: "danger", disabled: true, onclick: () => this.close()}, "Close connection");
    this.element = el("div", {}, el("p", {class: "back"}, el("a", {href: "#connections"}, "All connections")),
      el("h2", {class: "name", tabindex: "-1"}, el("code", {}, id)),
      el("section", {class: "card"}, this.facts, el("div", {class: "actions"}, this.result, this.button)),
      card("Channels", this.channels, this.no_channels));
  }

  async refresh() {
    try {
      this.row = await gateway.connection(this.id);
    } catch (error) {
      if (!(error instanceof gateway.Refused)) throw error;
      this.button.disabled = true;
      this.row = null;
      if (this.result.textContent === "") this.result.textContent = "There is no such connection any more.";
      return;
    }
    const row = this.row;
    this.button.disabled = false;
    this.facts.replaceChildren(pairs([
      ["User", row.user || "–"], ["Protocol", row.protocol], ["Location", row.location], ["Address", row.peer],
      ["Since", el("span", {}, moment(Date.parse(row.connected_at)), ` (${since(row.connected_at)})`)],
      ["Received", `${short(row.messages_received)} messages, ${bytes(row.bytes_received)}`],
      ["Sent", `${short(row.messages_sent)} messages, ${bytes(row.bytes_sent)}`],
      ["Queue", bytes(row.bytes_queued)], ["Worker", String(row.slot ?? "–")]]));
    this.no_channels.hidden = row.channels.length > 0;
    const names = row.channels.join("\n");
    if (names === this.names) return;
    this.names = names;
    this.channels.replaceChildren(...row.channels.map((name) =>
      el("li", {}, el("a", {href: `#channels/${encodeURIComponent(name)}`}, name))));
  }

  async close() {
    if (this.row === null || !(await confirmed(this.row))) return;
    try {
      await gateway.close(this.id);
      this.result.textContent = "Closed.";
    } catch (error) {
      this.result.textContent = error.message;
    }
    await this.refresh();
  }
}
