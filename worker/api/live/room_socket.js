// RoomSocket: a WebSocket to one room that comes back by itself.
//
// States   "connecting", "open", "waiting" (until the next try); on_state(state, seconds) tells each change and,
//          while it waits, each second.
// Backoff  0.5 s, doubling up to 15 s, each shortened by a random part so that many pages don't return at once.
//          Being online again, or the page being looked at again, ends a wait.

const FIRST_DELAY_MS = 500;
const DELAY_MS_MAX = 15_000;
// A connection that lasted this long was a success; the next one begins with the first delay again.
const STABLE_MS = 5_000;

export class RoomSocket {
  constructor({on_message, on_state}) {
    this.on_message = on_message;
    this.on_state = on_state;
    this.room = "";
    this.socket = null;
    this.tries = 0;
    this.timer = 0;
    this.state = "connecting";
    addEventListener("online", () => this.try_now());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.try_now();
    });
  }

  static url(room) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    return `${scheme}//${location.host}/hub/${encodeURIComponent(room)}`;
  }

  join(room) {
    this.room = room;
    this.tries = 0;
    this.leave();
    this.connect();
  }

  // False: not connected, nothing was sent.
  send(message) {
    if (this.state !== "open") return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  try_now() {
    if (this.state === "waiting") this.connect();
  }

  leave() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;  // Its late events are no longer ours.
    if (socket) socket.close(1000);
  }

  connect() {
    clearTimeout(this.timer);
    this.set_state("connecting");
    const socket = new WebSocket(RoomSocket.url(this.room));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let opened_at = 0;
    socket.onopen = () => {
      if (this.socket !== socket) return;
      opened_at = performance.now();
      this.set_state("open");
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.on_message(event.data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (opened_at && performance.now() - opened_at > STABLE_MS) this.tries = 0;
      this.wait();
    };
  }

  wait() {
    const longest = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** this.tries++);
    const at = performance.now() + longest * (0.5 + Math.random() / 2);
    const tick = () => {
      const left = at - performance.now();
      if (left <= 0) return this.connect();
      this.set_state("waiting", Math.ceil(left / 1000));
      this.timer = setTimeout(tick, Math.min(left, 1000));
    };
    tick();
  }

  set_state(state, seconds = 0) {
    this.state = state;
    this.on_state(state, seconds);
  }
}
