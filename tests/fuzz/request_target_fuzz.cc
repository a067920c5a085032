// Request target: a path that is accepted stays below the root, is the same when it is read again, and is what RFC 3986
// section 5.2.4 makes of it.  Input: the target.
#include <vector>

#include "common/base/assert.h"
#include "tests/fuzz/target.h"
#include "worker/http/grammar.h"
#include "worker/http/target.h"

namespace beamgate::fuzz {
namespace {

// Segment by segment, on the decoded path.
bool normalise_by_segments(std::string_view path, std::string& out) {
  for (size_t at = path.find('%'); at != path.npos; at = path.find('%', at + 1)) {
    if (at + 2 >= path.size() || http::hex_value(path[at + 1]) < 0 || http::hex_value(path[at + 2]) < 0) return false;
  }
  const std::string decoded = http::percent_decode(path, false);
  if (decoded.empty() || decoded[0] != '/' || decoded.find('\0') != decoded.npos) return false;
  std::vector<std::string> segments;
  bool ends_open = true;  // With a slash.
  for (size_t begin = 1; begin <= decoded.size();) {
    const size_t end = std::min(decoded.find('/', begin), decoded.size());
    const std::string segment = decoded.substr(begin, end - begin);
    ends_open = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (segments.empty()) return false;
      segments.pop_back();
    } else if (!ends_open) {
      segments.push_back(segment);
    }
    begin = end + 1;
  }
  out.clear();
  for (const std::string& segment : segments) out += '/' + segment;
  if (ends_open || segments.empty()) out += '/';
  return true;
}

}  // namespace

FUZZ_TARGET(request_target) {
  for (const std::string_view method : {"GET", "OPTIONS"}) {
    http::Target target;
    if (http::split_target(method, bytes, target) != 0) continue;
    BG_ASSERT(!target.path.empty() && target.path.find('?') == target.path.npos);
    if (target.path == "*") continue;
    BG_ASSERT(target.path[0] == '/');
  }
  std::string path, wanted;
  const bool good = http::normalise_path(bytes, path);
  BG_ASSERT(good == normalise_by_segments(bytes, wanted));
  if (!good) return;
  BG_ASSERT(path == wanted);
  BG_ASSERT(path[0] == '/' && (path + '/').find("/../") == path.npos && path.find("//") == path.npos);
  std::string again;
  BG_ASSERT(http::normalise_path(http::encode_path(path), again) && again == path);
}

}  // namespace beamgate::fuzz
