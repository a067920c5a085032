// permessage-deflate negotiation (RFC 7692 section 7.1): every parameter, accepted and declined, several offers.
#include "worker/ws/deflate_offer.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/ws/requests.h"

namespace beamgate::ws {
namespace {

config::WebSocketAction plain_action() {
  config::WebSocketAction action;
  action.deflate = true;
  action.deflate_server_window_bits = 15;
  action.deflate_client_window_bits = 15;
  return action;
}

DeflateAnswer negotiate(const std::string& offers, const config::WebSocketAction& action = plain_action()) {
  testing::UpgradeRequest request;
  request.set("Sec-WebSocket-Extensions", offers);
  return negotiate_deflate(request.get(), action);
}
std::string answer(const std::string& offers, const config::WebSocketAction& action = plain_action()) {
  const DeflateAnswer result = negotiate(offers, action);
  EXPECT_FALSE(result.malformed);
  return result.field;
}

TEST(DeflateOffer, OffByDefaultAndUnasked) {
  EXPECT_EQ(answer("permessage-deflate", config::WebSocketAction{}), "");
  EXPECT_EQ(answer(""), "");
  EXPECT_EQ(answer("x-webkit-deflate-frame, bzip; level=9"), "");
}

TEST(DeflateOffer, EachParameter) {
  EXPECT_EQ(answer("permessage-deflate"), "permessage-deflate");
  EXPECT_EQ(answer("permessage-deflate; server_no_context_takeover"), "permessage-deflate; server_no_context_takeover");
  EXPECT_EQ(answer("permessage-deflate; client_no_context_takeover"), "permessage-deflate; client_no_context_takeover");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=10"), "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=10"), "permessage-deflate; client_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=8"), "permessage-deflate; client_max_window_bits=8");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits"), "permessage-deflate");
  EXPECT_EQ(answer("Permessage-Deflate;Server_Max_Window_Bits=\"12\" ; client_max_window_bits = 15"),
            "permessage-deflate; server_max_window_bits=12");
}

TEST(DeflateOffer, TheLocationsOwnWindowsAndTakeover) {
  config::WebSocketAction action = plain_action();
  action.deflate_server_window_bits = 11;
  action.deflate_client_window_bits = 10;
  EXPECT_EQ(answer("permessage-deflate", action), "permessage-deflate; server_max_window_bits=11");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=14; client_max_window_bits", action),
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", action),
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9");
  action = plain_action();
  action.deflate_context_takeover = false;
  EXPECT_EQ(answer("permessage-deflate", action),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  action = plain_action();
  action.slow_reader = config::WebSocketAction::SlowReader::DropOldest;
  EXPECT_EQ(answer("permessage-deflate", action), "permessage-deflate; server_no_context_takeover");
}

TEST(DeflateOffer, ABadParameterDeclinesTheOffer) {
  for (const char* bad :
       {"server_no_context_takeover=1", "client_no_context_takeover=\"\"", "server_max_window_bits",
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=010",
        "server_max_window_bits=\"1 0\"", "server_max_window_bits=8", "client_max_window_bits=7",
        "client_max_window_bits=16", "client_max_window_bits=x", "unknown", "unknown=3",
        "server_no_context_takeover; server_no_context_takeover", "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=10"}) {
    EXPECT_EQ(answer(std::string("permessage-deflate; ") + bad), "") << bad;
  }
}

TEST(DeflateOffer, TheFirstAcceptableOfferWins) {
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10"),
            "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; unknown, foo; a=\"b,c;d\", permessage-deflate; client_no_context_takeover, "
                   "permessage-deflate"),
            "permessage-deflate; client_no_context_takeover");
  testing::UpgradeRequest request;
  request.add("Sec-WebSocket-Extensions", "permessage-deflate; unknown").add("Sec-WebSocket-Extensions", "permessage-deflate");
  EXPECT_EQ(negotiate_deflate(request.get(), plain_action()).field, "permessage-deflate");
}

TEST(DeflateOffer, BrokenGrammarIsAnError) {
  for (const char* broken : {"permessage-deflate;", "permessage-deflate; =1", "permessage-deflate; a=", ", ", "a b",
                             "permessage-deflate; a=\"open", "permessage-deflate; a=\"x\\"}) {
    EXPECT_TRUE(negotiate(broken).malformed) << broken;
  }
}

TEST(DeflateOffer, EmptyElementsAreNone) {
  for (const char* offer : {",permessage-deflate,", "permessage-deflate,", ", ,\tpermessage-deflate"}) {
    EXPECT_EQ(answer(offer), "permessage-deflate") << offer;
  }
  EXPECT_TRUE(negotiate("permessage-deflate" + std::string(17, ',')).malformed) << "not that many";
}

}  // namespace
}  // namespace beamgate::ws
