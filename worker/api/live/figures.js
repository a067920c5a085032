// Figures: the gateway's counters from /status, with the last minute as sparklines.

import {duration, short} from "./numbers.js";
import {Sparkline} from "./sparkline.js";

const POLL_MS = 1_000;

// A gauge shows the figure itself, a rate what it grows by in a second.
const ROWS = [
  {title: "WebSockets", key: "websockets"},
  {title: "Subscriptions", key: "subscriptions"},
  {title: "Messages in /s", key: "messages_received", rate: true},
  {title: "Deliveries /s", key: "deliveries", rate: true},
  {title: "Requests /s", key: "requests", rate: true},
  {title: "Bytes out /s", key: "bytes_sent", rate: true},
];

class Figure {
  constructor(row, list) {
    this.row = row;
    this.spark = new Sparkline();
    const group = document.createElement("div");
    group.className = "figure";
    const title = document.createElement("dt");
    title.textContent = row.title;
    this.value = document.createElement("dd");
    this.value.className = "value";
    this.value.textContent = "–";
    const chart = document.createElement("dd");
    chart.setAttribute("aria-hidden", "true");
    chart.append(this.spark.element);
    group.append(title, this.value, chart);
    list.append(group);
  }

  push(value) {
    this.value.textContent = short(value);
    this.spark.push(value);
  }
}

export class Figures {
  constructor({list, note, node, version}) {
    this.elements = {list, note, node, version};
    this.figures = ROWS.map((row) => new Figure(row, list));
    this.before = null;  // The last status and when it came.
  }

  start() {
    this.poll();
  }

  async poll() {
    let again = true;
    // A page that nobody looks at asks nothing; its next look begins a new rate.
    if (document.hidden) this.before = null;
    else again = await this.ask();
    if (again) setTimeout(() => this.poll(), POLL_MS);
  }

  // False: asking again is of no use.
  async ask() {
    try {
      const response = await fetch("/status", {headers: {Accept: "application/json"}, cache: "no-store"});
      if (response.ok) {
        this.show(await response.json());
        return true;
      }
      if (response.status >= 500) {
        this.explain("The gateway is busy; its counters come back in a moment.");
        return true;
      }
      this.explain(response.status === 403 ?
          "Counters are shown only on the gateway's own machine (loopback). The room works from everywhere." :
          "This gateway has no /status location.");
      this.elements.list.hidden = true;
      return false;
    } catch {
      this.before = null;
      this.explain("The gateway is not reachable right now.");
      return true;
    }
  }

  explain(text) {
    this.elements.note.textContent = text;
    this.elements.note.hidden = false;
  }

  show(status) {
    const now = performance.now();
    this.elements.note.hidden = true;
    for (const figure of this.figures) {
      const value = Number(status[figure.row.key]) || 0;
      if (!figure.row.rate) {
        figure.push(value);
      } else if (this.before) {
        const seconds = (now - this.before.at) / 1000;
        const grown = Math.max(0, value - (Number(this.before.status[figure.row.key]) || 0));
        figure.push(Math.round(grown / seconds * 10) / 10);
      }
    }
    this.before = {status, at: now};
    const workers = Number(status.workers);
    this.elements.version.textContent = String(status.version);
    this.elements.node.textContent = `${workers} worker${workers === 1 ? "" : "s"} · ` +
        `${short(Number(status.connections))} connections · up ${duration(Number(status.uptime))}`;
  }
}
