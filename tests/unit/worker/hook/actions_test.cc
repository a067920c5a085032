// Actions: everything an application may say in a reply, and for each the neighbour that is refused; a typing
// error must be told, not ignored.
#include "worker/hook/actions.h"

#include <gtest/gtest.h>

namespace beamgate::hook {
namespace {

constexpr std::string_view kType = "application/vnd.beamgate+json";

Result<Actions> document(std::string_view body) { return parse_actions({}, kType, body); }

TEST(Actions, HeaderFieldsSteerTheConnection) {
  const auto parsed = parse_actions({{"beamgate-user", "J%C3%B6rg"},
                                     {"beamgate-state", "{\"n\": 1}"},
                                     {"beamgate-subscribe", "a, b%2Cc ,, d"},
                                     {"beamgate-subscribe", "e"},
                                     {"beamgate-unsubscribe", "f"},
                                     {"beamgate-close", "4001 see you"},
                                     {"content-type", "text/plain"}},
                                    "", "");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text;
  const Actions& actions = parsed.value();
  EXPECT_EQ(actions.user, "J\xc3\xb6rg");
  EXPECT_EQ(actions.state, "{\"n\": 1}");
  EXPECT_EQ(actions.subscribe, (std::vector<std::string>{"a", "b,c", "d", "e"}));
  EXPECT_EQ(actions.unsubscribe, std::vector<std::string>{"f"});
  ASSERT_TRUE(actions.close);
  EXPECT_EQ(actions.close->code, 4001);
  EXPECT_EQ(actions.close->reason, "see you");
  EXPECT_TRUE(actions.send.empty());
}

TEST(Actions, AnEmptyFieldClearsAndAMissingOneKeeps) {
  EXPECT_EQ(parse_actions({{"beamgate-user", ""}}, "", "").value().user, "");
  EXPECT_FALSE(parse_actions({}, "", "").value().user);
}

TEST(Actions, BrokenHeaderFieldsAreRefused) {
  for (const auto& [name, value] : Fields{{"beamgate-user", "%zz"},
                                          {"beamgate-state", "50%"},
                                          {"beamgate-subscribe", "a,%f"},
                                          {"beamgate-unsubscribe", "%ff"},
                                          {"beamgate-close", ""},
                                          {"beamgate-close", "bye"},
                                          {"beamgate-close", "1005"},
                                          {"beamgate-close", "999 x"},
                                          {"beamgate-close", "5000 x"},
                                          {"beamgate-close", "4001 %ff"}}) {
    EXPECT_FALSE(parse_actions({{name, value}}, "", "").ok()) << name << ": " << value;
  }
}

TEST(Actions, ABodyIsOneMessageWhoseKindItsTypeTells) {
  struct Row {
    const char* type;
    const char* body;
    bool binary;
  };
  for (const Row& row : {Row{"text/plain", "hi", false}, Row{"Text/HTML; charset=UTF-8", "hi", false},
                         Row{"application/json", "{}", false}, Row{"application/problem+json", "{}", false},
                         Row{"image/svg+xml", "<svg/>", false}, Row{"application/octet-stream", "hi", true},
                         Row{"image/png", "\x89", true}, Row{"", "hi", false}, Row{"", "\xff", true}}) {
    const auto parsed = parse_actions({}, row.type, row.body);
    ASSERT_TRUE(parsed.ok()) << row.type;
    ASSERT_EQ(parsed.value().send.size(), 1u) << row.type;
    EXPECT_EQ(parsed.value().send[0].binary, row.binary) << row.type;
    EXPECT_EQ(parsed.value().send[0].bytes, row.body);
  }
  EXPECT_TRUE(parse_actions({}, "text/plain", "").value().send.empty());
  EXPECT_FALSE(parse_actions({}, "text/plain", "\xff").ok());
}

TEST(Actions, TheDocumentCarriesTheSameAndMore) {
  const auto parsed = document(R"({"user":"u","state":"s","subscribe":["a"],"unsubscribe":["b"],
    "send":["one",{"text":"two"},{"data":{"n":3}},{"data":"four"},{"base64":"AAEC"},{"text":"x","binary":true},
            {"base64":"eQ==","binary":false}],
    "publish":[{"channel":"c","data":[1.0]},
               {"channel":"d","base64":"/w==","event":"e","except":"0001000002a3b4c5"}],
    "close":{"code":4001,"reason":"bye"}})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text;
  const Actions& actions = parsed.value();
  EXPECT_EQ(actions.user, "u");
  EXPECT_EQ(actions.state, "s");
  EXPECT_EQ(actions.subscribe, std::vector<std::string>{"a"});
  EXPECT_EQ(actions.unsubscribe, std::vector<std::string>{"b"});
  const std::vector<std::pair<std::string, bool>> sent = {{"one", false},  {"two", false},
                                                          {"{\"n\":3}", false}, {"four", false},
                                                          {std::string("\0\1\2", 3), true}, {"x", true}, {"y", false}};
  ASSERT_EQ(actions.send.size(), sent.size());
  for (size_t at = 0; at < sent.size(); ++at) {
    EXPECT_EQ(actions.send[at].bytes, sent[at].first);
    EXPECT_EQ(actions.send[at].binary, sent[at].second);
  }
  ASSERT_EQ(actions.publish.size(), 2u);
  EXPECT_EQ(actions.publish[0].channel, "c");
  EXPECT_EQ(actions.publish[0].bytes, "[1.0]");
  EXPECT_EQ(actions.publish[0].event, "");
  EXPECT_EQ(actions.publish[0].except, 0u);
  EXPECT_TRUE(actions.publish[1].binary);
  EXPECT_EQ(actions.publish[1].event, "e");
  EXPECT_EQ(actions.publish[1].except, 0x0001000002a3b4c5u);
  EXPECT_EQ(actions.close->code, 4001);
}

TEST(Actions, DocumentsForgiveNullAndIntegersOnlyWhereDocumented) {
  EXPECT_EQ(document(R"({"user":null})").value().user, "");
  EXPECT_EQ(document(R"({"user":42})").value().user, "42");
  EXPECT_EQ(document(R"({"state":null})").value().state, "");
  EXPECT_EQ(document(R"({"close":{}})").value().close->code, 1000);
  EXPECT_TRUE(document("{}").ok());
}

TEST(Actions, BrokenDocumentsAreRefused) {
  for (const char* body :
       {"", "[]", "\"x\"", "{", R"({"usr":"x"})", R"({"user":1.5})", R"({"user":[]})", R"({"state":1})",
        R"({"subscribe":"a"})", R"({"subscribe":[1]})", R"({"unsubscribe":{}})", R"({"send":"x"})",
        R"({"send":[1]})", R"({"send":[{}]})", R"({"send":[{"text":"a","data":1}]})", R"({"send":[{"text":1}]})",
        R"({"send":[{"base64":"?"}]})", R"({"send":[{"text":"a","binry":true}]})",
        R"({"send":[{"text":"a","binary":1}]})", R"({"send":[{"base64":"/w==","binary":false}]})",
        R"({"publish":{}})", R"({"publish":["a"]})", R"({"publish":[{"data":1}]})",
        R"({"publish":[{"channel":"c"}]})", R"({"publish":[{"channel":"c","data":1,"x":1}]})",
        R"({"publish":[{"channel":"c","data":1,"event":1}]})", R"({"publish":[{"channel":"c","data":1,"except":"me"}]})",
        R"({"publish":[{"channel":"c","data":1,"except":null}]})", R"({"close":true})",
        R"({"close":{"code":1006}})", R"({"close":{"code":"4001"}})", R"({"close":{"reason":1}})",
        R"({"close":{"code":4001,"why":""}})"}) {
    EXPECT_FALSE(document(body).ok()) << body;
  }
}

}  // namespace
}  // namespace beamgate::hook
