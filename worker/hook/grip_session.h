// GRIP session: what of a connection its backend and its calls need, and what a backend's answer asks for.
//
// State      The application state of the connection (Record::app_state) is a JSON document of ours:
//            {"control":bool,"prefix":"m:","meta":[["name","value"], ...],"detached":bool,"keepalive":seconds,
//            "filters":[["channel","filter,filter"], ...],
//            "beat":TIMED,"delayed":TIMED}, TIMED being {"every":seconds,"at":unix ms,"binary":bool,"content":"..."},
//            binary content in base64.  It is empty until a backend has said anything that has to be remembered.
// Answers    200 with application/websocket-events; the first one has to begin with OPEN.  Set-Meta-<name> is kept and
//            sent again as Meta-<name>.  With "Sec-WebSocket-Extensions: grip" text that begins with "c:" is a control
//            message: subscribe, unsubscribe, set-meta, detach, keep-alive, send-delayed, flush-delayed; others are
//            known and do nothing.  Other events reach the client without the prefix ("m:", or message-prefix); those
//            that lack it are dropped.
//            keep-alive has its content sent every so many seconds, whatever else is sent (mode "idle" as well as
//            "interval"), until one comes without content; pings are the gateway's own matter (websocket_ping_interval),
//            so that message-type ping and pong do nothing.  send-delayed has one message sent later; another one takes
//            its place, and flush-delayed sends it now.
//            Content-Bytes-Accepted says how much of the contents was taken.  The rest is brought again, with what the client
//            sends next behind it or at the next call for Keep-Alive-Interval, and Content-Bytes-Replayed says how much
//            of it is that.
//            Keep-Alive-Interval asks for a call without events after so many seconds without any; each answer says
//            it anew.
// Target     beamgate-uri, one of the fields that are kept of the handshake (Subject::forward_fields), has path and query
//            of the client's request.
// Limits     kTimedBytesMax of a timed message: it is part of the state; a bigger one is left out.
// Filters    Those of a subscription (subscribe's "filters") decide about what is published with a "meta", the
//            connection's own meta "user" being who it is: skip-self (not what "sender" has published), skip-users (not for
//            those listed in "skip_users"), require-sub (only for subscribers of "require_sub").  Filters that would make
//            another content for each connection (var-subst, build-id) do nothing, as those that aren't known.
// Source     https://pushpin.org/docs/protocols/websocket-over-http/
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/hook/actions.h"
#include "worker/hook/request_head.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

// A message that the gateway sends by itself.
struct GripTimed {
  uint32_t every_s = 0;  // 0: once.
  int64_t at_ms = 0;     // Unix time of the next one; 0: there is none.
  Message message;
};

struct GripState {
  bool control = false;
  bool detached = false;  // The backend wants to hear no more of the connection.
  std::string prefix = "m:";
  uint32_t keepalive_s = 0;  // 0: none.
  GripTimed beat;
  GripTimed delayed;
  std::vector<std::pair<std::string, std::string>> meta;  // Names in lower case.
  std::vector<std::pair<std::string, std::string>> filters;  // Of subscriptions that have some: by channel.

  static GripState parse(std::string_view text);  // Anything else than dump() wrote is a new connection's.
  std::string dump() const;
  // A look at what dump() wrote, of which a publication may ask many: false: no subscription has filters.
  static bool may_filter(std::string_view text);

  int64_t next_ms() const;  // Unix time of the next message that is due; 0: there is none.
  std::vector<Message> take_due(int64_t now_ms);
};

constexpr size_t kTimedBytesMax = 1024;

// What the meta of a publication says to filters.
struct GripMeta {
  std::string text;  // The meta itself.
  std::string sender;
  std::string skip_users;
  std::string require_sub;

  static GripMeta parse(std::string_view text);  // Nothing of what is no JSON object.
};

// Whether the subscriber of `channel` whose state this is gets a publication with this meta.
bool grip_wants(const GripState& state, std::string_view channel, const GripMeta& meta,
                const std::function<bool(std::string_view)>& is_subscribed);

// The type of a call without events.
constexpr std::string_view kGripKeepalive = "beamgate.keepalive";

// What a call of a webhook with "grip on" is on the wire.
RequestHead grip_head_of_call(const Call& call, int64_t now_ms);
// Path and query: the client's own where the webhook's url ends with its host, as Pushpin has it; empty: those of the url.
std::string_view grip_target_of_call(const Call& call);
std::string grip_body_of_call(const Call& call);

// What a 200 asks for; opening: it is the answer to OPEN.
Result<Actions> grip_actions(const Fields& fields, std::string_view content_type, std::string_view body,
                             GripState state, bool opening);

}  // namespace beamgate::hook
