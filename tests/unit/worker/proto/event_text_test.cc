// Events as EventSource's parser reads them (HTML standard, section 9.2.6): no text gets out of its data.
#include "worker/proto/event_text.h"

#include <gtest/gtest.h>

namespace beamgate::proto {
namespace {

std::string event(std::string_view name, ipc::PayloadKind kind, std::string_view payload, std::string_view id = "e:1") {
  std::string out;
  write_event(name, kind, payload, out);
  write_event_end(id, out);
  return out;
}

TEST(EventText, ALineIsOneField) {
  EXPECT_EQ(event("", ipc::PayloadKind::Text, "hello"), "data: hello\nid: e:1\n\n");
  EXPECT_EQ(event("new", ipc::PayloadKind::Json, "{\"a\":1}"), "event: new\ndata: {\"a\":1}\nid: e:1\n\n");
  EXPECT_EQ(event("", ipc::PayloadKind::Text, ""), "data: \nid: e:1\n\n");
}

TEST(EventText, EveryKindOfLineEndSplits) {
  EXPECT_EQ(event("", ipc::PayloadKind::Text, "a\nb\r\nc\rd\n", ""),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
  EXPECT_EQ(event("", ipc::PayloadKind::Text, "\n\nevent: x", ""), "data: \ndata: \ndata: event: x\n\n");
}

TEST(EventText, AnEventsNameIsOneLine) {
  EXPECT_EQ(event("a\ndata: x\rb", ipc::PayloadKind::Text, "t", ""), "event: a data: x b\ndata: t\n\n");
}

TEST(EventText, BinaryIsAnUrl) {
  EXPECT_EQ(event("", ipc::PayloadKind::Binary, std::string_view("\0\xff\n", 3), ""),
            "data: data:application/octet-stream;base64,AP8K\n\n");
}

}  // namespace
}  // namespace beamgate::proto
