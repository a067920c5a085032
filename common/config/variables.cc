#include "common/config/variables.h"

#include <algorithm>

namespace beamgate::config {
namespace {

constexpr std::string_view kNames[] = {
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_id",
    "connection_requests",
    "content_length",
    "content_type",
    "document_root",
    "document_uri",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "host",
    "hostname",
    "http2",
    "https",
    "is_args",
    "limit_conn_status",
    "limit_req_status",
    "msec",
    "nginx_version",
    "pid",
    "proxy_add_forwarded",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "proxy_port",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "proxy_protocol_server_port",
    "query_string",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "ssl_cipher",
    "ssl_client_cert",
    "ssl_client_escaped_cert",
    "ssl_client_fingerprint",
    "ssl_client_i_dn",
    "ssl_client_raw_cert",
    "ssl_client_s_dn",
    "ssl_client_serial",
    "ssl_client_verify",
    "ssl_protocol",
    "ssl_server_name",
    "ssl_session_reused",
    "status",
    "time_iso8601",
    "time_local",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "uri",
};
static_assert(std::is_sorted(std::begin(kNames), std::end(kNames)));

constexpr std::string_view kPrefixes[] = {"arg_", "cookie_", "http_", "sent_http_", "upstream_http_"};

}  // namespace

std::span<const std::string_view> variable_names() {
  return kNames;
}
std::span<const std::string_view> variable_prefixes() {
  return kPrefixes;
}

bool is_known_variable(std::string_view name) {
  if (name.size() == 1 && name[0] >= '1' && name[0] <= '9') return true;
  if (std::binary_search(std::begin(kNames), std::end(kNames), name)) return true;
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [name](std::string_view prefix) {
    return name.size() > prefix.size() && name.starts_with(prefix);
  });
}

}  // namespace beamgate::config
