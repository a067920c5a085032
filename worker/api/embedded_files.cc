#include "worker/api/embedded_files.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::api {
namespace {

const char* media_type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

}  // namespace

EmbeddedFiles::EmbeddedFiles(std::span<const EmbeddedFile> files, const Policies& policies) : policies_(policies) {
  for (const EmbeddedFile& file : files) {
    const std::string digest = to_hex(crypto::sha256(file.bytes).substr(0, 12));
    files_.push_back({file, media_type_of(file.name), '"' + digest + '"'});
  }
}

void EmbeddedFiles::answer(http::Exchange& exchange, std::string_view name) const {
  const File* file = find(name);
  if (file == nullptr) return exchange.respond_status(404);
  std::vector<http::ResponseField> fields = {{"ETag", file->etag}, {"Cache-Control", "no-cache"}};
  for (http::ResponseField& field : security_fields()) fields.push_back(std::move(field));
  const bool fresh = etag_matches(exchange.request().field("If-None-Match"), file->etag);
  exchange.respond(fresh ? 304 : 200, file->media_type, fresh ? std::string_view() : file->file.bytes,
                   std::move(fields));
}

std::string_view EmbeddedFiles::bytes_of(std::string_view name) const {
  const File* file = find(name);
  return file == nullptr ? std::string_view() : file->file.bytes;
}

std::vector<http::ResponseField> EmbeddedFiles::security_fields() const {
  return {
      {"Content-Security-Policy", policies_.content_security},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", policies_.referrer},
  };
}

const EmbeddedFiles::File* EmbeddedFiles::find(std::string_view name) const {
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
