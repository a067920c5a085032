// Commands as clients write them, and replies and pushes as they read them.
#include <gtest/gtest.h>

#include "worker/proto/centrifuge/commands.h"
#include "worker/proto/centrifuge/replies.h"
#include "worker/proto/centrifuge/shapes.h"

namespace beamgate::proto::centrifuge {
namespace {

using Outcome = CommandReader::Outcome;

Outcome first(std::string_view frame, Command& command) { return CommandReader(frame).next(command); }

TEST(Commands, SeveralInOneFrame) {
  CommandReader reader("{\"connect\":{\"token\":\"x\",\"name\":\"js\"},\"id\":1}\n\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{}\n"
                       "{\"send\":{\"data\":1}}");
  Command command;
  ASSERT_EQ(reader.next(command), Outcome::Command);
  EXPECT_EQ(command.id, 1u);
  EXPECT_EQ(command.method, Method::Connect);
  EXPECT_EQ(command.params.get_string("token"), "x");
  ASSERT_EQ(reader.next(command), Outcome::Command);
  EXPECT_EQ(command.id, 2u);
  EXPECT_EQ(command.method, Method::Subscribe);
  EXPECT_EQ(command.text, "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
  ASSERT_EQ(reader.next(command), Outcome::Command);
  EXPECT_EQ(command.method, Method::Pong);
  ASSERT_EQ(reader.next(command), Outcome::Command);
  EXPECT_EQ(command.method, Method::Send);
  EXPECT_EQ(reader.next(command), Outcome::End);
  EXPECT_EQ(reader.next(command), Outcome::End);
}

TEST(Commands, EveryMethodHasItsName) {
  for (int i = static_cast<int>(Method::Connect); i <= static_cast<int>(Method::SubRefresh); ++i) {
    const auto method = static_cast<Method>(i);
    Command command;
    ASSERT_EQ(first("{\"id\":7,\"" + std::string(name_of(method)) + "\":{}}", command), Outcome::Command);
    EXPECT_EQ(command.method, method);
  }
}

TEST(Commands, Malformed) {
  Command command;
  for (const char* frame : {"x", "[]", "7", "{\"id\":-1,\"rpc\":{}}", "{\"id\":\"1\",\"rpc\":{}}", "{\"id\":4294967296,\"rpc\":{}}",
                            "{\"rpc\":{}}", "{\"id\":0,\"rpc\":{}}", "{\"id\":1,\"rpc\":7}", "{\"id\":1,\"rpc\":[]}", "{\"id\":1"}) {
    EXPECT_EQ(first(frame, command), Outcome::Malformed) << frame;
  }
  EXPECT_EQ(first("", command), Outcome::End);
  EXPECT_EQ(first(" \n\r\n", command), Outcome::End);
  ASSERT_EQ(first("{\"id\":1,\"teleport\":{}}", command), Outcome::Command);
  EXPECT_EQ(command.method, Method::Unknown);
}

TEST(Replies, Forms) {
  EXPECT_EQ(make_reply(3, Method::PresenceStats, "{\"num_users\":1}"), R"({"id":3,"presence_stats":{"num_users":1}})");
  EXPECT_EQ(make_error(3, ErrorCode::PermissionDenied),
            R"({"id":3,"error":{"code":103,"message":"permission denied"}})");
  EXPECT_EQ(make_error(3, ErrorCode::TooManyRequests),
            R"({"id":3,"error":{"code":111,"message":"too many requests","temporary":true}})");
  EXPECT_EQ(make_unsubscribe("a\"b", kUnsubscribedByServer),
            R"({"push":{"channel":"a\"b","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}})");
  EXPECT_EQ(make_push("", "message", "{\"data\":1}"), R"({"push":{"message":{"data":1}}})");
}

std::string data_of(ipc::PayloadKind kind, std::string_view payload) {
  std::string out;
  append_data(out, kind, payload);
  return out;
}

TEST(Shapes, Data) {
  using ipc::PayloadKind;
  EXPECT_EQ(data_of(PayloadKind::Json, "{\"a\":\n 1}"), "{\"a\": 1}");
  EXPECT_EQ(data_of(PayloadKind::Text, " [1,\n2]\n"), " [1,2]");
  EXPECT_EQ(data_of(PayloadKind::Text, "1.0"), "1.0");
  for (const char* text : {"hello", "", "truth", "{", "[1,", "nul", " "}) {
    EXPECT_EQ(data_of(PayloadKind::Text, text), "\"" + std::string(text) + "\"") << text;
  }
  EXPECT_EQ(data_of(PayloadKind::Text, "a\nb\""), "\"a\\nb\\\"\"");
  EXPECT_EQ(data_of(PayloadKind::Binary, std::string_view("\0\1\2", 3)), "\"AAEC\"");
}

TEST(Shapes, Publications) {
  std::string out;
  append_publication(out, ipc::PayloadKind::Json, "1", {}, 0);
  EXPECT_EQ(out, R"({"data":1})");
  out.clear();
  append_publication(out, ipc::PayloadKind::Json, "1", {.sender = 0xab, .user = "u", .event = "e"}, 5);
  EXPECT_EQ(out, R"({"data":1,"offset":5,"tags":{"event":"e"},"info":{"client":"00000000000000ab","user":"u"}})");
}

TEST(Shapes, Members) {
  std::string out;
  append_members(out, {{.uid = 1, .user = "u", .info = "{\"n\":\n1}"}, {.uid = 2}, {.uid = 3, .user = "0000000000000003"}});
  EXPECT_EQ(out, R"({"0000000000000001":{"client":"0000000000000001","user":"u","conn_info":{"n":1}},)"
                 R"("0000000000000002":{"client":"0000000000000002","user":""},)"
                 R"("0000000000000003":{"client":"0000000000000003","user":""}})");
}

TEST(Shapes, InfoOfConnectionAndChannel) {
  const auto client_of = [](std::string_view conn_info, std::string_view chan_info) {
    std::string out;
    const std::string info = member_info(conn_info, chan_info);
    append_client(out, {.uid = 1, .user = "u", .info = info});
    return out.substr(out.find("\"u\"") + 3);
  };
  EXPECT_EQ(client_of("", ""), "}");
  EXPECT_EQ(client_of("1", ""), R"(,"conn_info":1})");
  EXPECT_EQ(client_of("", "[2]"), R"(,"chan_info":[2]})");
  EXPECT_EQ(client_of("{\"a\":1}", "{\"b\":2}"), R"(,"chan_info":{"b":2},"conn_info":{"a":1}})");
  EXPECT_EQ(client_of("{\"chan_info\":", ""), R"(,"conn_info":{"chan_info":})");  // Not ours: as it is.
}

}  // namespace
}  // namespace beamgate::proto::centrifuge
