#include "worker/record/counted_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace beamgate::record {
namespace {

std::string counted(const char* address) {
  Record record;
  record.peer_family = strchr(address, ':') != nullptr ? AF_INET6 : AF_INET;
  EXPECT_EQ(inet_pton(record.peer_family, address, record.peer_address), 1) << address;
  return std::string(counted_address(record));
}

TEST(CountedAddress, IsWhatOneClientOwns) {
  EXPECT_NE(counted("192.0.2.1"), counted("192.0.2.2"));
  EXPECT_EQ(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
  EXPECT_NE(counted("::ffff:192.0.2.1"), counted("::ffff:192.0.2.2"));
  EXPECT_EQ(counted("2001:db8::1"), counted("2001:db8::ffff:0:0:2"));
  EXPECT_NE(counted("2001:db8::1"), counted("2001:db8:0:1::1"));
  EXPECT_EQ(counted_address(Record{}), "") << "no address";
}

}  // namespace
}  // namespace beamgate::record
