// PROXY headers: each accepted form beside the near miss that is refused, cut at every byte; what is written is read back.
#include "worker/net/proxy_header.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace beamgate::net {
namespace {

using namespace std::string_literals;
using Kind = ProxyHeader::Kind;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string version_2(char command, char protocol, const std::string& rest, int length = -1) {
  const size_t bytes = length < 0 ? rest.size() : static_cast<size_t>(length);
  return kSignature + command + protocol + static_cast<char>(bytes >> 8) + static_cast<char>(bytes & 0xff) + rest;
}

const std::string kFour = "\x01\x02\x03\x04\x05\x06\x07\x08\x10\x00\x00\x50"s;  // 1.2.3.4:4096 to 5.6.7.8:80
const std::string kSix = std::string(15, '\0') + '\1' + std::string(15, '\0') + '\2' + "\x10\x00\x00\x50"s;

// The same however the header is cut; "behind" must not be looked at.
Kind kind_of(const std::string& header) {
  const ProxyHeader whole = parse_proxy_header(header);
  const ProxyHeader more = parse_proxy_header(header + "GET / HTTP/1.1\r\n\r\n");
  if (whole.kind == Kind::Complete) {
    EXPECT_EQ(whole.bytes, header.size());
    EXPECT_EQ(more.bytes, header.size());
  }
  for (size_t cut = 0; cut < header.size(); ++cut) {
    const Kind part = parse_proxy_header(header.substr(0, cut)).kind;
    EXPECT_NE(part, Kind::Complete) << cut;
    if (whole.kind == Kind::Complete) {
      EXPECT_EQ(part, Kind::NeedMore) << cut;
    }
  }
  return more.kind;
}

std::string ends_of(const std::string& header) {
  const ProxyHeader parsed = parse_proxy_header(header);
  EXPECT_EQ(parsed.kind, Kind::Complete);
  return address_text(parsed.source) + ' ' + std::to_string(parsed.source.port) + " > " +
         address_text(parsed.destination) + ' ' + std::to_string(parsed.destination.port);
}

TEST(ProxyHeader, Version1) {
  EXPECT_EQ(ends_of("PROXY TCP4 1.2.3.4 5.6.7.8 4096 80\r\n"), "1.2.3.4 4096 > 5.6.7.8 80");
  EXPECT_EQ(ends_of("PROXY TCP6 2001:db8::1 ::2 65535 0\r\n"), "2001:db8::1 65535 > ::2 0");
  EXPECT_EQ(ends_of("PROXY UNKNOWN\r\n"), " 0 >  0");
  EXPECT_EQ(ends_of("PROXY UNKNOWN ff::1 ff::1 65535 whatever\r\n"), " 0 >  0");
}

TEST(ProxyHeader, EveryAcceptedFormOfVersion1HasItsRefusedTwin) {
  EXPECT_EQ(kind_of("PROXY TCP4 1.2.3.4 5.6.7.8 4096 80\r\n"), Kind::Complete);
  EXPECT_EQ(kind_of("PROXY UNKNOWN\r\n"), Kind::Complete);
  const std::string bad[] = {
      "PROXY TCP4 1.2.3.4 5.6.7.8 4096 80\n",      "PROXY TCP4 1.2.3.4 5.6.7.8 4096 80\r \n",
      "PROXY TCP4 1.2.3.4\r5.6.7.8 4096 80\r\n",   "PROXY TCP4  1.2.3.4 5.6.7.8 4096 80\r\n",
      "PROXY TCP4 1.2.3.4 5.6.7.8 4096 80 \r\n",   "PROXY TCP4 1.2.3.4 5.6.7.8 4096\r\n",
      "PROXY TCP4 1.2.3.4 5.6.7.8 4096 80 1\r\n",  "PROXY TCP4 1.2.3.256 5.6.7.8 4096 80\r\n",
      "PROXY TCP4 01.2.3.4 5.6.7.8 4096 80\r\n",   "PROXY TCP4 ::1 ::2 4096 80\r\n",
      "PROXY TCP6 1.2.3.4 5.6.7.8 4096 80\r\n",    "PROXY TCP4 1.2.3.4 5.6.7.8 65536 80\r\n",
      "PROXY TCP4 1.2.3.4 5.6.7.8 +4096 80\r\n",   "PROXY TCP4 1.2.3.4 5.6.7.8 04096 80\r\n",
      "PROXY UDP4 1.2.3.4 5.6.7.8 4096 80\r\n",    "PROXY TCP 1.2.3.4 5.6.7.8 4096 80\r\n",
      "proxy TCP4 1.2.3.4 5.6.7.8 4096 80\r\n",    "PROXY\r\n",
      "PROXY \r\n",                                "PROXY UNKNOWNX\r\n",
      " PROXY UNKNOWN\r\n",                        "GET / HTTP/1.1\r\n",
      "PROXY UNKNOWN " + std::string(100, 'x') + "\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 4096 8\0\r\n"s,
      "PROXY TCP4 1.2.3.4\0 5.6.7.8 4096 80\r\n"s, "PROXY TCP4 1.2.3.4\0x 5.6.7.8 4096 80\r\n"s,
      "PROXY TCP4 1.2.3.4 5.6.7.8\0x 4096 80\r\n"s, "PROXY TCP6 ::1 ::2\0x 4096 80\r\n"s,
  };
  for (const std::string& header : bad) EXPECT_EQ(kind_of(header), Kind::Malformed) << header;
  EXPECT_EQ(kind_of("PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n"), Kind::Complete) << "107 bytes";
  EXPECT_EQ(kind_of("PROXY UNKNOWN " + std::string(108 - 16, 'x') + "\r\n"), Kind::Malformed) << "108 bytes";
}

TEST(ProxyHeader, Version2) {
  EXPECT_EQ(ends_of(version_2('\x21', '\x11', kFour)), "1.2.3.4 4096 > 5.6.7.8 80");
  EXPECT_EQ(ends_of(version_2('\x21', '\x21', kSix)), "::1 4096 > ::2 80");
  EXPECT_EQ(ends_of(version_2('\x20', '\x11', kFour)), " 0 >  0") << "LOCAL";
  EXPECT_EQ(ends_of(version_2('\x20', '\x00', "")), " 0 >  0");
  EXPECT_EQ(ends_of(version_2('\x21', '\x00', "anything")), " 0 >  0") << "UNSPEC";
  EXPECT_EQ(ends_of(version_2('\x21', '\x12', kFour)), " 0 >  0") << "a datagram";
  EXPECT_EQ(ends_of(version_2('\x21', '\x31', std::string(216, 'a'))), " 0 >  0") << "a unix socket";
}

TEST(ProxyHeader, EveryAcceptedFormOfVersion2HasItsRefusedTwin) {
  const std::string tlv = "\x04\x00\x03"s + "abc";
  EXPECT_EQ(kind_of(version_2('\x21', '\x11', kFour)), Kind::Complete);
  EXPECT_EQ(kind_of(version_2('\x21', '\x11', kFour.substr(1))), Kind::Malformed) << "too short a block";
  EXPECT_EQ(kind_of(version_2('\x21', '\x21', kSix)), Kind::Complete);
  EXPECT_EQ(kind_of(version_2('\x21', '\x21', kSix.substr(1))), Kind::Malformed);
  EXPECT_EQ(kind_of(version_2('\x21', '\x31', std::string(215, 'a'))), Kind::Malformed);
  EXPECT_EQ(kind_of(version_2('\x21', '\x11', kFour + tlv + tlv)), Kind::Complete) << "TLVs";
  EXPECT_EQ(kind_of(version_2('\x21', '\x11', kFour + tlv + tlv.substr(0, 5))), Kind::Malformed) << "a cut TLV";
  EXPECT_EQ(kind_of(version_2('\x21', '\x11', kFour + "\x04"s)), Kind::Malformed);
  EXPECT_EQ(kind_of(version_2('\x11', '\x11', kFour)), Kind::Malformed) << "version 1 in version 2's form";
  EXPECT_EQ(kind_of(version_2('\x31', '\x11', kFour)), Kind::Malformed) << "version 3";
  EXPECT_EQ(kind_of(version_2('\x22', '\x11', kFour)), Kind::Malformed) << "an unknown command";
  EXPECT_EQ(kind_of(version_2('\x21', '\x41', kFour)), Kind::Malformed) << "an unknown family";
  EXPECT_EQ(kind_of(version_2('\x21', '\x13', kFour)), Kind::Malformed) << "an unknown transport";
  EXPECT_EQ(kind_of(version_2('\x21', '\x00', std::string(4080, 'x'))), Kind::Complete);
  EXPECT_EQ(kind_of(version_2('\x21', '\x00', std::string(4081, 'x'))), Kind::Malformed) << "too long";
  EXPECT_EQ(kind_of("\r\n\r\n\0\r\nQUIT\r"s + std::string(20, 'x')), Kind::Malformed);
  EXPECT_EQ(kind_of("\r\n\r\nGET"), Kind::Malformed);
}

TEST(ProxyHeader, WhatIsWrittenIsReadBack) {
  const ProxyHeader four = parse_proxy_header(version_2('\x21', '\x11', kFour));
  const ProxyHeader six = parse_proxy_header(version_2('\x21', '\x21', kSix));
  for (const int version : {1, 2}) {
    const auto written = [version](const record::Endpoint& source, const record::Endpoint& destination) {
      std::string out;
      append_proxy_header(version, source, destination, out);
      return ends_of(out);
    };
    EXPECT_EQ(written(four.source, four.destination), "1.2.3.4 4096 > 5.6.7.8 80");
    EXPECT_EQ(written(six.source, six.destination), "::1 4096 > ::2 80");
    EXPECT_EQ(written(four.source, six.destination), "::ffff:1.2.3.4 4096 > ::2 80");
    EXPECT_EQ(written({}, four.destination), " 0 >  0");
    EXPECT_EQ(written({.family = AF_UNIX}, {.family = AF_UNIX}), " 0 >  0");
  }
}

}  // namespace
}  // namespace beamgate::net
