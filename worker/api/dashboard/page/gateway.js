// Gateway: what the page asks of the gateway that serves it.

const FIELDS = {"X-BeamGate-Dashboard": "1"};

export class Refused extends Error {}      // It has answered, but not with what was asked for.
export class Unreachable extends Error {}

async function ask(path, options = {}) {
  const response = await fetch(path, {cache: "no-store", ...options, headers: {...FIELDS, ...options.headers}})
    .catch(() => { throw new Unreachable("Not reachable"); });
  // The session has ended; the login form is where the page was.
  if (response.status === 401) location.reload();
  if (!(response.headers.get("Content-Type") ?? "").startsWith("application/json")) {
    throw new Refused((await response.text()).trim() || `Status ${response.status}`);
  }
  return response.json();
}

async function ask_api(path, options) {
  const answer = await ask(`api/${path}`, options);
  if (answer.error) throw new Refused(answer.error.message);
  return answer.result;
}

const method = (name, parameters) => ask_api(name, {method: "POST", body: JSON.stringify(parameters)});

export const overview = () => ask("overview");
export const channels = (pattern) => method("channels", {pattern});
export const channel = (name) => ask_api(`channels/${encodeURIComponent(name)}`);
export const presence = (name) => method("presence", {channel: name});
export const history = (name, limit) => method("history", {channel: name, limit, reverse: true});
export const connections = () => ask_api("connections");
export const connections_of = (user) => ask_api(`users/${encodeURIComponent(user)}`);
export const connection = (id) => ask_api(`connections/${encodeURIComponent(id)}`);
export const close = (id) =>
  ask_api(`connections/${encodeURIComponent(id)}?code=1008&reason=${encodeURIComponent("closed by the operator")}`, {method: "DELETE"});
