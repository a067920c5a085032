#include "worker/hook/fastcgi_caller.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/unique_fd.h"
#include "common/uv/poll_watcher.h"
#include "common/uv/timer.h"
#include "worker/fastcgi/params.h"
#include "worker/fastcgi/record.h"
#include "worker/fastcgi/response_parser.h"
#include "worker/hook/job.h"
#include "worker/record/uid.h"

namespace beamgate::hook {
namespace {

constexpr size_t kReadBytes = 16 << 10;

// The parts of "http://host[:port][/path][?query]".
struct Url {
  std::string_view authority;
  std::string_view target = "/";
};

Url split_url(std::string_view url) {
  Url out;
  url.remove_prefix(url.find("://") + 3);
  url = url.substr(0, url.find('#'));
  const size_t end = url.find_first_of("/?");
  out.authority = url.substr(0, end);
  if (end != std::string_view::npos) out.target = url.substr(end);
  return out;
}

std::string fixed_params(const config::Webhook& webhook, std::string_view target) {
  using fastcgi::append_param;
  Url url = split_url(webhook.url);
  if (!target.empty()) url.target = target;
  const size_t question = std::min(url.target.find('?'), url.target.size());
  const std::string path = question == 0 ? "/" : std::string(url.target.substr(0, question));
  const std::string query(url.target.substr(std::min(question + 1, url.target.size())));
  const size_t bracket = url.authority.find(']');  // Behind an IPv6 address.
  const size_t colon = url.authority.find(':', bracket == url.authority.npos ? 0 : bracket);
  std::string out;
  append_param("REQUEST_METHOD", "POST", out);
  append_param("SCRIPT_FILENAME", webhook.script_filename, out);
  append_param("DOCUMENT_ROOT", webhook.script_filename.substr(0, webhook.script_filename.rfind('/')), out);
  append_param("SCRIPT_NAME", path, out);
  append_param("DOCUMENT_URI", path, out);
  append_param("REQUEST_URI", query.empty() ? path : path + "?" + query, out);
  append_param("QUERY_STRING", query, out);
  append_param("REQUEST_SCHEME", "http", out);
  append_param("SERVER_PROTOCOL", "HTTP/1.1", out);
  append_param("SERVER_SOFTWARE", "BeamGate", out);
  append_param("SERVER_NAME", url.authority.substr(0, colon), out);
  append_param("SERVER_PORT", colon == url.authority.npos ? "80" : url.authority.substr(colon + 1), out);
  append_param("GATEWAY_INTERFACE", "CGI/1.1", out);
  append_param("REMOTE_ADDR", "127.0.0.1", out);
  append_param("REDIRECT_STATUS", "200", out);
  append_param("HTTP_HOST", url.authority, out);
  return out;
}

}  // namespace

//   connecting -- writable ------> talking: the request goes out, the response comes in
//   talking    -- FCGI_END_REQUEST, or a failure --> ended
class FastcgiCaller::Call final : public Transfer {
 public:
  Call(FastcgiCaller& caller, Job& job, std::string request, int64_t left_ms)
      : caller_(caller),
        job_(job),
        request_(std::move(request)),
        timeout_(caller.loop_, [this] { end({Outcome::TimedOut, 0, "timed out"}); }),
        connect_timeout_(caller.loop_, [this] { end({connect_outcome_, 0, connect_detail_, kNoConnection}); }) {
    timeout_.start(left_ms);
    connect_timeout_.start(caller.config_->connect_timeout_ms);
    if (!connect()) give_up("can't connect");
  }

 private:
  static constexpr metrics::Metric kNoConnection = metrics::Metric::WebhookFailuresConnect;

  bool connect() {
    const config::Address& address = caller_.config_->fastcgi[0];
    const int family = address.storage.ss_family;
    socket_ = UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid()) return false;
    const int rc = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length);
    if (rc != 0 && errno != EINPROGRESS) return false;
    auto watcher = uv::PollWatcher::open(caller_.loop_, socket_.get(),
                                         [this](uv::PollWatcher::Ready ready) { on_ready(ready); });
    if (!watcher.ok()) return false;
    watcher_ = std::move(watcher).value();
    watcher_->watch(false, true);
    return true;
  }

  // Told in the next turn: whoever calls is still busy with making the call.
  void give_up(const char* detail) {
    connect_outcome_ = Outcome::Unreachable;
    connect_detail_ = detail;
    connect_timeout_.start(0);
  }

  void on_ready(uv::PollWatcher::Ready ready) {
    if (!connected_ && !finish_connect()) return;
    if (ready.writable) send();
    if (ready.readable) receive();
  }

  bool finish_connect() {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
      end({Outcome::Unreachable, 0, "can't connect", kNoConnection});
      return false;
    }
    connected_ = true;
    connect_timeout_.stop();
    return true;
  }

  // That the server reads no more is no end: its answer may be there.
  void send() {
    while (sent_ < request_.size() && !send_broken_) {
      const ssize_t sent =
          ::send(socket_.get(), request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) {
        send_broken_ = true;
      } else {
        sent_ += static_cast<size_t>(sent);
      }
    }
    watcher_->watch(true, sent_ < request_.size() && !send_broken_);
  }

  void receive() {
    char bytes[kReadBytes];
    for (;;) {
      const ssize_t received = recv(socket_.get(), bytes, sizeof bytes, 0);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && errno == EAGAIN) return;
      if (received <= 0) return end({Outcome::Unreachable, 0, "the server closed the connection"});
      if (take({bytes, static_cast<size_t>(received)})) return;
    }
  }

  // True: it has ended.
  bool take(std::span<char> bytes) {
    using State = http::ResponseReader::State;
    std::string_view body;
    const State state = parser_.feed(bytes, body);
    const std::string errors = parser_.take_errors();
    if (!errors.empty()) {
      caller_.log_.error("webhook_stderr", {{"connection", record::format_uid_or_none(job_.uid)},
                                             {"webhook", caller_.config_->name}, {"text", errors}});
    }
    if (state == State::Head) return false;
    if (state == State::Invalid) return end_invalid(), true;
    if (!take_head() || !job_.reader.on_body(body)) {
      return end({Outcome::TooBig, parser_.head().status, "the reply is too big"}), true;
    }
    if (state == State::Body) return false;
    return end({Outcome::Answered, parser_.head().status, ""}), true;
  }

  bool take_head() {
    if (head_taken_) return true;
    head_taken_ = true;
    const auto& fields = parser_.head().fields;
    return std::all_of(fields.begin(), fields.end(), [this](const http::ResponseField& field) {
      return job_.reader.on_head_line(field.name + ": " + field.value);
    });
  }

  void end_invalid() {
    const http::ResponseReader::Failure failure = parser_.failure();
    if (failure.untouched) return end({Outcome::Answered, failure.status, failure.text});
    end({Outcome::Malformed, 0, failure.text});
  }

  // Destroys this.
  void end(const Ending& ending) {
    const OnEnd on_end = caller_.on_end_;
    on_end(job_, ending);
  }

  FastcgiCaller& caller_;
  Job& job_;
  const std::string request_;
  size_t sent_ = 0;
  UniqueFd socket_;
  std::unique_ptr<uv::PollWatcher> watcher_;  // Goes before its descriptor.
  uv::Timer timeout_;
  uv::Timer connect_timeout_;
  Outcome connect_outcome_ = Outcome::TimedOut;
  const char* connect_detail_ = "connecting timed out";
  fastcgi::ResponseParser parser_{false};
  bool connected_ = false;
  bool send_broken_ = false;
  bool head_taken_ = false;
};

FastcgiCaller::FastcgiCaller(std::shared_ptr<const config::Webhook> config, uv::Loop& loop, log::Log& log, OnEnd on_end)
    : config_(std::move(config)), loop_(loop), log_(log), on_end_(std::move(on_end)), params_(fixed_params(*config_, {})) {}

std::unique_ptr<Transfer> FastcgiCaller::start(Job& job, int64_t left_ms) {
  return std::make_unique<Call>(*this, job, request_of(job), left_ms);
}

std::string FastcgiCaller::request_of(const Job& job) const {
  std::string pairs = job.target.empty() ? params_ : fixed_params(*config_, job.target);
  fastcgi::append_param("CONTENT_LENGTH", std::to_string(job.body.size()), pairs);
  std::string_view lines = job.head.text();
  while (!lines.empty()) {
    const size_t end = lines.find('\0');
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (value.empty() || iequals(name, "proxy") || iequals(name, "host")) continue;
    if (iequals(name, "content-type")) fastcgi::append_param("CONTENT_TYPE", value, pairs);
    fastcgi::append_param(fastcgi::http_param_name(name), value, pairs);
  }
  std::string out;
  fastcgi::append_begin(false, out);
  fastcgi::append_params(pairs, out);
  fastcgi::append_stream(fastcgi::RecordType::Stdin, job.body, out);
  fastcgi::append_stream_end(fastcgi::RecordType::Stdin, out);
  return out;
}

}  // namespace beamgate::hook
