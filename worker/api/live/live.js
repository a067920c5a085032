// The live page: who you are, which room, and what the parts of the page do with each other.
//
// Name and room are in the address's fragment (#room=lobby&name=Ada), so that a link names them; a query does
// as well.  A room is a channel of the hub, reached through /hub/ROOM.

import {Figures} from "./figures.js";
import {RoomSocket} from "./room_socket.js";
import {RoomView, read_frame} from "./room_view.js";

const $ = (id) => document.getElementById(id);
const ROOM_FORM = /^[A-Za-z0-9_.:-]{1,64}$/;
const ANIMALS = ["Otter", "Heron", "Lynx", "Badger", "Swift", "Marten", "Wren", "Fox", "Seal", "Hare", "Owl", "Elk"];
// Own messages come back from the room; they are known by their ids.
const OWN_IDS_MAX = 200;

function wanted(key) {
  return new URLSearchParams(location.hash.slice(1)).get(key) ?? new URLSearchParams(location.search).get(key) ?? "";
}

function random_name() {
  const numbers = crypto.getRandomValues(new Uint8Array(2));
  return `${ANIMALS[numbers[0] % ANIMALS.length]} ${10 + numbers[1] % 90}`;
}

function remembered_name() {
  try {
    return sessionStorage.getItem("beamgate-name") ?? "";
  } catch {
    return "";  // Storage may be forbidden; a name is found anyway.
  }
}

function remember_name(name) {
  try {
    sessionStorage.setItem("beamgate-name", name);
  } catch {
    // As above.
  }
}

function new_id() {
  return Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36)).join("");
}

const view = new RoomView({log: $("log"), empty: $("empty"), newer: $("newer")});
const own_ids = [];
let who = "";
let room = "";
let was_away = false;  // Disconnected since the room was entered.

const socket = new RoomSocket({
  on_message(data) {
    const message = read_frame(data);
    if (own_ids.includes(message.id)) return;
    view.add(message, false);
  },
  on_state: show_state,
});

function show_state(state, seconds) {
  const texts = {connecting: "Connecting", open: "Connected", waiting: "Disconnected"};
  const pill = $("connection");
  if (pill.dataset.state !== state) {
    pill.dataset.state = state;
    $("connection-text").textContent = texts[state];
  }
  $("send").disabled = state !== "open";
  if (state === "waiting") was_away = true;
  if (state === "open" && was_away) {
    was_away = false;
    view.note("Back again. What was said meanwhile is not shown.");
  }
  // Counting down is for the eye; a screen reader hears the state from the pill, once.
  $("hint").textContent = state === "waiting" ? `The gateway is not reachable. Next try in ${seconds} s.` : "";
}

function enter(next_room, next_name) {
  const moved = next_room !== room;
  room = next_room;
  who = next_name;
  remember_name(who);
  $("room").value = room;
  $("name").value = who;
  $("room-name").textContent = room;
  document.title = `${room} · BeamGate`;
  const here = `#${new URLSearchParams({room})}`;
  history.replaceState(null, "", `${location.pathname}${here}`);
  $("second-tab").href = `${location.pathname}${here}`;
  $("code").textContent = [
    `const room = new WebSocket(`,
    `  "${RoomSocket.url(room)}");`,
    `room.onmessage =`,
    `  (e) => console.log(e.data);`,
    `room.onopen =`,
    `  () => room.send("hello");`,
  ].join("\n");
  if (!moved) return;
  was_away = false;
  view.clear();
  socket.join(room);
}

function read_form() {
  const name = $("name").value.trim().slice(0, 40) || who;
  const next = $("room").value.trim();
  const valid = ROOM_FORM.test(next);
  $("room").setCustomValidity(valid ? "" : "Letters, digits, dot, dash and underscore, at most 64");
  if (!valid) return $("room").reportValidity();
  enter(next, name);
  $("text").focus();
}

$("identity").addEventListener("submit", (event) => {
  event.preventDefault();
  read_form();
});
$("room").addEventListener("input", () => $("room").setCustomValidity(""));
$("name").addEventListener("change", () => enter(room, $("name").value.trim().slice(0, 40) || who));

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  const message = {id: new_id(), from: who, text, at: new Date().toISOString()};
  if (!socket.send(message)) return;
  own_ids.push(message.id);
  if (own_ids.length > OWN_IDS_MAX) own_ids.shift();
  view.add({...message, at: Date.parse(message.at)}, true);
  $("text").value = "";
});

addEventListener("hashchange", () => {
  const next = wanted("room");
  if (ROOM_FORM.test(next)) enter(next, wanted("name").slice(0, 40) || who);
});

const first_room = wanted("room");
enter(ROOM_FORM.test(first_room) ? first_room : "lobby",
      wanted("name").trim().slice(0, 40) || remembered_name() || random_name());
new Figures({list: $("figures"), note: $("figures-note"), node: $("node"), version: $("version")}).start();
