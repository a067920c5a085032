// Shows that a configuration brings the files it names: what is parsed from its dump reads none.
#include "common/config/embedded_file.h"

#include <gtest/gtest.h>

#include "common/config/load.h"

namespace beamgate::config {
namespace {

Statement statement_of(const std::vector<std::string>& words) {
  Statement statement;
  statement.name.text = "embedded_file";
  for (const std::string& word : words) statement.args.push_back({word, {}});
  return statement;
}

TEST(EmbeddedFile, ComesBackAsItWas) {
  for (const size_t bytes : {0, 1, 9215, 9216, 9217, 1'000'000}) {
    std::string content;
    for (size_t i = 0; i < bytes; ++i) content += static_cast<char>(i * 7);
    std::vector<Statement> statements{statement_of({"/stale", "AAAA"})};
    embed_files({{"/a file", content}}, statements);
    ASSERT_EQ(statements.size(), 1u) << "older ones go";
    EXPECT_EQ(statements[0].args[0].text, "/a file");
    std::string back;
    EXPECT_TRUE(decode_embedded(statements[0], back));
    EXPECT_EQ(back, content);
  }
}

TEST(EmbeddedFile, WhatIsNoBase64IsRefused) {
  std::string bytes;
  EXPECT_FALSE(decode_embedded(statement_of({"/a", "AAA"}), bytes));
  EXPECT_FALSE(decode_embedded(statement_of({"/a", "AA AA"}), bytes));
}

TEST(EmbeddedFile, ADumpNeedsNoFile) {
  const auto loaded = load_text(
      "embedded_file /nowhere/ticket " + std::string(64, 'A') +
      "; http { server { listen 8080; ssl_session_ticket_key /nowhere/ticket; } }");
  ASSERT_TRUE(loaded.ok()) << report(loaded);
  const auto again = load_text(loaded.config->dump);
  ASSERT_TRUE(again.ok()) << report(again);
  EXPECT_EQ(again.config->http.servers[0].tls_settings.ticket_keys.size(), 1u);
  EXPECT_EQ(again.config->dump, loaded.config->dump);
  EXPECT_FALSE(load_text("http { server { listen 8080; ssl_session_ticket_key /nowhere/ticket; } }").ok());
}

}  // namespace
}  // namespace beamgate::config
