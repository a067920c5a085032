#include "worker/hook/endpoint.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::hook {
namespace {

using metrics::Metric;

size_t on_head(char* bytes, size_t size, size_t count, void* job) noexcept {
  const std::string_view line(bytes, size * count);
  return static_cast<Job*>(job)->reader.on_head_line(line) ? line.size() : 0;
}

size_t on_body(char* bytes, size_t size, size_t count, void* job) noexcept {
  const std::string_view part(bytes, size * count);
  return static_cast<Job*>(job)->reader.on_body(part) ? part.size() : CURL_WRITEFUNC_ERROR;
}

Outcome outcome_of(CURLcode code, const ReplyReader& reader) {
  if (reader.too_big()) return Outcome::TooBig;
  switch (code) {
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_OUT_OF_MEMORY:  // What libcurl says of a field line above 100 KiB.
      return Outcome::TooBig;
    case CURLE_OPERATION_TIMEDOUT:
      return Outcome::TimedOut;
    case CURLE_UNSUPPORTED_PROTOCOL:  // No status line: HTTP/0.9, or no HTTP at all.
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
      return Outcome::Malformed;
    default:
      return Outcome::Unreachable;
  }
}

const char* word(Outcome outcome) {
  switch (outcome) {
    case Outcome::Answered: return "answered";
    case Outcome::Unreachable: return "unreachable";
    case Outcome::TimedOut: return "timed_out";
    case Outcome::TooBig: return "reply_too_big";
    case Outcome::Malformed: return "malformed_reply";
    case Outcome::Overloaded: return "overloaded";
  }
  return "";
}

}  // namespace

Endpoint::Endpoint(std::shared_ptr<const config::Webhook> config, CurlMulti& multi, log::Log& log,
                   metrics::Page& metrics, std::function<void(Job&)> settle)
    : config_(std::move(config)),
      multi_(multi),
      log_(log),
      metrics_(metrics),
      settle_(std::move(settle)),
      breaker_(config_->breaker_failures, config_->breaker_cooldown_ms) {}

Endpoint::~Endpoint() {
  BG_ASSERT(in_flight_ == 0);
  drop_handles();
}

void Endpoint::configure(const std::shared_ptr<const config::Webhook>& config) {
  if (config == config_) return;
  config_ = config;
  breaker_.configure(config_->breaker_failures, config_->breaker_cooldown_ms);
  drop_handles();
}

void Endpoint::submit(Job& job) {
  const int64_t now = monotonic_ms();
  job.deadline_ms = now + config_->timeout_ms;
  if (in_flight_ < config_->concurrency && waiting_.empty()) {
    if (!breaker_.admit(now)) return settle(job, Outcome::Overloaded);
    return start(job);
  }
  const bool room = waiting_.size() < config_->queue && waiting_bytes_ + job.body.size() <= kQueueBytesMax;
  if (!room || breaker_.state() != Breaker::State::Closed) return settle(job, Outcome::Overloaded);
  job.stage = Job::Stage::Waiting;
  job.place = waiting_.insert(waiting_.end(), &job);
  waiting_bytes_ += job.body.size();
}

void Endpoint::withdraw(Job& job) {
  if (job.stage == Job::Stage::Waiting) leave_queue(job);
  if (job.stage != Job::Stage::InFlight) return;
  multi_.remove(job.easy);
  leave_wire(job);
  breaker_.on_cancelled(monotonic_ms());
  start_waiting();
}

Reply Endpoint::complete(Job& job, CURLcode code) {
  long status = 0;
  curl_easy_getinfo(job.easy, CURLINFO_RESPONSE_CODE, &status);
  leave_wire(job);
  Reply reply;
  if (code == CURLE_OK) {
    reply = job.reader.finish(static_cast<uint16_t>(status), wall_ms());
  } else {
    reply.outcome = outcome_of(code, job.reader);
  }
  if (reply.outcome != Outcome::Answered) {
    const char* detail = code == CURLE_OK ? job.reader.error() : curl_easy_strerror(code);
    log_.warn("webhook_failed", {{"webhook", config_->name}, {"outcome", word(reply.outcome)}, {"detail", detail}});
  }
  judge(reply);
  return reply;
}

// A failure says that nobody can be served, not that one request was bad: a 500 for what one client sent must
// not cut off all others.
void Endpoint::judge(const Reply& reply) {
  const bool slow_down = reply.retry_after_ms > 0;
  const bool gateway_status = reply.status == 502 || (reply.status == 503 && !slow_down) || reply.status == 504;
  const bool no_http = reply.outcome == Outcome::Malformed && reply.status == 0;
  const bool failed = reply.outcome == Outcome::Unreachable || reply.outcome == Outcome::TimedOut || no_http ||
                      gateway_status;
  if (failed || reply.outcome != Outcome::Answered || reply.status >= 500) metrics_.add(Metric::WebhookFailures);
  if (!failed) {
    if (breaker_.state() != Breaker::State::Closed) log_.notice("webhook_breaker_closed", {{"webhook", config_->name}});
    return breaker_.on_success();
  }
  if (!breaker_.on_failure(monotonic_ms())) return;
  metrics_.add(Metric::WebhookBreakerOpened);
  log_.error("webhook_breaker_open",
             {{"webhook", config_->name}, {"cooldown_ms", config_->breaker_cooldown_ms}});
  settle_waiting(Outcome::Overloaded);
}

void Endpoint::start_waiting() {
  while (in_flight_ < config_->concurrency && !waiting_.empty()) {
    Job& job = *waiting_.front();
    leave_queue(job);
    if (breaker_.admit(monotonic_ms())) {
      start(job);
    } else {
      settle(job, Outcome::Overloaded);
    }
  }
}

int64_t Endpoint::expire(int64_t now_ms) {
  while (!waiting_.empty() && waiting_.front()->deadline_ms <= now_ms) {
    Job& job = *waiting_.front();
    leave_queue(job);
    settle(job, Outcome::TimedOut);
  }
  return waiting_.empty() ? 0 : waiting_.front()->deadline_ms;
}

void Endpoint::start(Job& job) {
  metrics_.add(Metric::WebhookRequests);
  job.stage = Job::Stage::InFlight;
  job.easy = take_handle();
  job.config = config_;
  ++in_flight_;
  const int64_t left_ms = std::max<int64_t>(job.deadline_ms - monotonic_ms(), 1);
  curl_easy_setopt(job.easy, CURLOPT_HTTPHEADER, job.head.list());
  curl_easy_setopt(job.easy, CURLOPT_POSTFIELDS, job.body.data());
  curl_easy_setopt(job.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(job.body.size()));
  curl_easy_setopt(job.easy, CURLOPT_TIMEOUT_MS, static_cast<long>(left_ms));
  curl_easy_setopt(job.easy, CURLOPT_HEADERDATA, &job);
  curl_easy_setopt(job.easy, CURLOPT_WRITEDATA, &job);
  curl_easy_setopt(job.easy, CURLOPT_PRIVATE, &job);
  multi_.add(job.easy);
}

void Endpoint::settle(Job& job, Outcome outcome) {
  metrics_.add(Metric::WebhookFailures);
  job.stage = Job::Stage::Settled;
  job.settled = outcome;
  log_.warn("webhook_failed", {{"webhook", config_->name}, {"outcome", word(outcome)}});
  settle_(job);
}

void Endpoint::settle_waiting(Outcome outcome) {
  while (!waiting_.empty()) {
    Job& job = *waiting_.front();
    leave_queue(job);
    settle(job, outcome);
  }
}

void Endpoint::leave_queue(Job& job) {
  waiting_.erase(job.place);
  waiting_bytes_ -= job.body.size();
  job.stage = Job::Stage::Settled;
}

void Endpoint::leave_wire(Job& job) {
  --in_flight_;
  job.stage = Job::Stage::Settled;
  CURL* easy = std::exchange(job.easy, nullptr);
  if (job.config == config_ && idle_.size() < config_->concurrency) {
    idle_.push_back(easy);
  } else {
    curl_easy_cleanup(easy);
  }
}

CURL* Endpoint::take_handle() {
  CURL* easy = nullptr;
  if (idle_.empty()) {
    easy = curl_easy_init();
    BG_ASSERT(easy != nullptr);
    multi_.prepare(easy);
    set_options(easy);
  } else {
    easy = idle_.back();
    idle_.pop_back();
  }
  return easy;
}

void Endpoint::drop_handles() {
  for (CURL* easy : idle_) curl_easy_cleanup(easy);
  idle_.clear();
}

void Endpoint::set_options(CURL* easy) const {
  curl_easy_setopt(easy, CURLOPT_URL, config_->url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // Not what the environment says.
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(config_->connect_timeout_ms));
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(config_->reply_bytes_max));
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_head);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  if (!config_->unix_socket.empty()) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, config_->unix_socket.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config_->tls_verify ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config_->tls_verify ? 2L : 0L);
  if (!config_->tls_ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, config_->tls_ca_file.c_str());
}

}  // namespace beamgate::hook
