// What a request to the API says before it is run: who may ask, what its path names, what kind of frame its
// body becomes.  Each accepted form stands beside one that is refused.
#include <gtest/gtest.h>

#include "worker/api/api_key.h"
#include "worker/api/body_kind.h"
#include "worker/api/live_page.h"
#include "worker/api/route.h"

namespace beamgate::api {
namespace {

http::Request with_fields(std::vector<http::Field> fields) {
  http::Request request;
  request.fields = std::move(fields);
  return request;
}

const std::vector<Secret> kKeys = {"first-key", "second-key"};

TEST(ApiKey, EitherKeyInEitherField) {
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", "first-key"}}), kKeys), Access::Granted);
  EXPECT_EQ(check_access(with_fields({{"x-api-key", "second-key"}}), kKeys), Access::Granted);
  EXPECT_EQ(check_access(with_fields({{"Authorization", "apikey second-key"}}), kKeys), Access::Granted);
  EXPECT_EQ(check_access(with_fields({{"Authorization", "ApiKey  first-key"}}), kKeys), Access::Granted);
}

TEST(ApiKey, AnythingElseIsRefused) {
  EXPECT_EQ(check_access(with_fields({}), kKeys), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", ""}}), kKeys), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", "first-ke"}}), kKeys), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", "first-keys"}}), kKeys), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"Authorization", "Bearer first-key"}}), kKeys), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"Authorization", "apikey"}}), kKeys), Access::KeyWanted);
  // A wrong X-API-Key is not made good by a right Authorization.
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", "no"}, {"Authorization", "apikey first-key"}}), kKeys),
            Access::KeyWanted);
}

TEST(ApiKey, EmptyKeyOpensNothing) {
  EXPECT_EQ(check_access(with_fields({}), {""}), Access::KeyWanted);
  EXPECT_EQ(check_access(with_fields({{"X-API-Key", ""}}), {""}), Access::KeyWanted);
}

TEST(ApiKey, KeylessIsOpenButNotForPages) {
  EXPECT_EQ(check_access(with_fields({}), {}), Access::Granted);
  EXPECT_EQ(check_access(with_fields({{"Origin", "https://example.com"}}), {}), Access::BrowserRefused);
  // With its key a page may: whoever gave it the key wanted that.
  EXPECT_EQ(check_access(with_fields({{"Origin", "https://a.example"}, {"X-API-Key", "first-key"}}), kKeys),
            Access::Granted);
}

Route route(std::string path, std::string pattern,
            config::LocationMatch match = config::LocationMatch::Prefix) {
  config::Location location;
  location.pattern = std::move(pattern);
  location.match = match;
  http::Request request;
  request.path = std::move(path);
  request.location = &location;
  if (match == config::LocationMatch::Regex) request.captures = {{"1", "/v1"}};
  return route_of(request);
}

TEST(Route, Methods) {
  using Kind = Route::Kind;
  EXPECT_EQ(route("/api/publish", "/api/").kind, Kind::Method);
  EXPECT_EQ(route("/api/publish", "/api/").name, "publish");
  EXPECT_EQ(route("/api/publish", "/api").name, "publish");
  EXPECT_EQ(route("/api/history", "/api/").kind, Kind::Method);
  EXPECT_EQ(route("/api/batch", "/api/").kind, Kind::Batch);
  EXPECT_EQ(route("/api", "/api").kind, Kind::Single);
  EXPECT_EQ(route("/api/", "/api/").kind, Kind::Single);
  EXPECT_EQ(route("/v1/publish", "^(/v1)/", config::LocationMatch::Regex).name, "publish");

  EXPECT_EQ(route("/api/nothing", "/api/").kind, Kind::Unknown);
  EXPECT_EQ(route("/api/publish/", "/api/").kind, Kind::Unknown);
  EXPECT_EQ(route("/api/Publish", "/api/").kind, Kind::Unknown);
  EXPECT_EQ(route("/api/rpc", "/api/").kind, Kind::Unknown);
}

TEST(Route, Resources) {
  using Kind = Route::Kind;
  EXPECT_EQ(route("/api/connections/0001", "/api/").kind, Kind::Connection);
  EXPECT_EQ(route("/api/connections/0001", "/api/").name, "0001");
  EXPECT_EQ(route("/connections/0001", "/").name, "0001");
  EXPECT_EQ(route("/api/users/ada", "/api/").kind, Kind::User);
  EXPECT_EQ(route("/api/users/org/ada", "/api/").name, "org/ada");

  EXPECT_EQ(route("/api/users/", "/api/").kind, Kind::Unknown);
  EXPECT_EQ(route("/api/users", "/api/").kind, Kind::Method);
  EXPECT_EQ(route("/api/connections", "/api/").kind, Kind::Connections);
}

TEST(BodyKind, ByMediaType) {
  EXPECT_EQ(body_kind("application/json; charset=utf-8"), BodyKind::Json);
  EXPECT_EQ(body_kind("application/vnd.x+json"), BodyKind::Json);
  EXPECT_EQ(body_kind("TEXT/Plain"), BodyKind::Text);
  EXPECT_EQ(body_kind("text/html; charset=utf-8"), BodyKind::Text);
  EXPECT_EQ(body_kind("application/x-www-form-urlencoded"), BodyKind::Text);
  EXPECT_EQ(body_kind(""), BodyKind::Text);
  EXPECT_EQ(body_kind("application/octet-stream"), BodyKind::Binary);
  EXPECT_EQ(body_kind("image/png"), BodyKind::Binary);
  EXPECT_EQ(body_kind("application/jsonp"), BodyKind::Binary);
}

TEST(ETag, Matches) {
  EXPECT_TRUE(etag_matches("\"abc\"", "\"abc\""));
  EXPECT_TRUE(etag_matches("\"x\", W/\"abc\" ,\"y\"", "\"abc\""));
  EXPECT_TRUE(etag_matches(" * ", "\"abc\""));
  EXPECT_FALSE(etag_matches("", "\"abc\""));
  EXPECT_FALSE(etag_matches("\"abcd\"", "\"abc\""));
  EXPECT_FALSE(etag_matches("abc", "\"abc\""));
}

}  // namespace
}  // namespace beamgate::api
