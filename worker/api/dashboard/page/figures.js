// Figures: the node's figures as tiles with the last minute of each, from one overview to the next.

import {bytes, el, milliseconds} from "./elements.js";
import {short} from "./numbers.js";
import {Sparkline} from "./sparkline.js";

const LATENCY_SAMPLES = 30;  // Calls of so many seconds count as one distribution.
const PERCENTILE = 0.95;

const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
const most = (rows, name) => rows.reduce((greatest, row) => Math.max(greatest, row[name]), 0);

// By linear interpolation within a bucket; null without calls.
function percentile(bounds, counts) {
  const all = counts.reduce((total, count) => total + count, 0);
  if (all === 0) return null;
  let before = 0;
  for (const [i, count] of counts.entries()) {
    if (before + count >= all * PERCENTILE) {
      const low = i === 0 ? 0 : bounds[i - 1];
      const high = i < bounds.length ? bounds[i] : low;
      return low + (high - low) * (all * PERCENTILE - before) / count;
    }
    before += count;
  }
  return bounds.at(-1);
}

const counted = (number, one, many) => `${short(number)} ${number === 1 ? one : many}`;

// A channel is counted by each worker that has subscribers of it.
const channels = ({status, workers}) => counted(status.channels, "channel", "channels") + (workers.length > 1 ? ", worker by worker" : "");

// What it shows: value(now, rate, webhooks), as text by `text`, with a note below.
const TILES = [
  {title: "Connections", value: ({status}) => status.connections, text: short,
   note: ({status}) => counted(status.websockets, "WebSocket", "WebSockets")},
  {title: "Messages in /s", value: (now, rate) => rate(({status}) => status.messages_received), text: short,
   note: ({status}) => counted(status.subscriptions, "subscription", "subscriptions")},
  {title: "Messages out /s", value: (now, rate) => rate(({status}) => status.messages_sent), text: short,
   note: () => "replies and direct sends"},
  {title: "Deliveries /s", value: (now, rate) => rate(({status}) => status.deliveries), text: short,
   note: (now) => `in ${channels(now)}`},
  {title: "Received /s", value: (now, rate) => rate(({status}) => status.bytes_received), text: bytes, note: () => "from clients"},
  {title: "Sent /s", value: (now, rate) => rate(({status}) => status.bytes_sent), text: bytes, note: () => "to clients"},
  {title: "Webhooks, 95 %", value: (now, rate, webhooks) => webhooks.latency_us, text: milliseconds,
   note: (now, rate) => `${short(rate(({more}) => more.webhook_requests) ?? 0)} calls /s`,
   alarm: (now, rate, webhooks) => webhooks.failures > 0 ? `${short(webhooks.failures)} failed lately` : null},
  {title: "Loop lag", value: ({workers}) => most(workers, "loop_lag_us"), text: milliseconds, note: () => "worst worker"},
  {title: "Memory", value: ({workers}) => sum(workers, "memory"), text: bytes,
   note: ({workers}) => counted(workers.length, "worker", "workers")},
  {title: "Requests /s", value: (now, rate) => rate(({status}) => status.requests), text: short,
   note: ({status}) => `${short(status.requests)} so far`},
];

class Tile {
  constructor(kind) {
    this.kind = kind;
    this.spark = new Sparkline();
    this.value = el("dd", {class: "value"}, "–");
    this.note = el("dd", {class: "note"});
    this.element = el("div", {class: "tile"}, el("dt", {}, kind.title), this.value, this.note, el("dd", {class: "chart"}, this.spark.element));
  }

  show(now, rate, webhooks) {
    const value = this.kind.value(now, rate, webhooks);
    const alarm = this.kind.alarm?.(now, rate, webhooks) ?? null;
    this.value.textContent = value === null ? "–" : this.kind.text(value);
    this.note.textContent = alarm ?? this.kind.note(now, rate, webhooks);
    this.note.classList.toggle("alarm", alarm !== null);
    if (value !== null) this.spark.push(value);
  }
}

// Calls of the last seconds: counters of a distribution only ever grow.
class WebhookWindow {
  constructor() {
    this.samples = [];
  }

  push({webhooks, more}) {
    this.samples.push({buckets: webhooks.buckets, failures: more.webhook_failures});
    if (this.samples.length > LATENCY_SAMPLES) this.samples.shift();
    const oldest = this.samples[0];
    const counts = webhooks.buckets.map((count, i) => Math.max(0, count - oldest.buckets[i]));
    return {latency_us: percentile(webhooks.bounds_us, counts), failures: Math.max(0, more.webhook_failures - oldest.failures)};
  }
}

export class Figures {
  constructor() {
    this.before = null;
    this.window = new WebhookWindow();
    this.tiles = TILES.map((kind) => new Tile(kind));
    this.element = el("dl", {class: "tiles", "aria-label": "Figures of the node"}, ...this.tiles.map((tile) => tile.element));
  }

  // Begins new rates: the page was not looked at.
  pause() {
    this.before = null;
    this.window = new WebhookWindow();
  }

  show(now) {
    const before = this.before;
    const webhooks = this.window.push(now);
    this.before = now;
    const seconds = before === null ? 0 : (now.time_ms - before.time_ms) / 1000;
    // A counter that has become smaller was begun anew, by another build.
    const rate = (of) => seconds <= 0 ? null : Math.max(0, (of(now) - of(before)) / seconds);
    for (const tile of this.tiles) tile.show(now, rate, webhooks);
  }
}
