#include "worker/proto/phoenix/longpoll_sessions.h"

#include <utility>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "worker/net/connections.h"
#include "worker/proto/phoenix/longpoll_body.h"
#include "worker/proto/phoenix/longpoll_token.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr int64_t kSweepMs = 1'000;

}  // namespace

LongPollSessions::LongPollSessions(Context& context, Deliver deliver)
    : context_(context),
      deliver_(std::move(deliver)),
      self_(std::make_shared<LongPollLink::Listener*>(static_cast<LongPollLink::Listener*>(this))),
      news_timer_(context.loop, [this] { on_news(); }),
      sweep_timer_(context.loop, [this] { sweep(); }) {
  sweep_timer_.unref();
}

LongPollSessions::~LongPollSessions() {
  *self_ = nullptr;
}

record::Record* LongPollSessions::create(const record::Record& carrier) {
  auto mailbox = std::make_shared<Mailbox>();
  // The link's uid is that of its record, which isn't there yet.
  auto link = std::make_unique<LongPollLink>(mailbox, self_);
  LongPollLink& made = *link;
  record::Record* record = context_.connections.adopt_stream(std::move(link), carrier);
  if (record == nullptr) return nullptr;
  made.set_session(record->uid);
  Session& session = sessions_[record->uid];
  session.id = context_.connections.id_of(*record);
  session.mailbox = std::move(mailbox);
  session.seen_ms = monotonic_ms();
  if (!sweep_timer_.active()) sweep_timer_.start_repeating(kSweepMs);
  return record;
}

std::string LongPollSessions::open(const record::Record& record) {
  Session& session = sessions_.at(record.uid);
  session.token = make_token(record.uid);
  session.seen_ms = monotonic_ms();
  return session.token;
}

LongPollSessions::Session* LongPollSessions::find(std::string_view token) {
  const auto uid = uid_of_token(token);
  const auto found = uid ? sessions_.find(*uid) : sessions_.end();
  if (found == sessions_.end() || !crypto::constant_time_equal(found->second.token, token)) return nullptr;
  found->second.seen_ms = monotonic_ms();
  return &found->second;
}

LongPollSessions::Mail LongPollSessions::take(Session& session) {
  Mailbox& mail = *session.mailbox;
  Mail taken;
  if (mail.messages.empty()) {
    taken.status = mail.ended ? 410 : 204;
    return taken;
  }
  taken.status = 200;
  taken.messages.assign(std::move_iterator(mail.messages.begin()), std::move_iterator(mail.messages.end()));
  mail.messages.clear();
  mail.waiting_bytes = 0;
  context_.connections.stream_changed(session.id);  // There is room again.
  return taken;
}

// Mail is brought also when it is there already: whoever has asked may have gone, and what it doesn't take is kept.
bool LongPollSessions::poll(std::string_view token, const Holder& holder) {
  Session* session = find(token);
  if (session == nullptr) return false;
  const uint64_t uid = *uid_of_token(token);
  session->mailbox->add_pong();
  context_.connections.stream_changed(session->id);
  if (session->mailbox->ended && session->mailbox->messages.empty() && !session->delivering) {
    sessions_.erase(uid);
    return false;
  }
  if (session->holders.size() == kHoldersMax) session->holders.erase(session->holders.begin());
  session->holders.push_back(holder);
  bring(uid);
  return true;
}

void LongPollSessions::lost(std::string_view token, const Holder& holder) {
  Session* session = find(token);
  if (session == nullptr || std::erase(session->holders, holder) == 0 || !session->holders.empty()) return;
  session->seen_ms = monotonic_ms() - kSilenceMs + kLostMs;
}

uint16_t LongPollSessions::post(std::string_view token, std::string_view body) {
  Session* session = find(token);
  if (session == nullptr || session->mailbox->ended) return 410;
  const auto frames = parse_post(body);
  if (!frames) return 400;
  Mailbox& mail = *session->mailbox;
  if (mail.unread_bytes() > 0 && mail.unread_bytes() + body.size() > kInputBytesMax) return 503;
  for (const PostedFrame& frame : *frames) mail.add_input(frame.binary, frame.bytes);
  context_.connections.stream_changed(session->id);
  return 200;
}

// --- What comes for a client while a poll is held.  Links tell of it in the middle of anything.

void LongPollSessions::on_mail(uint64_t uid) {
  news_.push_back(uid);
  if (!news_timer_.active()) news_timer_.start(0);
}

void LongPollSessions::on_news() {
  for (const uint64_t uid : std::exchange(news_, {})) {
    const auto found = sessions_.find(uid);
    if (found == sessions_.end()) continue;
    if (found->second.token.empty() && found->second.mailbox->ended) {
      sessions_.erase(found);  // It was refused.
      continue;
    }
    context_.connections.stream_changed(found->second.id);  // It may have answered a Close, or be shut.
    bring(uid);
  }
}

void LongPollSessions::bring(uint64_t uid) {
  const auto found = sessions_.find(uid);
  if (found == sessions_.end() || found->second.holders.empty() || found->second.delivering) return;
  Session& session = found->second;
  Mail mail = take(session);
  if (mail.status == 204) return;
  const Holder holder = session.holders.back();
  session.holders.pop_back();
  session.delivering = true;
  auto kept = std::make_shared<Mail>(std::move(mail));
  deliver_(holder, *kept, [this, uid, kept](bool delivered) {
    const auto at = sessions_.find(uid);
    if (at == sessions_.end()) return;
    at->second.delivering = false;
    if (delivered) {
      at->second.seen_ms = monotonic_ms();
      at->second.holders.clear();
      if (kept->status == 410) sessions_.erase(at);
    } else {
      put_back(uid, std::move(*kept));
    }
    bring(uid);
  });
}

// Nobody was there to take it.
void LongPollSessions::put_back(uint64_t uid, Mail&& mail) {
  Mailbox& box = *sessions_.at(uid).mailbox;
  while (!mail.messages.empty()) {
    box.waiting_bytes += mail.messages.back().size();
    box.messages.push_front(std::move(mail.messages.back()));
    mail.messages.pop_back();
  }
}

// --- Clients that come no more.

void LongPollSessions::sweep() {
  const int64_t now_ms = monotonic_ms();
  std::vector<record::ConnId> silent;
  std::erase_if(sessions_, [&](const auto& entry) {
    const Session& session = entry.second;
    if (now_ms - session.seen_ms < (session.token.empty() ? kAskedMs : kSilenceMs)) return false;
    if (!session.mailbox->ended) silent.push_back(session.id);
    return true;
  });
  for (const record::ConnId id : silent) {
    record::Record* record = context_.connections.find(id);
    if (record == nullptr) continue;
    context_.metrics.add(metrics::Metric::ClosesIdle);
    context_.connections.serve(*record, ipc::Doing::Application,
                               [&] { context_.connections.close_now(*record); });
  }
  if (sessions_.empty()) sweep_timer_.stop();
}

}  // namespace beamgate::proto::phoenix
