#include "worker/api/live_page.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "worker/api/location_path.h"
#include "worker/api/read_only.h"

namespace beamgate::api {
namespace {

constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const char* media_type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

}  // namespace

LivePage::LivePage() {
  for (size_t i = 0; i < kLiveFileCount; ++i) {
    const EmbeddedFile& file = kLiveFiles[i];
    const std::string digest = to_hex(crypto::sha256(file.bytes).substr(0, 12));
    files_.push_back({file, media_type_of(file.name), '"' + digest + '"'});
  }
}

void LivePage::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const http::Request& request = exchange.request();
  const std::string_view name = path_below_location(request);
  const File* file = find(name.empty() ? "index.html" : name);
  if (file == nullptr) return exchange.respond_status(404);

  std::vector<http::ResponseField> fields = {
      {"ETag", file->etag},
      {"Cache-Control", "no-cache"},
      {"Content-Security-Policy", kContentSecurityPolicy},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
  };
  const bool fresh = etag_matches(request.field("If-None-Match"), file->etag);
  exchange.respond(fresh ? 304 : 200, file->media_type, fresh ? std::string_view() : file->file.bytes,
                   std::move(fields));
}

const LivePage::File* LivePage::find(std::string_view name) const {
  for (const File& file : files_) {
    if (file.file.name == name) return &file;
  }
  return nullptr;
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  if (trim(if_none_match) == "*") return true;
  while (!if_none_match.empty()) {
    const size_t comma = if_none_match.find(',');
    std::string_view one = trim(if_none_match.substr(0, comma));
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
    if_none_match.remove_prefix(comma == std::string_view::npos ? if_none_match.size() : comma + 1);
  }
  return false;
}

}  // namespace beamgate::api
