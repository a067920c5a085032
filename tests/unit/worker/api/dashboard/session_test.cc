// A login's session: known to whoever has the token, until it ends; nothing else is one.
#include <gtest/gtest.h>

#include "worker/api/dashboard/session.h"

namespace beamgate::api::dashboard {
namespace {

constexpr int64_t kNow = 1'800'000'000;
const std::vector<Secret> kTokens = {"the first token", "the second token"};

TEST(DashboardSession, HoldsUntilItsEnd) {
  for (const std::string& token : kTokens) {
    const std::string session = make_session(token, kNow);
    EXPECT_TRUE(session_valid(session, kTokens, kNow));
    EXPECT_TRUE(session_valid(session, kTokens, kNow + kSessionSeconds - 1));
    EXPECT_FALSE(session_valid(session, kTokens, kNow + kSessionSeconds));
    EXPECT_EQ(session.find(token), session.npos);
  }
  EXPECT_NE(make_session(kTokens[0], kNow), make_session(kTokens[0], kNow));
}

TEST(DashboardSession, EndsWithItsToken) {
  const std::string session = make_session(kTokens[0], kNow);
  EXPECT_FALSE(session_valid(session, {kTokens[1]}, kNow));
  EXPECT_FALSE(session_valid(session, {}, kNow));
  EXPECT_FALSE(session_valid(make_session("", kNow), {""}, kNow)) << "an empty token opens nothing";
}

TEST(DashboardSession, NoOtherByteWillDo) {
  const std::string session = make_session(kTokens[0], kNow);
  for (size_t i = 0; i < session.size(); ++i) {
    std::string changed = session;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_FALSE(session_valid(changed, kTokens, kNow)) << i;
    EXPECT_FALSE(session_valid(session.substr(0, i), kTokens, kNow)) << i;
  }
}

TEST(DashboardSession, Token) {
  EXPECT_EQ(find_token("the second token", kTokens), &kTokens[1]);
  EXPECT_EQ(find_token("the second toke", kTokens), nullptr);
  EXPECT_EQ(find_token("", {""}), nullptr);
}

TEST(DashboardSession, IsFoundAmongCookies) {
  const std::string session = make_session(kTokens[0], kNow);
  const auto has = [&](const std::string& cookies) {
    http::Request request;
    request.fields = {{"Cookie", "first=1"}, {"cookie", cookies}};
    return sessions_of(request, kTokens, kNow) == std::vector<std::string_view>{session};
  };
  EXPECT_TRUE(has("beamgate_dashboard=" + session));
  EXPECT_TRUE(has("a=b; beamgate_dashboard=" + session + "; c"));
  EXPECT_TRUE(has("beamgate_dashboard=stale; beamgate_dashboard=" + session));
  EXPECT_FALSE(has("beamgate_dashboar=" + session));
  EXPECT_FALSE(has("xbeamgate_dashboard=" + session));
  EXPECT_FALSE(has(session));
  EXPECT_FALSE(has(""));
}

TEST(DashboardSession, SaysWhenItEnds) {
  EXPECT_EQ(session_expires_s(make_session(kTokens[0], kNow)), kNow + kSessionSeconds);
  for (const char* none : {"", ".", "x.y.z", "-5.y.z", "99999999999999999999.y.z"}) EXPECT_EQ(session_expires_s(none), 0) << none;
}

TEST(DashboardSession, Cookie) {
  EXPECT_EQ(session_cookie("x", 5, false), "beamgate_dashboard=x; Max-Age=5; HttpOnly; SameSite=Strict");
  EXPECT_EQ(session_cookie("", 0, true), "beamgate_dashboard=; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
}

}  // namespace
}  // namespace beamgate::api::dashboard
