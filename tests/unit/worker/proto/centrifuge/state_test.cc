// What a connection and its subscriptions remember between commands, over moves and deaths.
#include <gtest/gtest.h>

#include "worker/proto/centrifuge/queries.h"
#include "worker/proto/centrifuge/subscription_tag.h"

namespace beamgate::proto::centrifuge {
namespace {

TEST(SubscriptionTag, ComesBack) {
  EXPECT_EQ(SubscriptionTag{}.text(), "");
  const SubscriptionTag tag{.command = 7, .by_server = true, .quiet = true, .recover = true, .offset = 5, .epoch = "e\"",
                            .strict = true, .expires_s = 1790000000};
  const SubscriptionTag back = parse_tag(tag.text());
  EXPECT_EQ(back.command, 7u);
  EXPECT_TRUE(back.by_server && back.quiet && back.recover && back.strict);
  EXPECT_EQ(back.offset, 5u);
  EXPECT_EQ(back.epoch, "e\"");
  EXPECT_EQ(back.expires_s, 1790000000);
  for (const char* text : {"", "nonsense", "[]", "{}"}) EXPECT_EQ(parse_tag(text).text(), "") << text;
}

HistoryQuery query_of(const char* params) {
  HistoryQuery query;
  const char* problem = nullptr;
  EXPECT_TRUE(read_history_query(json::parse(params).value(), query, problem)) << params;
  return query;
}

TEST(HistoryQuery, WhatIsAskedFor) {
  EXPECT_EQ(query_of("{}").question.wants, 0);
  EXPECT_EQ(query_of("{\"limit\":0,\"reverse\":true}").question.wants, 0);
  EXPECT_EQ(query_of("{\"limit\":3}").question.wants, ipc::kStateAfter);
  EXPECT_EQ(query_of("{\"limit\":3}").question.publications_max, 3u);
  EXPECT_EQ(query_of("{\"limit\":-1}").question.publications_max, kHistoryMax);
  EXPECT_EQ(query_of("{\"limit\":99999999999}").question.publications_max, kHistoryMax);
  EXPECT_EQ(query_of("{\"limit\":3,\"reverse\":true}").question.wants, ipc::kStateNewest | ipc::kStateReverse);
  const HistoryQuery since = query_of("{\"limit\":3,\"reverse\":true,\"since\":{\"offset\":9,\"epoch\":\"e\"}}");
  EXPECT_EQ(since.question.wants, ipc::kStateAfter | ipc::kStateReverse);
  EXPECT_EQ(since.question.after, 9u);
  EXPECT_TRUE(since.checks_epoch);
  EXPECT_FALSE(query_of("{\"since\":{\"offset\":9}}").checks_epoch);
}

TEST(HistoryQuery, NoPosition) {
  for (const char* params : {"{\"since\":7}", "{\"since\":{\"offset\":-1}}", "{\"since\":{\"offset\":\"1\"}}",
                             "{\"since\":{\"epoch\":1}}", "{\"limit\":\"x\"}", "{\"limit\":-2}", "{\"reverse\":1}"}) {
    HistoryQuery query;
    const char* problem = nullptr;
    EXPECT_FALSE(read_history_query(json::parse(params).value(), query, problem)) << params;
  }
}

}  // namespace
}  // namespace beamgate::proto::centrifuge
