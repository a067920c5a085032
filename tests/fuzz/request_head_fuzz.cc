// Request head: the same verdict wherever it is cut; what is accepted has one framing, one Host and plain fields, and
// means the same when it is written anew from what was read.  Then everything is asked that is ever asked of a request's
// fields: variables, who the client is, preconditions, encodings, ranges, the WebSocket handshake.
// Input: a head, and what follows it.
#include <sys/socket.h>

#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/config/load.h"
#include "common/json/value.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/http/accept_encoding.h"
#include "worker/http/access_log.h"
#include "worker/http/authority.h"
#include "worker/http/byte_ranges.h"
#include "worker/http/forwarded.h"
#include "worker/http/grammar.h"
#include "worker/http/head_scan.h"
#include "worker/http/preconditions.h"
#include "worker/http/request_parser.h"

namespace beamgate::fuzz {
namespace {

using Progress = http::HeadScan::Progress;

struct Parsed {
  Progress scan;
  std::string head;  // What the request borrows from.
  http::Request request;
  uint16_t status = 0;
};

void parse(std::string_view bytes, Cut cut, Parsed& out) {
  const http::HeadLimits limits{.request_line_bytes_max = 512, .field_line_bytes_max = 512, .head_bytes_max = 2048, .fields_max = 20};
  http::HeadScan scan;
  std::string seen;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    seen += piece;
    out.scan = scan.advance(seen, limits);
    return out.scan.kind == Progress::Kind::NeedMore;
  });
  if (out.scan.kind == Progress::Kind::Bad) out.status = out.scan.status;
  if (out.scan.kind != Progress::Kind::Complete) return;
  BG_ASSERT(out.scan.head_start <= out.scan.head_end && out.scan.head_end <= seen.size());
  BG_ASSERT(out.scan.head_end - out.scan.head_start <= limits.head_bytes_max && out.scan.fields <= limits.fields_max);
  out.head = seen.substr(out.scan.head_start, out.scan.head_end - out.scan.head_start);
  out.status = parse_request_head(out.head, out.scan.fields, out.request).status;
}

bool same(const http::Request& a, const http::Request& b) {
  if (a.fields.size() != b.fields.size()) return false;
  for (size_t i = 0; i < a.fields.size(); ++i) {
    if (a.fields[i].name != b.fields[i].name || a.fields[i].value != b.fields[i].value) return false;
  }
  return a.method == b.method && a.target == b.target && a.path == b.path && a.query == b.query && a.host == b.host &&
         a.version_minor == b.version_minor && a.content_length == b.content_length && a.chunked == b.chunked &&
         a.keep_alive == b.keep_alive && a.expect_continue == b.expect_continue &&
         a.upgrade_websocket == b.upgrade_websocket;
}

void check_accepted(const Parsed& parsed) {
  const http::Request& request = parsed.request;
  BG_ASSERT(http::is_token(request.method) && request.target.find_first_of(" \r\n") == request.target.npos);
  BG_ASSERT(request.path == "*" || (request.path[0] == '/' && (request.path + '/').find("/../") == std::string::npos));
  BG_ASSERT(!request.chunked || !request.content_length);
  size_t hosts = 0;
  std::string plain = std::string(request.method) + ' ' + std::string(request.target) + " HTTP/1." +
                      std::to_string(request.version_minor) + "\r\n";
  for (const http::Field& field : request.fields) {
    BG_ASSERT(http::is_token(field.name) && http::is_field_value(field.value));
    hosts += iequals(field.name, "host") ? 1 : 0;
    plain.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  BG_ASSERT(hosts == 1 || (hosts == 0 && request.version_minor == 0));
  plain += "\r\n";
  Parsed again;
  // The limits are the first reading's, of which blanks around values were part.
  if (plain.size() > 2048 || request.fields.size() > 20) return;
  parse(plain, Cut::Whole, again);
  if (again.status == 414 || again.status == 431) return;
  BG_ASSERT(again.status == 0 && same(again.request, request));
}

std::shared_ptr<const config::Config> make_config() {
  const auto loaded = config::load_text(
      "http { log_format all escape=json '{\"a\":\"$request\",\"b\":\"$http_cookie\",\"c\":\"$arg_a\",\"d\":\"$cookie_a\","
      "\"e\":\"$uri\",\"f\":\"$args\",\"g\":\"$host\",\"h\":\"$http_user_agent\",\"i\":\"$request_method\",\"j\":\"$request_uri\","
      "\"k\":\"$proxy_add_x_forwarded_for\",\"l\":\"$proxy_add_forwarded\",\"m\":\"$is_args\",\"n\":\"$content_type\"}';"
      "access_log /dev/null all; set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:; real_ip_recursive on;"
      "server { listen 127.0.0.1:1; location / { return 200; } } }");
  BG_ASSERT(loaded.ok());
  return loaded.config;
}

void ask(http::Request& request) {
  static const auto config = make_config();
  request.config = config;
  request.server = &config->http.servers.at(0);
  request.location = &request.server->fallback;
  record::Record record;
  record.peer_family = AF_UNIX;
  request.trusted_peer = true;

  std::string scratch, line;
  for (const auto& log : request.server->fallback.access_logs) {
    const http::Outcome outcome{.status = 200};
    http::format_line(log, {request, record, &outcome}, scratch, line);
  }
  if (valid_utf8(line) && !line.empty()) BG_ASSERT(json::parse(line).ok());
  for (const char c : line) BG_ASSERT(static_cast<uint8_t>(c) >= 0x20);

  const http::ClientAddress peer = http::ClientAddress::of(record);
  for (const std::string_view name : {"x-forwarded-for", "forwarded", "x-real-ip"}) {
    config::RealIp rules = request.location->real_ip;
    rules.header = name;
    for (const bool recursive : {false, true}) {
      rules.recursive = recursive;
      const http::ClientAddress client = real_client(request, rules, peer);
      http::ClientAddress again;
      if (client.family != AF_UNIX) BG_ASSERT(http::ClientAddress::parse(client.text(), again));
    }
    BG_ASSERT(http::is_field_value(http::joined_fields(request, name)));
  }
  BG_ASSERT(http::is_field_value(http::forwarded_for(request, record)));
  BG_ASSERT(http::is_field_value(http::forwarded(request, record, "http")));
  for (const std::string& node : http::forwarded_nodes(request.field("forwarded"))) {
    http::ClientAddress address;
    if (http::ClientAddress::parse(node, address)) BG_ASSERT(!address.text().empty());
  }
  accepts_gzip(request);
  const http::Validators validators{.etag = http::make_etag(1'700'000'000, 10), .modified = 1'700'000'000};
  const uint16_t status = check_preconditions(request, validators);
  BG_ASSERT(status == 0 || status == 304 || status == 412);
  range_applies(request, validators);
  http::parse_ranges(request.field("range"), 10);
  request.argument("a");
}

void check_authority(std::string_view text) {
  http::Authority authority;
  if (!parse_authority(text, authority)) return;
  BG_ASSERT(!authority.host.empty() && authority.host.find_first_of("@/ ") == std::string::npos);
  const std::string plain = authority.host + (authority.port.empty() ? "" : ":") + std::string(authority.port);
  http::Authority again;
  BG_ASSERT(parse_authority(plain, again) && again.host == authority.host && again.port == authority.port);
}

}  // namespace

FUZZ_TARGET(request_head) {
  check_authority(bytes);
  Parsed whole;
  parse(bytes, Cut::Whole, whole);
  for (const Cut cut : kCuts) {
    Parsed pieces;
    parse(bytes, cut, pieces);
    BG_ASSERT(pieces.scan.kind == whole.scan.kind && pieces.status == whole.status);
    if (whole.scan.kind != Progress::Kind::Complete) continue;
    BG_ASSERT(pieces.head == whole.head);
    if (whole.status == 0) BG_ASSERT(same(pieces.request, whole.request));
  }
  if (whole.scan.kind != Progress::Kind::Complete || whole.status != 0) return;
  check_accepted(whole);
  ask(whole.request);
}

}  // namespace beamgate::fuzz
