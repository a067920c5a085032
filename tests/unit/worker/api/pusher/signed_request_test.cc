// Requests to Pusher's HTTP API: vectors of other programs' making, and each way to be wrong.
#include "worker/api/pusher/signed_request.h"

#include <gtest/gtest.h>

#include "worker/proto/pusher/signature.h"

namespace beamgate::api::pusher {
namespace {

constexpr int64_t kNow = 1790000000;
constexpr std::string_view kBody = R"({"name":"tick","channels":["private-orders.9"],"data":"{\"n\":1}"})";
constexpr std::string_view kQuery =
    "auth_key=bgkey01&auth_timestamp=1790000000&auth_version=1.0&body_md5=a80a7a1d22c0d4ba899e1ae2976d0092"
    "&auth_signature=abccf0afe3eeee18b04175d00c1f617e995ac5302571157d96823162344893ca";

config::App app() {
  config::App out;
  out.id = "77";
  out.key = "bgkey01";
  out.secret = "bg-secret-01";
  return out;
}

SignedRequest post() { return {"POST", "/apps/77/events", "/apps/77/events", kQuery, kBody}; }

TEST(PusherSignedRequest, Events) { EXPECT_EQ(refuse_request(app(), post(), kNow), nullptr); }

TEST(PusherSignedRequest, ChannelsWithAQuery) {
  const SignedRequest request{
      "GET", "/apps/77/channels", "/apps/77/channels",
      "info=user_count&filter_by_prefix=presence-&auth_version=1.0&auth_timestamp=1790000000&auth_key=bgkey01"
      "&auth_signature=2af11707ed6d76df61330c384b9a474d3d2cc18fd78a07129ad9c2ed8d372369",
      {}};
  EXPECT_EQ(refuse_request(app(), request, kNow), nullptr);
}

TEST(PusherSignedRequest, BehindAPrefix) {
  SignedRequest request = post();
  request.raw_path = request.path = "/realtime/apps/77/events";
  EXPECT_EQ(refuse_request(app(), request, kNow), nullptr);
}

TEST(PusherSignedRequest, TimeIsTenMinutesWide) {
  EXPECT_EQ(refuse_request(app(), post(), kNow + 600), nullptr);
  EXPECT_EQ(refuse_request(app(), post(), kNow - 600), nullptr);
  EXPECT_NE(refuse_request(app(), post(), kNow + 601), nullptr);
  EXPECT_NE(refuse_request(app(), post(), kNow - 601), nullptr);
}

TEST(PusherSignedRequest, EachPartCounts) {
  SignedRequest request = post();
  request.method = "PUT";
  EXPECT_NE(refuse_request(app(), request, kNow), nullptr);
  request = post();
  request.raw_path = request.path = "/apps/77/batch_events";
  EXPECT_NE(refuse_request(app(), request, kNow), nullptr);
  request = post();
  request.body = "{}";
  EXPECT_NE(refuse_request(app(), request, kNow), nullptr);
  request = post();
  const std::string more = std::string(kQuery) + "&info=user_count";
  request.query = more;
  EXPECT_NE(refuse_request(app(), request, kNow), nullptr);
  config::App other = app();
  other.secret = "bg-secret-02";
  EXPECT_NE(refuse_request(other, post(), kNow), nullptr);
  other = app();
  other.key = "bgkey02";
  EXPECT_NE(refuse_request(other, post(), kNow), nullptr);
}

TEST(PusherSignedRequest, ABodyThatNobodySigned) {
  const std::string text = "POST\n/apps/77/events\nauth_key=bgkey01&auth_timestamp=1790000000&auth_version=1.0";
  const std::string query = "auth_key=bgkey01&auth_timestamp=1790000000&auth_version=1.0&auth_signature=" +
                            beamgate::pusher::sign("bg-secret-01", text);
  SignedRequest request = post();
  request.query = query;
  EXPECT_NE(refuse_request(app(), request, kNow), nullptr);
  request.body = {};
  EXPECT_EQ(refuse_request(app(), request, kNow), nullptr);
}

TEST(PusherSignedRequest, EncodedOrNot) {
  const std::string text =
      "POST\n/apps/77/users/a b/terminate_connections\nauth_key=bgkey01&auth_timestamp=1790000000&auth_version=1.0&x=a b";
  const std::string query = "auth_key=bgkey01&auth_timestamp=1790000000&auth_version=1.0&x=a%20b&auth_signature=" +
                            beamgate::pusher::sign("bg-secret-01", text);
  const SignedRequest request{"POST", "/apps/77/users/a%20b/terminate_connections",
                              "/apps/77/users/a b/terminate_connections", query, {}};
  EXPECT_EQ(refuse_request(app(), request, kNow), nullptr);
}

}  // namespace
}  // namespace beamgate::api::pusher
