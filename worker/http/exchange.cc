#include "worker/http/exchange.h"

#include <unistd.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"
#include "worker/http/status.h"

namespace beamgate::http {
namespace {

// For locations without client_max_body_size; a body in memory must have some end.
constexpr size_t kCollectedBytesMax = size_t{64} << 20;

class BodyCollector final : public Attachment {
 public:
  BodyCollector(Exchanges& exchanges, ExchangeId id, metrics::Page& metrics,
                std::function<void(Exchange&, std::string&&)> done)
      : exchanges_(exchanges), id_(id), metrics_(metrics), done_(std::move(done)) {}

  size_t on_body(std::string_view bytes) override {
    if (refused_) return bytes.size();
    if (bytes.size() > kCollectedBytesMax - body_.size()) {
      refused_ = true;
      metrics_.add(metrics::Metric::RequestsRefusedTooLarge);
      if (Exchange* exchange = exchanges_.find(id_)) exchange->respond_status(413);
    } else {
      body_.append(bytes);
    }
    return bytes.size();
  }

  void on_body_end() override {
    if (refused_) return;
    if (Exchange* exchange = exchanges_.find(id_)) done_(*exchange, std::move(body_));
  }

 private:
  Exchanges& exchanges_;
  const ExchangeId id_;
  metrics::Page& metrics_;
  const std::function<void(Exchange&, std::string&&)> done_;
  std::string body_;
  bool refused_ = false;
};

}  // namespace

std::string_view Request::field(std::string_view name) const {
  for (const Field& candidate : fields) {
    if (iequals(candidate.name, name)) return candidate.value;
  }
  return {};
}

bool Request::has_field(std::string_view name) const {
  for (const Field& candidate : fields) {
    if (iequals(candidate.name, name)) return true;
  }
  return false;
}

std::string Request::argument(std::string_view name) const { return form_value(query, name); }

std::string form_value(std::string_view form, std::string_view name) {
  std::string_view rest = form;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) {
      return percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

size_t Attachment::on_body(std::string_view bytes) {
  return bytes.size();
}

void Exchange::respond_status(uint16_t status) {
  std::string body = std::to_string(status);
  body += ' ';
  body += reason_phrase(status);
  body += '\n';
  respond(status, "text/plain", body);
}

void Exchange::finish_with_trailers(const std::vector<ResponseField>&) { finish(); }

void Exchange::inform(uint16_t, const std::vector<ResponseField>&) {}

void Exchange::tunnel(const std::vector<ResponseField>&) { abort(); }

record::Record* Exchange::leave(ResponseHead, record::Phase, const std::function<void(record::Record&)>&) {
  abort();
  return nullptr;
}

record::Record* Exchange::postpone(std::vector<ResponseField>, record::Phase, const Prepare&) { return nullptr; }

void Exchange::finish_with_file(UniqueFd file, uint64_t offset, uint64_t count) {
  char piece[16 << 10];
  while (count > 0) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(count, sizeof piece));
    const ssize_t got = pread(file.get(), piece, wanted, static_cast<off_t>(offset));
    if (got <= 0) return abort();  // The file has shrunk, or its disk fails.
    static_cast<void>(write({piece, static_cast<size_t>(got)}));
    offset += static_cast<uint64_t>(got);
    count -= static_cast<uint64_t>(got);
  }
  finish();
}

std::unique_ptr<Attachment> collect_body(Exchanges& exchanges, ExchangeId id, metrics::Page& metrics,
                                         std::function<void(Exchange&, std::string&& body)> done) {
  return std::make_unique<BodyCollector>(exchanges, id, metrics, std::move(done));
}

}  // namespace beamgate::http
