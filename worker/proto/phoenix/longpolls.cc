#include "worker/proto/phoenix/longpolls.h"

#include <utility>

#include "common/base/clock.h"
#include "common/ipc/wire.h"
#include "worker/http/last_word.h"
#include "worker/net/connections.h"
#include "worker/proto/phoenix/application_reply.h"
#include "worker/proto/phoenix/handshake.h"
#include "worker/proto/phoenix/longpoll_body.h"
#include "worker/proto/phoenix/longpoll_call.h"
#include "worker/proto/phoenix/longpoll_token.h"
#include "worker/record/uid.h"
#include "worker/ws/handshake.h"

namespace beamgate::proto::phoenix {

using metrics::Metric;

namespace {

constexpr std::string_view kPath = "/longpoll";
constexpr std::string_view kJsonType = "application/json; charset=utf-8";
constexpr int64_t kExpiryMs = 500;
constexpr uint16_t kSessionLost = 500;
constexpr uint64_t kLooksApart = 4;  // A held poll's client is looked for at every fourth expiry.

// phoenix.js sends it in the query.
std::string session_token(const http::Request& request) {
  const std::string_view field = request.field("X-Phoenix-Longpoll-Token");
  return field.empty() ? request.argument("token") : std::string(field);
}

// Whose session it would be; only its worker knows whether it is one.
std::optional<uint16_t> worker_of(std::string_view token) {
  const auto uid = uid_of_token(token);
  return uid ? std::optional(record::uid_worker(*uid)) : std::nullopt;
}

// A page of another origin may read the answers where the location's origins allow it to connect.
void add_answer_fields(const http::Request& request, std::vector<http::ResponseField>& fields) {
  fields.push_back({"Cache-Control", "no-store"});
  if (!request.has_field("Origin") || !ws::origin_allowed(request, request.location->websocket)) return;
  fields.push_back({"Access-Control-Allow-Origin", std::string(request.field("Origin"))});
  fields.push_back({"Vary", "Origin"});
}

std::vector<std::string_view> views_of(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

// Lives as long as the exchange whose poll is held.
class LongPolls::Waiter final : public http::Attachment {
 public:
  Waiter(std::shared_ptr<LongPolls*> polls, uint64_t poll) : polls_(std::move(polls)), poll_(poll) {}
  ~Waiter() override {
    if (*polls_ != nullptr) (*polls_)->lost(poll_);
  }
  bool outlives_client() const override { return false; }

 private:
  std::shared_ptr<LongPolls*> polls_;
  uint64_t poll_;
};

LongPolls::LongPolls(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets,
                     ConnectionOps& ops, Admission& admission, ActionRunner& runner)
    : context_(context),
      exchanges_(exchanges),
      websockets_(websockets),
      ops_(ops),
      admission_(admission),
      runner_(runner),
      self_(std::make_shared<LongPolls*>(this)),
      sessions_(context,
                [this](const Holder& holder, const Mail& mail, std::function<void(bool)> done) {
                  deliver(holder, mail, std::move(done));
                }),
      expiry_timer_(context.loop, [this] { expire(); }) {
  expiry_timer_.unref();
  context_.remote.serve(hub::Method::LongPoll, [this](std::string_view body) { return answer(body); });
}

LongPolls::~LongPolls() {
  *self_ = nullptr;
}

bool LongPolls::is_meant(const http::Request& request) {
  return request.path.ends_with(kPath);
}

void LongPolls::respond(http::Exchange& exchange, std::string_view body,
                        std::vector<http::ResponseField> fields) {
  http::take_back_last_word(context_.connections, exchange.record());
  add_answer_fields(exchange.request(), fields);
  exchange.respond(200, kJsonType, body, std::move(fields));
}

void LongPolls::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (!ws::origin_allowed(request, request.location->websocket)) {
    context_.metrics.add(Metric::WebSocketHandshakesOrigin);
    return respond(exchange, status_answer(403));
  }
  if (request.method == "GET") return poll(exchange, session_token(request));
  if (request.method == "POST") {
    exchange.attach(
        http::collect_body(exchanges_, exchange.id(), context_.metrics, [this](http::Exchange& complete, std::string&& body) {
          post(complete, session_token(complete.request()), body);
        }));
    return;
  }
  if (request.method == "OPTIONS") {
    return respond(exchange, {},
                   {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                    {"Access-Control-Allow-Headers",
                     "Content-Type, X-Phoenix-AuthToken, "
                     "X-Phoenix-Longpoll-Token"},
                    {"Access-Control-Max-Age", "3600"}});
  }
  exchange.respond(405, "text/plain", "A long poll is a GET or POST request.\n",
                   {{"Allow", "GET, POST, OPTIONS"}});
}

// --- Sessions begin.

void LongPolls::open(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const bool speaks = speaks_version(request);
  const Credentials credentials = speaks ? credentials_of(request) : Credentials();
  if (!speaks || !credentials.accepted) {
    context_.metrics.add(speaks ? Metric::WebSocketHandshakesToken : Metric::WebSocketHandshakesMalformed);
    return respond(exchange, status_answer(403));
  }
  record::Record* record = sessions_.create(exchange.record());
  if (record == nullptr) return respond(exchange, status_answer(500));
  record->location_id = request.location->id;
  admission_.begin(exchange, *record, *this,
                   {.user = credentials.user, .connect_fields = token_fields(credentials.token)});
}

void LongPolls::let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
                       std::vector<http::ResponseField> fields) {
  std::erase_if(fields,
                [](const http::ResponseField& field) { return field.name == "sec-websocket-protocol"; });
  const SharedActions rest = without_topics(*actions);
  runner_.prepare(record, *rest);
  ops_.when_confirmed(record, [this, id = exchange.id(), rest, fields](record::Record* confirmed) mutable {
    if (confirmed != nullptr) opened(id, *confirmed, rest, std::move(fields));
  });
}

void LongPolls::opened(http::ExchangeId id, record::Record& record, const SharedActions& actions,
                       std::vector<http::ResponseField>&& fields) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return context_.connections.close_now(record);  // Nobody would know the session.
  const record::ConnId connection = context_.connections.id_of(record);
  const std::string token = sessions_.open(record);
  websockets_.open(record, *exchange->request().location);
  record::Record* open = ops_.find_open(connection);
  if (open != nullptr) context_.connections.begin_stream(*open);
  respond(*exchange, poll_answer(410, token, {}), std::move(fields));
  if (open != nullptr) runner_.complete(*open, actions, [](record::Record*) {});
}

// phoenix.js reads the status in the body, and stays away after 403 only.
void LongPolls::turn_away(http::Exchange& exchange, record::Record& record, uint16_t status, std::string_view,
                          std::string_view, std::vector<http::ResponseField>) {
  context_.connections.close_now(record);
  respond(exchange, status_answer(status < 500 ? 403 : 500));
}

// --- Polls.  phoenix.js knows 200, 204, 403, 410 and 500.
//
// 410 is how a session begins to most of its versions, whatever they had: channels that were joined in another one stay
// "joined" for them and hear nothing any more.  500 makes all of them connect anew, after a pause, and join again.

void LongPolls::poll(http::Exchange& exchange, std::string_view token) {
  const auto worker = worker_of(token);
  if (!worker) return open(exchange);
  const uint64_t number = hold(exchange, token);
  if (*worker == context_.worker) return polled(number, sessions_.poll(token, {context_.worker, number}) ? 204 : 410);
  poll_remote(*worker, token, number);
}

void LongPolls::poll_remote(uint16_t worker, std::string_view token, uint64_t number) {
  const LongPollCall call{.op = LongPollOp::Poll,
                          .token = token,
                          .holder = context_.worker,
                          .poll = number,
                          .body = {},
                          .messages = {}};
  const auto done = [this, number](std::vector<hub::Answer>&& answers) {
    LongPollAnswer answer;
    const bool answered =
        !answers.empty() && answers.front().answered && ipc::decode(answers.front().body, answer);
    polled(number, answered ? answer.status : uint16_t{410});
  };
  if (!context_.remote.ask(worker, hub::Method::LongPoll, ipc::encode(call), done)) polled(number, 500);
}

// The session's word on a poll: 204 leaves it held.
void LongPolls::polled(uint64_t number, uint16_t status) {
  if (status != 204) answer_held(number, {status, {}});
}

// When this worker dies, its successor says that the session is gone with it; or, of another worker's, that there is
// nothing yet: then the client polls again, and what was to be brought here waits for it.
uint64_t LongPolls::hold(http::Exchange& exchange, std::string_view token) {
  std::vector<http::ResponseField> fields = {{"Content-Type", std::string(kJsonType)}};
  add_answer_fields(exchange.request(), fields);
  http::leave_last_word(context_.connections, exchange.record(), fields,
                        worker_of(token) == context_.worker ? status_answer(kSessionLost) : poll_answer(204, token, {}));
  const uint64_t number = next_poll_++;
  exchange.attach(std::make_unique<Waiter>(self_, number));
  held_[number] = Held{exchange.id(), std::string(token), monotonic_ms() + kPollMs};
  if (!expiry_timer_.active()) expiry_timer_.start_repeating(kExpiryMs);
  return number;
}

// False: its client has gone, or it was answered.
bool LongPolls::answer_held(uint64_t number, const Mail& mail) {
  const auto found = held_.find(number);
  http::Exchange* exchange = found == held_.end() ? nullptr : exchanges_.find(found->second.exchange);
  if (exchange == nullptr) return false;
  if (is_abandoned(found->second)) {
    abandon(number);
    return false;
  }
  const std::string token = std::move(found->second.token);
  held_.erase(found);
  respond(*exchange, mail.status == 410 ? status_answer(kSessionLost) : poll_answer(mail.status, token, mail.messages));
  return true;
}

// HTTP lets a client shut its half and wait for the answer; one that polls doesn't.
bool LongPolls::is_abandoned(const Held& held) const {
  http::Exchange* exchange = exchanges_.find(held.exchange);
  return exchange != nullptr && context_.connections.peer_has_gone(exchange->record());
}

void LongPolls::abandon(uint64_t number) {
  const auto found = held_.find(number);
  http::Exchange* exchange = found == held_.end() ? nullptr : exchanges_.find(found->second.exchange);
  if (exchange == nullptr) return;
  lost(number);
  exchange->drop();
}

// Its exchange has ended; nothing is to be done unless that was before its answer.
void LongPolls::lost(uint64_t number) {
  const auto found = held_.find(number);
  if (found == held_.end()) return;
  const std::string token = std::move(found->second.token);
  record::Record* record = context_.connections.find(found->second.exchange.connection);
  if (record != nullptr) http::take_back_last_word(context_.connections, *record);
  held_.erase(found);
  const auto worker = worker_of(token);
  if (worker == context_.worker) return sessions_.lost(token, {context_.worker, number});
  const LongPollCall call{.op = LongPollOp::Lost,
                          .token = token,
                          .holder = context_.worker,
                          .poll = number,
                          .body = {},
                          .messages = {}};
  // Where the bus has no room for it, the session waits for its next poll a little longer.
  static_cast<void>(context_.remote.ask(*worker, hub::Method::LongPoll, ipc::encode(call), [](auto&&) {}));
}

void LongPolls::expire() {
  const int64_t now_ms = monotonic_ms();
  std::vector<uint64_t> due;
  std::vector<uint64_t> abandoned;
  ++expiries_;
  for (const auto& [number, held] : held_) {
    if (held.until_ms <= now_ms) {
      due.push_back(number);
    } else if ((number + expiries_) % kLooksApart == 0 && is_abandoned(held)) {
      abandoned.push_back(number);
    }
  }
  for (const uint64_t number : due) answer_held(number, {204, {}});
  for (const uint64_t number : abandoned) abandon(number);
  if (held_.empty()) expiry_timer_.stop();
}

// --- Posts.

void LongPolls::post(http::Exchange& exchange, std::string_view token, std::string_view body) {
  const auto worker = worker_of(token);
  if (!worker) return respond(exchange, status_answer(410));
  if (*worker == context_.worker) return respond(exchange, status_answer(sessions_.post(token, body)));
  const LongPollCall call{.op = LongPollOp::Post, .token = token, .body = body, .messages = {}};
  const auto done = [this, id = exchange.id()](std::vector<hub::Answer>&& answers) {
    LongPollAnswer answer;
    const bool answered =
        !answers.empty() && answers.front().answered && ipc::decode(answers.front().body, answer);
    http::Exchange* waiting = exchanges_.find(id);
    if (waiting != nullptr) respond(*waiting, status_answer(answered ? answer.status : uint16_t{410}));
  };
  if (!context_.remote.ask(*worker, hub::Method::LongPoll, ipc::encode(call), done)) {
    respond(exchange, status_answer(503));
  }
}

// --- Between workers.

std::string LongPolls::answer(std::string_view body) {
  LongPollCall call;
  LongPollAnswer answer{.status = 400};
  if (ipc::decode(body, call)) {
    switch (call.op) {
      case LongPollOp::Poll:
        answer.status = sessions_.poll(call.token, {call.holder, call.poll}) ? 204 : 410;
        break;
      case LongPollOp::Post:
        answer.status = sessions_.post(call.token, call.body);
        break;
      case LongPollOp::Deliver:
        answer.status = answer_held(call.poll, {call.status, {call.messages.begin(), call.messages.end()}}) ? 200 : 410;
        break;
      case LongPollOp::Lost:
        sessions_.lost(call.token, {call.holder, call.poll});
        break;
    }
  }
  return ipc::encode(answer);
}

void LongPolls::deliver(const Holder& holder, const Mail& mail, std::function<void(bool)> done) {
  if (holder.worker == context_.worker) return done(answer_held(holder.poll, mail));
  const LongPollCall call{.op = LongPollOp::Deliver,
                          .token = {},
                          .poll = holder.poll,
                          .body = {},
                          .status = mail.status,
                          .messages = views_of(mail.messages)};
  const auto on_answers = [done](std::vector<hub::Answer>&& answers) {
    LongPollAnswer answer;
    const bool answered =
        !answers.empty() && answers.front().answered && ipc::decode(answers.front().body, answer);
    done(answered && answer.status == 200);
  };
  if (!context_.remote.ask(holder.worker, hub::Method::LongPoll, ipc::encode(call), on_answers)) done(false);
}

}  // namespace beamgate::proto::phoenix
