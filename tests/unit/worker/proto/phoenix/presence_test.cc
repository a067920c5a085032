// Phoenix presence: members and their changes in the shapes that phoenix.js's Presence class takes.
#include "worker/proto/phoenix/presence.h"

#include <gtest/gtest.h>

#include "common/json/value.h"

namespace beamgate::proto::phoenix {
namespace {

using ipc::Member;
using ipc::MemberEvent;

Member member(uint64_t uid, std::string_view user, std::string_view info = {}, int64_t since_ms = 1) {
  return {.uid = uid, .since_ms = since_ms, .protocol = 0, .user = user, .info = info};
}

std::string ref(uint64_t uid, int64_t since_ms = 1) {
  return phx_ref(member(uid, "", "", since_ms));
}

TEST(PhoenixPresence, StateGroupsByUser) {
  EXPECT_EQ(presence_state({}), "{}");
  EXPECT_EQ(presence_state({member(1, "u-7", R"({"device":"web"})"), member(3, ""), member(2, "u-7", "{ }")}),
            R"({"u-7":{"metas":[{"device":"web","phx_ref":")" + ref(1) + R"("},{"phx_ref":")" + ref(2) +
                R"("}]},"0000000000000003":{"metas":[{"phx_ref":")" + ref(3) + R"("}]}})");
}

TEST(PhoenixPresence, InfoThatIsNoObjectIsAMember) {
  EXPECT_EQ(presence_state({member(1, "a\"b", "[1]")}),
            R"({"a\"b":{"metas":[{"info":[1],"phx_ref":")" + ref(1) + R"("}]}})");
}

TEST(PhoenixPresence, NobodyForgesARef) {
  const auto state = json::parse(presence_state({member(1, "u", R"({"phx_ref":"mine"})")}));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state.value().find("u")->get_array("metas")->front().get_string("phx_ref"), ref(1));
}

TEST(PhoenixPresence, RefsAreOfAConnectionAndItsStay) {
  EXPECT_EQ(ref(1).size(), 16u);
  EXPECT_NE(ref(1), ref(2));
  EXPECT_NE(ref(1, 1), ref(1, 2));
}

TEST(PhoenixPresence, OneDiffForMany) {
  const auto diffs = presence_diffs({{MemberEvent::Entered, true, member(1, "a")},
                                     {MemberEvent::Left, true, member(2, "b")},
                                     {MemberEvent::Updated, false, member(3, "a", R"({"x":1})")}});
  ASSERT_EQ(diffs.size(), 1u);
  EXPECT_EQ(diffs[0], R"({"joins":{"a":{"metas":[{"phx_ref":")" + ref(1) + R"("},{"x":1,"phx_ref":")" +
                          ref(3) + R"(","phx_ref_prev":")" + ref(3, 0) +
                          R"("}]}},"leaves":{"b":{"metas":[{"phx_ref":")" + ref(2) +
                          R"("}]},"a":{"metas":[{"phx_ref":")" + ref(3, 0) + R"("}]}}})");
  EXPECT_TRUE(presence_diffs({}).empty());
}

// A client takes a diff's joins before its leaves: who left and came back within one change would be gone.
TEST(PhoenixPresence, LeavingAndComingBackAreTwoDiffs) {
  const auto diffs = presence_diffs({{MemberEvent::Left, true, member(1, "a")},
                                     {MemberEvent::Left, true, member(2, "b")},
                                     {MemberEvent::Entered, true, member(1, "a")}});
  ASSERT_EQ(diffs.size(), 2u);
  EXPECT_NE(diffs[0].find(R"("joins":{},"leaves":{"a")"), std::string::npos);
  EXPECT_NE(diffs[1].find(R"("joins":{"a")"), std::string::npos);
}

TEST(PhoenixPresence, Count) {
  EXPECT_EQ(presence_count(3, 5), R"({"users":3,"connections":5})");
}

}  // namespace
}  // namespace beamgate::proto::phoenix
