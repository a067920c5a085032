// RoomView: the list of messages.  Whatever comes from the room is shown with textContent only.

const MESSAGES_MAX = 300;
const TEXT_MAX = 4000;
// Messages of one person within this time share a name line.
const GROUP_MS = 3 * 60_000;

const clock = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit"});

function element(name, class_name, text) {
  const made = document.createElement(name);
  if (class_name) made.className = class_name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function hue_of(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return hash;
}

function initials_of(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[1]] : [name];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}

// What a frame says.  Other programs may send anything; what isn't one of our messages is shown as it is.
export function read_frame(data) {
  if (typeof data !== "string") return {from: "", text: `(${data.byteLength} bytes, binary)`, at: Date.now()};
  let message = null;
  try {
    message = JSON.parse(data);
  } catch {
    // Plain text from another program.
  }
  if (message === null || typeof message !== "object" || typeof message.text !== "string") {
    return {from: "", text: data, at: Date.now()};
  }
  const at = Date.parse(message.at);
  return {
    id: typeof message.id === "string" ? message.id : "",
    from: typeof message.from === "string" ? message.from : "",
    text: message.text,
    at: Number.isNaN(at) ? Date.now() : at,
  };
}

export class RoomView {
  constructor({log, empty, newer}) {
    this.log = log;
    this.empty = empty;
    this.newer = newer;
    this.last = null;  // The message at the end, for grouping.
    newer.addEventListener("click", () => this.scroll_to_end());
    log.addEventListener("scroll", () => {
      if (this.at_end()) newer.hidden = true;
    });
    addEventListener("resize", () => {
      if (newer.hidden) this.scroll_to_end();
    });
  }

  clear() {
    this.log.replaceChildren();
    this.last = null;
    this.empty.hidden = false;
    this.newer.hidden = true;
  }

  add(message, own) {
    const from = message.from.slice(0, 40) || "Somebody";
    const follows = this.last !== null && this.last.from === from && this.last.own === own &&
        message.at - this.last.at < GROUP_MS;
    this.last = {from, own, at: message.at};

    const item = element("li", "message" + (own ? " own" : "") + (follows ? " follows" : ""));
    // Set through the object model: the page's policy allows no style attributes.
    item.style.setProperty("--hue", hue_of(from));
    const avatar = element("span", "avatar", initials_of(from));
    avatar.setAttribute("aria-hidden", "true");
    const by = element("span", "by");
    const time = element("time", "", clock.format(message.at));
    time.dateTime = new Date(message.at).toISOString();
    by.append(element("span", "from", own ? "You" : from), " ", time);
    const body = element("div", "body");
    body.append(by, element("span", "text", message.text.slice(0, TEXT_MAX)));
    item.append(avatar, body);
    this.append(item, own);
  }

  // A line about the room itself.
  note(text) {
    this.last = null;
    this.append(element("li", "line", text), false);
  }

  append(item, follow) {
    const stay = follow || this.at_end();
    this.empty.hidden = true;
    this.log.append(item);
    while (this.log.childElementCount > MESSAGES_MAX) this.log.firstElementChild.remove();
    if (stay) this.scroll_to_end();
    else this.newer.hidden = false;
  }

  at_end() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 48;
  }

  scroll_to_end() {
    this.log.scrollTop = this.log.scrollHeight;
    this.newer.hidden = true;
  }
}
