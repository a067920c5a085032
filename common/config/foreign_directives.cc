#include "common/config/foreign_directives.h"

#include <algorithm>
#include <iterator>

namespace beamgate::config {
namespace {

constexpr bool kIgnored = true;
constexpr bool kRefused = false;

constexpr std::string_view kHash = "tables are as large as they have to be";
constexpr std::string_view kMemory = "memory is taken as it is needed";
constexpr std::string_view kBuffers = "answers are passed on as they come, of which proxy_buffer_size bytes may wait";
constexpr std::string_view kFastcgiBuffers = "answers are passed on as they come, of which fastcgi_buffer_size bytes may wait";
constexpr std::string_view kSockets = "sockets are always used so";
constexpr std::string_view kLoop = "each worker waits with epoll, and has listen sockets of its own";
constexpr std::string_view kCache = "there is no cache";
constexpr std::string_view kAuth = "an application decides who may do what; allow and deny look at addresses";
constexpr std::string_view kMap = "map can choose by what a variable says";
constexpr std::string_view kStreams = "see FROM NGINX WITH NCHAN in beamgate-migration(7)";

// Sorted by name.
constexpr ForeignDirective kRows[] = {
    {"accept_mutex", kIgnored, kLoop},
    {"accept_mutex_delay", kIgnored, kLoop},
    {"aio", kIgnored, "files go from kernel to kernel"},
    {"auth_basic", kRefused, kAuth},
    {"auth_basic_user_file", kRefused, kAuth},
    {"auth_jwt", kRefused, "token is for WebSockets and streams, and an application decides about the rest"},
    {"auth_request", kRefused, kAuth},
    {"client_body_buffer_size", kIgnored, "proxy_buffer_size and proxy_request_buffering decide"},
    {"client_header_buffer_size", kIgnored, "large_client_header_buffers is the limit"},
    {"connection_pool_size", kIgnored, kMemory},
    {"fastcgi_buffering", kIgnored, kFastcgiBuffers},
    {"fastcgi_buffers", kIgnored, kFastcgiBuffers},
    {"fastcgi_busy_buffers_size", kIgnored, kFastcgiBuffers},
    {"fastcgi_cache", kRefused, kCache},
    {"fastcgi_cache_bypass", kIgnored, kCache},
    {"fastcgi_cache_path", kRefused, kCache},
    {"fastcgi_cache_valid", kRefused, kCache},
    {"fastcgi_no_cache", kIgnored, kCache},
    {"geo", kRefused, kMap},
    {"grpc_pass", kRefused, "applications are spoken to in HTTP/1.1 or FastCGI"},
    {"gzip_buffers", kIgnored, kMemory},
    {"load_module", kRefused, "there are no modules"},
    {"lock_file", kIgnored, kLoop},
    {"log_not_found", kIgnored, "the error log has no line for it; the access log has"},
    {"mail", kRefused, "only HTTP is passed on"},
    {"map_hash_bucket_size", kIgnored, kHash},
    {"map_hash_max_size", kIgnored, kHash},
    {"multi_accept", kIgnored, kLoop},
    {"nchan_authorize_request", kRefused, kStreams},
    {"nchan_channel_id", kRefused, kStreams},
    {"nchan_message_buffer_length", kRefused, kStreams},
    {"nchan_message_timeout", kRefused, kStreams},
    {"nchan_publisher", kRefused, kStreams},
    {"nchan_pubsub", kRefused, kStreams},
    {"nchan_redis_url", kRefused, kStreams},
    {"nchan_subscriber", kRefused, kStreams},
    {"open_file_cache", kIgnored, kCache},
    {"output_buffers", kIgnored, "files go from kernel to kernel"},
    {"pcre_jit", kIgnored, "regular expressions are always compiled"},
    {"perl_modules", kRefused, "there are no modules"},
    {"postpone_output", kIgnored, kSockets},
    {"proxy_buffering", kIgnored, kBuffers},
    {"proxy_buffers", kIgnored, kBuffers},
    {"proxy_busy_buffers_size", kIgnored, kBuffers},
    {"proxy_cache", kRefused, kCache},
    {"proxy_cache_bypass", kIgnored, kCache},
    {"proxy_cache_path", kRefused, kCache},
    {"proxy_cache_valid", kRefused, kCache},
    {"proxy_headers_hash_bucket_size", kIgnored, kHash},
    {"proxy_headers_hash_max_size", kIgnored, kHash},
    {"proxy_max_temp_file_size", kIgnored, kBuffers},
    {"proxy_no_cache", kIgnored, kCache},
    {"request_pool_size", kIgnored, kMemory},
    {"rewrite_log", kIgnored, "$uri in the access log tells what became of a path"},
    {"sendfile", kIgnored, kSockets},
    {"sendfile_max_chunk", kIgnored, kSockets},
    {"server_names_hash_bucket_size", kIgnored, kHash},
    {"server_names_hash_max_size", kIgnored, kHash},
    {"split_clients", kRefused, kMap},
    {"stream", kRefused, "only HTTP is passed on; line is for a protocol of lines"},
    {"tcp_nodelay", kIgnored, kSockets},
    {"tcp_nopush", kIgnored, kSockets},
    {"thread_pool", kIgnored, kLoop},
    {"timer_resolution", kIgnored, kLoop},
    {"types_hash_bucket_size", kIgnored, kHash},
    {"types_hash_max_size", kIgnored, kHash},
    {"use", kIgnored, kLoop},
    {"variables_hash_bucket_size", kIgnored, kHash},
    {"variables_hash_max_size", kIgnored, kHash},
    {"zone", kIgnored, "each worker knows for itself how a server fares"},
};

bool before(const ForeignDirective& one, std::string_view name) { return one.name < name; }

static_assert(std::is_sorted(std::begin(kRows), std::end(kRows), [](const auto& a, const auto& b) { return a.name < b.name; }));

}  // namespace

const ForeignDirective* find_foreign(std::string_view name) {
  const auto found = std::lower_bound(std::begin(kRows), std::end(kRows), name, before);
  return found != std::end(kRows) && found->name == name ? found : nullptr;
}

}  // namespace beamgate::config
