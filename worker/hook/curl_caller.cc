#include "worker/hook/curl_caller.h"

#include "common/base/assert.h"
#include "worker/hook/job.h"

namespace beamgate::hook {
namespace {

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
    case CURLE_OK:
      return Outcome::Answered;
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

metrics::Metric unreachable_as(CURLcode code) {
  using metrics::Metric;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return Metric::WebhookFailuresConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
      return Metric::WebhookFailuresTls;
    default:
      return Metric::WebhookFailuresClosed;
  }
}

}  // namespace

class CurlCaller::CurlTransfer final : public Transfer {
 public:
  CurlTransfer(CurlCaller& caller, CURL* easy) : caller_(caller), easy_(easy) {}
  ~CurlTransfer() override {
    if (!removed_) caller_.multi_.remove(easy_);
    if (caller_.idle_.size() < caller_.config_->concurrency) {
      caller_.idle_.push_back(easy_);
    } else {
      curl_easy_cleanup(easy_);
    }
  }
  void set_removed() { removed_ = true; }

 private:
  CurlCaller& caller_;
  CURL* const easy_;
  bool removed_ = false;
};

CurlCaller::~CurlCaller() {
  for (CURL* easy : idle_) curl_easy_cleanup(easy);
}

std::unique_ptr<Transfer> CurlCaller::start(Job& job, int64_t left_ms) {
  CURL* easy = take_handle();
  curl_easy_setopt(easy, CURLOPT_URL, (config_->url + job.target).c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job.head.list());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, job.body.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(job.body.size()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(left_ms));
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &job);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &job);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &job);
  multi_.add(easy);
  return std::make_unique<CurlTransfer>(*this, easy);
}

Job& CurlCaller::ended(CURL* easy, CURLcode code, Ending& ending) {
  char* data = nullptr;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  Job& job = *reinterpret_cast<Job*>(data);
  static_cast<CurlTransfer&>(*job.transfer).set_removed();
  ending = {code == CURLE_OK ? Outcome::Answered : outcome_of(code, job.reader), static_cast<uint16_t>(status),
            curl_easy_strerror(code), unreachable_as(code)};
  return job;
}

CURL* CurlCaller::take_handle() {
  if (!idle_.empty()) {
    CURL* easy = idle_.back();
    idle_.pop_back();
    return easy;
  }
  CURL* easy = curl_easy_init();
  BG_ASSERT(easy != nullptr);
  multi_.prepare(easy);
  set_options(easy);
  return easy;
}

void CurlCaller::set_options(CURL* easy) const {
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
  if (!config_->tls_ca.named()) return;
  // A worker may not be able to read the file any more; its bytes live as long as the configuration.
  const Secret& bytes = config_->tls_ca.bytes;
  curl_blob blob{const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_NOCOPY};
  curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
}

}  // namespace beamgate::hook
