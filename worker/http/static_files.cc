#include "worker/http/static_files.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/http/gzip_rules.h"
#include "worker/http/multipart_ranges.h"
#include "worker/http/preconditions.h"
#include "worker/http/return_answer.h"
#include "worker/http/target.h"

namespace beamgate::http {
namespace {

// An alias of a whole file ("location = /x { alias /y/z; }") is that file in its directory.
bool split_file(const std::string& file, std::string& root, std::string& relative) {
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos || slash + 1 == file.size()) return false;
  root = file.substr(0, slash + 1);
  relative = file.substr(slash + 1);
  return true;
}

void respond_error(Exchange& exchange, const Error& error) {
  switch (error.code) {
    case Code::NotFound:
      return exchange.respond_status(404);
    case Code::Denied:
      return exchange.respond_status(403);
    default:
      return exchange.respond_status(500);
  }
}

void refuse_method(Exchange& exchange) {
  exchange.respond(405, "text/plain", "405 Method Not Allowed\n", {{"Allow", "GET, HEAD"}});
}

void redirect_to_directory(Exchange& exchange) {
  const Request& request = exchange.request();
  std::string target = encode_path(request.path) + "/";
  if (!request.query.empty()) (target += '?') += request.query;
  exchange.respond(301, "text/plain", {}, {{"Location", absolute_location(request, target)}});
}

// The first index file there is, else the error to answer with.
Result<OpenedFile> open_index(const config::Location& location, const std::string& root,
                              const std::string& directory, std::string& name) {
  for (const std::string& index : location.file.index) {
    if (index.starts_with('/')) continue;  // nginx's last resort of another URI has no meaning here.
    Result<OpenedFile> file = open_beneath(root, directory + index);
    if (file.ok() && !file.value().directory()) {
      name = index;
      return file;
    }
    if (!file.ok() && file.error().code != Code::NotFound) return file;
  }
  // A directory that exists is not listed; one that doesn't is not found.
  const Result<OpenedFile> self = open_beneath(root, directory);
  if (!self.ok()) return self.error();
  return Error{Code::Denied, 0, "directory is not listed"};
}

bool will_be_zipped(const Request& request, ResponseHead head, const std::string& type) {
  head.fields.push_back({"Content-Type", type});
  return wants_gzip(request.location->gzip, request, head, wall_ms() / 1'000);
}

}  // namespace

bool locate_file(const config::Location& location, std::string_view path, std::string& root,
                 std::string& relative) {
  const std::string& alias = location.file.alias;
  if (alias.empty()) {
    root = location.file.root;
    relative = path.substr(1);
    return !root.empty();
  }
  const bool prefix =
      location.match == config::LocationMatch::Prefix || location.match == config::LocationMatch::PrefixFinal;
  if (!prefix) return split_file(alias, root, relative);
  if (!path.starts_with(location.pattern)) return false;
  std::string_view rest = path.substr(location.pattern.size());
  // "location /i { alias /data; }" means /i/x, and not /ix as "/datax".
  if (!alias.ends_with('/') && !rest.empty() && rest[0] != '/') return false;
  if (rest.empty() && !alias.ends_with('/')) return split_file(alias, root, relative);
  while (rest.starts_with('/')) rest.remove_prefix(1);
  root = alias;
  relative = rest;
  return true;
}

std::string_view media_type(const config::Location& location, std::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t dot = name.rfind('.');
  if (dot == name.npos || (slash != name.npos && dot < slash)) return location.default_type;
  const auto found = location.types.find(to_lower(name.substr(dot + 1)));
  return found == location.types.end() ? std::string_view(location.default_type) : found->second;
}

void StaticFiles::handle(Exchange& exchange) {
  const Request& request = exchange.request();
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads && request.method != "POST") return refuse_method(exchange);
  std::string root;
  std::string relative;
  // An alias stands in place of the location's pattern, which a path that "break" has brought here need not have.
  if (request.in_place && !request.location->file.alias.empty()) return exchange.respond_status(500);
  if (request.path == "*" || !locate_file(*request.location, request.path, root, relative)) {
    return exchange.respond_status(404);
  }
  std::string name = relative;
  const bool directory_asked = request.path.back() == '/';
  Result<OpenedFile> file =
      directory_asked ? open_index(*request.location, root, relative, name) : open_beneath(root, relative);
  if (!file.ok()) return respond_error(exchange, file.error());
  if (file.value().directory()) return redirect_to_directory(exchange);
  if (!reads) return refuse_method(exchange);  // As in nginx, a POST to what isn't there is a 404.
  Found found{std::move(file).value(), std::string(media_type(*request.location, name))};
  look_for_zipped(request, root, directory_asked ? relative + name : name, found);
  serve(exchange, std::move(found));
}

// gzip_static: the .gz beside a file takes its place.
void StaticFiles::look_for_zipped(const Request& request, const std::string& root, const std::string& name,
                                  Found& found) {
  const config::Gzip& gzip = request.location->gzip;
  if (gzip.files == config::Gzip::Static::Off) return;
  Result<OpenedFile> zipped = open_beneath(root, name + ".gz");
  if (!zipped.ok() || zipped.value().directory()) return;
  if (gzip.files == config::Gzip::Static::On) {
    found.varies = gzip.vary;
    const ResponseHead head{200, {{"Last-Modified", ""}, {"ETag", ""}}, {}};
    if (!may_get_gzip(gzip, request, head, wall_ms() / 1'000)) return;
  }
  found.file = std::move(zipped).value();
  found.zipped = true;
}

void StaticFiles::serve(Exchange& exchange, Found found) {
  const Request& request = exchange.request();
  OpenedFile& file = found.file;
  const std::string& type = found.type;
  const auto bytes = static_cast<uint64_t>(file.status.st_size);
  const int64_t modified = file.status.st_mtime;
  const Validators validators{make_etag(modified, bytes), modified};
  ResponseHead head{200, {{"Last-Modified", format_http_date(modified)}, {"ETag", validators.etag}}, bytes};

  if (found.zipped) head.fields.push_back({"Content-Encoding", "gzip"});
  if (found.varies) vary_by_encoding(head);

  // The page of an error is shown as it is, whatever the client has of another file.
  const bool conditional = !request.error_page;
  if (const uint16_t status = conditional ? check_preconditions(request, validators) : 0) {
    if (status == 412) return exchange.respond_status(412);
    head.status = status;
    head.content_length.reset();
    exchange.begin(std::move(head));
    return exchange.finish();
  }
  RangeAnswer ranges;
  // Ranges of what will be compressed are none of the file's: nginx ignores them as well.
  const bool ranged = conditional && request.method == "GET" && request.has_field("range") && !will_be_zipped(request, head, type);
  if (ranged && range_applies(request, validators)) {
    ranges = parse_ranges(request.field("range"), bytes);
  }
  head.fields.push_back({"Accept-Ranges", "bytes"});
  const std::string total = "/" + std::to_string(bytes);
  if (ranges.kind == RangeAnswer::Kind::Unsatisfiable) {
    return exchange.respond(416, "text/plain", "416 Range Not Satisfiable\n",
                            {{"Content-Range", "bytes *" + total}});
  }
  if (ranges.ranges.size() > 1) {
    auto parts = std::make_unique<MultipartRanges>(exchanges_, exchange.id(), std::move(file.fd),
                                                   std::move(ranges.ranges), type, bytes);
    MultipartRanges& sender = *parts;
    head.status = 206;
    head.content_length = sender.content_length();
    head.fields.push_back({"Content-Type", sender.content_type()});
    exchange.attach(std::move(parts));
    exchange.begin(std::move(head));
    return sender.on_writable();
  }
  ByteRange range{0, bytes};
  head.fields.push_back({"Content-Type", type});
  if (ranges.kind == RangeAnswer::Kind::Partial) {
    range = ranges.ranges[0];
    head.status = 206;
    head.content_length = range.count;
    head.fields.push_back({"Content-Range", "bytes " + std::to_string(range.offset) + "-" +
                                                std::to_string(range.offset + range.count - 1) + total});
  }
  exchange.begin(std::move(head));
  exchange.finish_with_file(std::move(file.fd), range.offset, range.count);
}

}  // namespace beamgate::http
