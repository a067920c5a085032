// Webhooks: calls to HTTP applications, blocking ones with a reply and batched lifecycle events.
//
// Owner      One per worker; libcurl's multi interface driven by the worker's loop.
// Thread     Worker loop thread only.
// Wire       CloudEvents 1.0 HTTP binary mode (batches: application/cloudevents-batch+json), signed as
//            Standard Webhooks 1.0.0 says.
// Limits     Per endpoint: calls in flight, calls waiting, reply bytes, a circuit breaker, a bounded event
//            queue.  A full queue answers at once with Outcome::Overloaded; nothing grows.
// State      What a reply needs is in the connection's record; events wait in the arena
//            (Arena::Root::Events), so that both outlive the worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/context.h"
#include "worker/record/record.h"

namespace beamgate::hook {

// What the application is told about the connection with every call; views are read during call() only.
struct Subject {
  uint64_t uid = 0;
  std::string_view listener;        // Address text of the listening socket; part of ce-source.
  std::string_view user;
  std::string_view state;
  std::string_view forward_fields;  // "name: value\r\n" lines of the handshake, already filtered.
  std::string_view uri;             // Target of the handshake with its query, sent as beamgate-uri with
                                    // beamgate.connect: "/chat?name=ann".  Empty afterwards.  With "grip on" it is
                                    // one of the forward_fields, of every call.
};

// Which statuses of 400 to 499 are an answer to what was asked; the others say that it was not understood.
enum class Refusals : uint8_t {
  Any,
  Denials,  // 401 and 403.
  None,     // Nothing was asked.
};

struct Call {
  std::shared_ptr<const config::Webhook> endpoint;
  std::string_view type;            // "beamgate.message", ...
  Subject subject;
  std::string_view channel;         // beamgate-channel; may be empty.
  std::string_view event;           // beamgate-event, of protocols that name what they send; may be empty.
  std::string_view id;              // webhook-id and ce-id; the same when it is sent again.
  std::string_view content_type;
  std::string_view body;
  Refusals refusals = Refusals::Any;
};

enum class Outcome : uint8_t {
  Answered,     // There is a status, whatever it is.
  Unreachable,  // No connection, or it broke before the reply was complete.
  TimedOut,
  TooBig,       // The reply is above reply_bytes_max.
  Malformed,    // Not HTTP, or actions that can't be understood.
  Overloaded,   // The endpoint's queue is full or its breaker is open.
};

struct Message {
  bool binary = false;
  std::string bytes;
};

struct Publish {
  std::string channel;
  std::string bytes;
  bool binary = false;
  std::string event;    // Its name, for protocols that have such; or empty.
  uint64_t except = 0;  // uid of a connection that doesn't get it.
};

struct Close {
  uint16_t code = 1000;
  std::string reason;
};

// What the application wants done, from beamgate-* reply headers or an application/vnd.beamgate+json body.
struct Actions {
  std::optional<std::string> user;   // Present and empty: cleared.
  std::optional<std::string> state;
  std::vector<std::string> subscribe;
  std::vector<std::string> unsubscribe;
  std::vector<Message> send;         // A plain reply body is one of these.
  std::vector<Publish> publish;
  std::optional<Close> close;
  std::optional<uint64_t> taken;     // So many bytes of the messages that were brought; nothing: all of them (GRIP).
};

struct Reply {
  Outcome outcome = Outcome::Unreachable;
  uint16_t status = 0;
  std::string content_type;
  std::string body;                       // As received; for a refused handshake's answer.
  std::vector<std::pair<std::string, std::string>> fields;  // Those that may be passed to a client.
  std::optional<int64_t> retry_after_ms;  // Retry-After; 0: at once.
  Actions actions;                        // Of a 2xx.

  bool accepted() const { return outcome == Outcome::Answered && status >= 200 && status < 300; }
  bool later() const {  // "Not now", by a server that works.
    return outcome == Outcome::Answered && (status == 429 || status == 503) && retry_after_ms.has_value();
  }
};

struct Event {
  std::shared_ptr<const config::Webhook> endpoint;
  std::string_view type;      // "beamgate.connected", "beamgate.disconnected".
  Subject subject;
  uint32_t sequence = 0;      // Of the connection; a late event is recognisable.
  std::string_view data;      // JSON object; of a webhook with a pusher_key the event itself.
};

class Webhooks {
 public:
  using OnReply = std::function<void(const Reply&)>;
  using CallId = uint64_t;

  virtual ~Webhooks() = default;

  // One blocking call.  done runs later, exactly once, unless cancel() comes first.
  virtual CallId call(const Call& call, OnReply done) = 0;
  virtual void cancel(CallId id) = 0;  // Unknown ids are ignored.

  // Queues an event; batched, signed, retried with backoff within the endpoint's limits.  False: the queue
  // is full and the event is dropped (counted).
  virtual bool post(const Event& event) = 0;

  // Takes over the events that a predecessor of this worker left in the arena; those whose webhook `find`
  // doesn't know are dropped and counted.
  using FindWebhook = std::function<std::shared_ptr<const config::Webhook>(std::string_view name)>;
  virtual void adopt_events(const FindWebhook& find) = 0;

  // What a worker that goes could not deliver, as a body for take_events() of one that stays: the oldest events, and
  // how many they are.  From the first call on nothing is sent any more.  Once they are taken they are to be forgotten.
  virtual std::string leave_events(size_t& events) = 0;
  virtual void forget_events(size_t events) = 0;
  virtual bool take_events(std::string_view body, const FindWebhook& find) = 0;  // False: not such a body.

  // Delivers what is queued without further delay; done runs when the queue is empty or at_ms has come.
  virtual void drain(int64_t at_ms, std::function<void()> done) = 0;
};

// The implementation over libcurl.  The parts it borrows must outlive it; it needs no more of a worker, so
// that it can be made before the Context.
std::unique_ptr<Webhooks> make_webhooks(uv::Loop& loop, log::Log& log, metrics::Page& metrics,
                                        record::Arena& arena);

}  // namespace beamgate::hook
