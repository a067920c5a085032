// PROXY header: complete at one byte and no other, and what is read is written and read again as the same.
#include <cstring>

#include "common/base/assert.h"
#include "tests/fuzz/target.h"
#include "worker/net/proxy_header.h"

#include <sys/socket.h>

namespace beamgate::fuzz {
namespace {

using Kind = net::ProxyHeader::Kind;

constexpr size_t kPrefixesMax = 300;

bool same(const record::Endpoint& a, const record::Endpoint& b) {
  return a.family == b.family && a.port == b.port && memcmp(a.address, b.address, sizeof a.address) == 0;
}
bool is_internet(const record::Endpoint& end) { return end.family == AF_INET || end.family == AF_INET6; }

}  // namespace

FUZZ_TARGET(proxy_header) {
  const net::ProxyHeader whole = net::parse_proxy_header(bytes);
  BG_ASSERT(whole.kind != Kind::Complete || (whole.bytes <= bytes.size() && whole.bytes <= net::ProxyHeader::kBytesMax));
  bool malformed = false;
  for (size_t size = 0; size <= std::min(bytes.size(), kPrefixesMax); ++size) {
    const std::string prefix(bytes.substr(0, size));  // Of its own, so that a byte too far is seen.
    const net::ProxyHeader part = net::parse_proxy_header(prefix);
    malformed = malformed || part.kind == Kind::Malformed;
    BG_ASSERT((part.kind == Kind::Malformed) == malformed);
    if (part.kind == Kind::NeedMore) continue;
    BG_ASSERT(part.kind == whole.kind && part.bytes == whole.bytes);
  }
  if (whole.kind != Kind::Complete || !is_internet(whole.source)) return;
  for (const int version : {1, 2}) {
    std::string text;
    net::append_proxy_header(version, whole.source, whole.destination, text);
    const net::ProxyHeader again = net::parse_proxy_header(text);
    BG_ASSERT(again.kind == Kind::Complete && again.bytes == text.size());
    BG_ASSERT(same(again.source, whole.source) && same(again.destination, whole.destination));
  }
}

}  // namespace beamgate::fuzz
