// Request heads: what is accepted, and beside each accepted form the near miss that is refused, so that no
// request can mean one thing here and another thing behind us (request smuggling, RFC 9112 section 11.2).
// Each head also comes cut at every byte: the cut must never change the answer.
#include "worker/http/request_parser.h"

#include <gtest/gtest.h>

#include "worker/http/head_scan.h"

namespace beamgate::http {
namespace {

struct Parsed {
  uint16_t status = 0;
  std::string head;
  Request request;
  size_t used = 0;
};

// As the layer does it: scan, then parse; `step` bytes arrive at a time.  999: the head is not complete.
Parsed parse(std::string_view bytes, size_t step = SIZE_MAX, const HeadLimits& limits = {}) {
  Parsed out;
  HeadScan scan;
  for (size_t have = std::min(step, bytes.size());; have = std::min(have + step, bytes.size())) {
    const HeadScan::Progress progress = scan.advance(bytes.substr(0, have), limits);
    if (progress.kind == HeadScan::Progress::Kind::Bad) {
      out.status = progress.status;
      return out;
    }
    if (progress.kind == HeadScan::Progress::Kind::Complete) {
      out.head = bytes.substr(progress.head_start, progress.head_end - progress.head_start);
      out.used = progress.head_end;
      out.status = parse_request_head(out.head, progress.fields, out.request).status;
      return out;
    }
    if (have == bytes.size()) break;
  }
  out.status = 999;
  return out;
}

uint16_t status_of(std::string_view bytes) {
  const uint16_t whole = parse(bytes).status;
  EXPECT_EQ(parse(bytes, 1).status, whole) << "cut at every byte: " << bytes;
  for (size_t step = 2; step < 8; ++step)
    EXPECT_EQ(parse(bytes, step).status, whole) << step << ": " << bytes;
  return whole;
}

std::string get(std::string_view fields) {
  return "GET / HTTP/1.1\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

struct Twin {
  const char* what;
  std::string good;
  std::string bad;
  uint16_t status;
};

TEST(RequestParser, EveryAcceptedFormHasItsRefusedTwin) {
  using namespace std::string_literals;
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const Twin twins[] = {
      {"bare LF after the request line", get("Host: a\r\n"), "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare LF after a field", get("Host: a\r\nX: y\r\n"), get("Host: a\r\nX: y\n"), 400},
      {"bare LF as the empty line", get("Host: a\r\n"), "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare CR in a value", get("Host: a\r\nX: yz\r\n"), get("Host: a\r\nX: y\rz\r\n"), 400},
      {"CR CR LF", get("Host: a\r\nX: y\r\n"), get("Host: a\r\nX: y\r\r\n"), 400},
      {"folded line", get("Host: a\r\nX: y z\r\n"), get("Host: a\r\nX: y\r\n z\r\n"), 400},
      {"tab-folded line", get("Host: a\r\nX: y\tz\r\n"), get("Host: a\r\nX: y\r\n\tz\r\n"), 400},
      {"field line before any field", get("Host: a\r\n"), get(" X: y\r\nHost: a\r\n"), 400},
      {"NUL in a value", get("Host: a\r\nX: y\r\n"), get("Host: a\r\nX: y\0z\r\n"s), 400},
      {"NUL in a name", get("Host: a\r\nX: y\r\n"), get("Host: a\r\nX\0: y\r\n"s), 400},
      {"control byte in a value", get("Host: a\r\nX: y\tz\r\n"), get("Host: a\r\nX: y\x01z\r\n"), 400},
      {"DEL in a value", get("Host: a\r\nX: y\xc3\xa9\r\n"), get("Host: a\r\nX: y\x7f\r\n"), 400},
      {"space before the colon", get("Host: a\r\nX:y\r\n"), get("Host: a\r\nX :y\r\n"), 400},
      {"tab before the colon", get("Host: a\r\nX:\ty\r\n"), get("Host: a\r\nX\t:y\r\n"), 400},
      {"no colon", get("Host: a\r\nX:\r\n"), get("Host: a\r\nX\r\n"), 400},
      {"empty name", get("Host: a\r\nX: y\r\n"), get("Host: a\r\n: y\r\n"), 400},
      {"name with a slash", get("Host: a\r\nX-Y: z\r\n"), get("Host: a\r\nX/Y: z\r\n"), 400},
      {"two empty lines before", "\r\n" + get("Host: a\r\n"), "\r\n\r\n" + get("Host: a\r\n"), 400},
      {"no Host", get("Host: a\r\n"), get("X: y\r\n"), 400},
      {"two Hosts", get("Host: a\r\n"), get("Host: a\r\nHost: b\r\n"), 400},
      {"two equal Hosts", get("Host: a\r\n"), get("Host: a\r\nHost: a\r\n"), 400},
      {"empty Host", get("Host: a:\r\n"), get("Host:\r\n"), 400},
      {"Host with a path", get("Host: a.b:80\r\n"), get("Host: a.b/c\r\n"), 400},
      {"Host with user info", get("Host: a_b\r\n"), get("Host: u@a\r\n"), 400},
      {"Host with a comma", get("Host: a.b\r\n"), get("Host: a, b\r\n"), 400},
      {"Host with a bad port", get("Host: a:65535\r\n"), get("Host: a:65536\r\n"), 400},
      {"Host that is no IPv6", get("Host: [::1]:8080\r\n"), get("Host: [::1\r\n"), 400},
      {"Host with empty labels", get("Host: a.b.\r\n"), get("Host: a..b\r\n"), 400},
      {"Host with an escape", get("Host: a-b\r\n"), get("Host: a%2fb\r\n"), 400},
      {"Content-Length with a sign", post("Content-Length: 5\r\n"), post("Content-Length: +5\r\n"), 400},
      {"Content-Length negative", post("Content-Length: 0\r\n"), post("Content-Length: -0\r\n"), 400},
      {"Content-Length hexadecimal", post("Content-Length: 10\r\n"), post("Content-Length: 0x10\r\n"), 400},
      {"Content-Length with a space", post("Content-Length:  12 \r\n"), post("Content-Length: 1 2\r\n"), 400},
      {"Content-Length as a list", post("Content-Length: 5\r\n"), post("Content-Length: 5, 5\r\n"), 400},
      {"Content-Length empty", post("Content-Length: 0\r\n"), post("Content-Length:\r\n"), 400},
      {"Content-Length too big", post("Content-Length: 999999999999999999\r\n"),
       post("Content-Length: 99999999999999999999\r\n"), 400},
      {"Content-Length twice", post("Content-Length: 5\r\n"),
       post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
      {"Content-Length twice, equal", post("Content-Length: 5\r\n"),
       post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {"both lengths", post(chunked), post("Content-Length: 5\r\n" + chunked), 400},
      {"both lengths, the other way", post(chunked), post(chunked + "Content-Length: 5\r\n"), 400},
      {"coding twice", post(chunked), post(chunked + chunked), 400},
      {"coding in HTTP/1.0", post(chunked), "POST / HTTP/1.0\r\nHost: a\r\n" + chunked + "\r\n", 400},
      {"coding in a list", post("Transfer-Encoding: Chunked\r\n"),
       post("Transfer-Encoding: chunked, chunked\r\n"), 400},
      {"coding with a parameter", post(chunked), post("Transfer-Encoding: chunked;x=y\r\n"), 400},
      {"coding with a control byte", post(chunked),
       post("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       400},
      {"empty coding", post(chunked), post("Transfer-Encoding:\r\n"), 400},
      {"name that resembles the coding's", post("Transfer_Encoding: x\r\n"),
       post("Transfer-Encoding : chunked\r\n"), 400},
      {"two spaces before the target", get("Host: a\r\n"), "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"two spaces behind the target", get("Host: a\r\n"), "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"tab as separator", get("Host: a\r\n"), "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"space behind the version", get("Host: a\r\n"), "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"space in the target", "GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"no version", "GET / HTTP/1.0\r\n\r\n", "GET /\r\n\r\n", 400},
      {"garbled version", get("Host: a\r\n"), "GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400},
      {"lower-case version", get("Host: a\r\n"), "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"method that is no token", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
       "DE(ETE / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"NUL in the target", "GET /%01 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
       400},
      {"raw control byte in the target", "GET /%1f HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /\x1f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"fragment", "GET /a%23b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"path above the root", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /../b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"relative target", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"absolute target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"absolute target, no host", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"absolute target, user info", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      // Well-formed, and not for us.
      {"unknown coding", post(chunked), post("Transfer-Encoding: gzip\r\n"), 501},
      {"unknown method", "VERSION-X / HTTP/1.1\r\nHost: a\r\n\r\n", "FETCH2 / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"method in lower case", get("Host: a\r\n"), "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"tunnel", get("Host: a\r\n"), "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"HTTP/2 preface", "GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/1.2", get("Host: a\r\n"), "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"HTTP/0.9 by name", get("Host: a\r\n"), "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
      {"unknown expectation", get("Host: a\r\nExpect: 100-Continue\r\n"), get("Host: a\r\nExpect: gold\r\n"),
       417},
  };
  for (const Twin& twin : twins) {
    EXPECT_EQ(status_of(twin.good), 0) << twin.what;
    EXPECT_EQ(status_of(twin.bad), twin.status) << twin.what;
  }
}

TEST(RequestParser, ATlsHelloIsAnsweredAtOnce) {
  EXPECT_EQ(parse("\x16\x03\x01\x02").status, 400);
  EXPECT_EQ(parse("G").status, 999);
}

TEST(RequestParser, FieldsComeAsTheyWereSent) {
  const Parsed parsed = parse(
      "POST /a/%62?x=1&y=%32+z HTTP/1.1\r\nHost: Ex.ORG:81\r\nX-Empty:\r\nX-A:  v w \t\r\n"
      "Content-Length: 7\r\nx-a: second\r\n\r\nrest");
  ASSERT_EQ(parsed.status, 0);
  const Request& request = parsed.request;
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/a/%62?x=1&y=%32+z");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query, "x=1&y=%32+z");
  EXPECT_EQ(request.host, "ex.org");
  EXPECT_EQ(request.field("x-a"), "v w");
  EXPECT_EQ(request.field("x-empty"), "");
  EXPECT_TRUE(request.has_field("X-EMPTY"));
  EXPECT_FALSE(request.has_field("X-Other"));
  EXPECT_EQ(request.fields.size(), 5u);
  EXPECT_EQ(request.fields[0].value, "Ex.ORG:81");
  EXPECT_EQ(request.content_length, 7u);
  EXPECT_EQ(request.argument("y"), "2 z");
  EXPECT_EQ(request.argument("z"), "");
  EXPECT_EQ(parsed.used, parsed.head.size());
}

TEST(RequestParser, TheTargetsHostWinsOverTheField) {
  const Parsed parsed = parse("GET http://One.example:8080/p?q HTTP/1.1\r\nHost: two.example\r\n\r\n");
  ASSERT_EQ(parsed.status, 0);
  EXPECT_EQ(parsed.request.host, "one.example");
  EXPECT_EQ(parsed.request.path, "/p");
  EXPECT_EQ(parsed.request.query, "q");
  EXPECT_EQ(parse("GET http://one.example?q HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "/");
}

TEST(RequestParser, WhetherTheConnectionIsKept) {
  const auto kept = [](std::string_view text) { return parse(text).request.keep_alive; };
  EXPECT_TRUE(kept("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: keep-alive, Close\r\n\r\n"));
  EXPECT_FALSE(kept("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(kept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParser, AnUpgradeNeedsBothFields) {
  const auto upgrade = [](std::string_view fields) {
    return parse("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n").request.upgrade_websocket;
  };
  EXPECT_TRUE(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\nUpgrade: h2c\r\n"));
  EXPECT_FALSE(upgrade("Upgrade: websocket\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\n"));
}

TEST(HeadScan, LimitsAreExact) {
  HeadLimits limits;
  limits.request_line_bytes_max = 20;
  limits.field_line_bytes_max = 12;
  limits.head_bytes_max = 64;
  limits.fields_max = 3;
  const auto status = [&](std::string_view bytes) {
    const uint16_t whole = parse(bytes, SIZE_MAX, limits).status;
    EXPECT_EQ(parse(bytes, 1, limits).status, whole);
    return whole;
  };
  EXPECT_EQ(status("GET /345678 HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
  EXPECT_EQ(status("GET /3456789 HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: abcdef\r\n\r\n"), 0);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: abcdefg\r\n\r\n"), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n"), 0);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\nF: g\r\n\r\n"), 431);
  limits.fields_max = 10;
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nB: 3456789ab\r\nC: 3456789ab\r\n";
  limits.head_bytes_max = head.size() + 2;
  EXPECT_EQ(status(head + "\r\n"), 0);
  limits.head_bytes_max = head.size() + 1;
  EXPECT_EQ(status(head + "\r\n"), 431);
}

TEST(HeadScan, AnEndlessLineIsNotWaitedFor) {
  EXPECT_EQ(parse("GET /" + std::string(9000, 'a'), 100).status, 414);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nX: " + std::string(9000, 'a'), 100).status, 431);
}

// Whatever bytes come, the parser ends, stays inside its buffers and gives one of its statuses.  Under the
// sanitizers this is the test of memory safety; here it is one of sanity.
TEST(RequestParser, MutatedHeadsAreAcceptedOrRefusedWholesale) {
  const std::string seed =
      "POST /a/../b?x HTTP/1.1\r\nHost: a.b:80\r\nTransfer-Encoding: chunked\r\n"
      "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n";
  constexpr std::string_view kBytes = "\r\n\t :,;/%.*\0\x7f\xff?#aZ09-_@[]";
  uint64_t state = 0x9e3779b97f4a7c15u;
  const auto random = [&state](size_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<size_t>(state % below);
  };
  for (int round = 0; round < 20'000; ++round) {
    std::string head = seed;
    for (size_t edits = 1 + random(4); edits > 0; --edits) {
      const size_t at = random(head.size());
      switch (random(4)) {
        case 0:
          head[at] = kBytes[random(kBytes.size())];
          break;
        case 1:
          head.insert(at, 1, kBytes[random(kBytes.size())]);
          break;
        case 2:
          head.erase(at, 1 + random(3));
          break;
        default:
          head[at] = static_cast<char>(random(256));
          break;
      }
    }
    const Parsed parsed = parse(head, 1 + random(50));
    if (parsed.status != 0) continue;
    // What got through is clean.
    EXPECT_FALSE(parsed.request.chunked && parsed.request.content_length.has_value());
    EXPECT_TRUE(parsed.request.path == "*" || parsed.request.path.starts_with('/')) << head;
    for (const Field& field : parsed.request.fields) {
      EXPECT_EQ(field.value.find_first_of(std::string_view("\r\n\0", 3)), field.value.npos) << head;
      EXPECT_EQ(field.name.find_first_of(": \t\r\n"), field.name.npos) << head;
    }
  }
}

}  // namespace
}  // namespace beamgate::http
