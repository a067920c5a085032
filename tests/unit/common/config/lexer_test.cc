// Shows that words, quotes, escapes and comments are nginx's, and that each token knows where it stands:
// every message about a configuration points there.
#include "common/config/lexer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace beamgate::config {
namespace {

using Kind = Token::Kind;
using ::testing::ElementsAre;

// Words as they are, other tokens by their sign, an error as "error line:column text".
std::vector<std::string> lex(std::string_view text) {
  std::vector<std::string> out;
  Lexer lexer(text, 0);
  while (true) {
    const Token token = lexer.next();
    switch (token.kind) {
      case Kind::Word:
        out.push_back("<" + token.text + ">");
        break;
      case Kind::Semicolon:
        out.push_back(";");
        break;
      case Kind::Open:
        out.push_back("{");
        break;
      case Kind::Close:
        out.push_back("}");
        break;
      case Kind::Error:
        out.push_back("error " + std::to_string(token.at.line) + ":" + std::to_string(token.at.column) + " " +
                      token.text);
        return out;
      case Kind::End:
        return out;
    }
  }
}

TEST(Lexer, SplitsWordsAndSigns) {
  EXPECT_THAT(lex("http{listen 80;}"), ElementsAre("<http>", "{", "<listen>", "<80>", ";", "}"));
  EXPECT_THAT(lex("a\tb\r\nc"), ElementsAre("<a>", "<b>", "<c>"));
  EXPECT_THAT(lex(""), ElementsAre());
  EXPECT_THAT(lex("  # only a comment"), ElementsAre());
}

TEST(Lexer, CommentsBeginWhereAWordCould) {
  EXPECT_THAT(lex("a # b;\nc;"), ElementsAre("<a>", "<c>", ";"));
  EXPECT_THAT(lex("a#b;"), ElementsAre("<a#b>", ";"));
  EXPECT_THAT(lex("'#b';"), ElementsAre("<#b>", ";"));
}

TEST(Lexer, QuotesKeepSignsAndSpaces) {
  EXPECT_THAT(lex("'a b;{}' \"c 'd'\""), ElementsAre("<a b;{}>", "<c 'd'>"));
  EXPECT_THAT(lex("\"\" ''"), ElementsAre("<>", "<>"));
  EXPECT_THAT(lex("a'b'"), ElementsAre("<a'b'>"));  // Quotes within a word are bytes like others.
  EXPECT_THAT(lex("'a';"), ElementsAre("<a>", ";"));
  EXPECT_THAT(lex("'a'{"), ElementsAre("<a>", "{"));
}

TEST(Lexer, EscapesAreReplacedOrKept) {
  EXPECT_THAT(lex(R"("a\"b" 'c\'d' e\\f)"), ElementsAre("<a\"b>", "<c'd>", "<e\\f>"));
  EXPECT_THAT(lex(R"(a\tb\rc\nd)"), ElementsAre("<a\tb\rc\nd>"));
  EXPECT_THAT(lex(R"(\.php$)"), ElementsAre(R"(<\.php$>)"));  // A regular expression keeps its backslash.
  EXPECT_THAT(lex(R"(a\;b\{c;)"), ElementsAre(R"(<a\;b\{c>)", ";"));
}

TEST(Lexer, BracesOfAVariableBelongToTheWord) {
  EXPECT_THAT(lex("${uri}x;"), ElementsAre("<${uri}x>", ";"));
  EXPECT_THAT(lex("a${b}c {"), ElementsAre("<a${b}c>", "{"));
  // As in nginx, such a pattern needs quotes; it is told here.
  EXPECT_THAT(lex("x{1,2}"), ElementsAre(testing::StartsWith("error 1:2 a \"{\" outside of quotes begins a block")));
  EXPECT_THAT(lex("x{1 2}"), ElementsAre("<x>", "{", "<1>", "<2}>"));
}

TEST(Lexer, RefusesWhatHasNoEnd) {
  EXPECT_THAT(lex("a\n 'b c"), ElementsAre("<a>", "error 2:2 the string that starts with ' is not closed"));
  EXPECT_THAT(lex("'a'b"), ElementsAre("error 1:4 unexpected \"b\" after a closing quote"));
  EXPECT_THAT(lex(std::string_view("a\0b", 3)), ElementsAre("error 1:2 a NUL byte is not allowed"));
  EXPECT_THAT(lex(std::string_view("'\0'", 3)), ElementsAre("error 1:3 a NUL byte is not allowed"));
  EXPECT_THAT(lex(std::string_view("a\\\0b", 4)), ElementsAre("error 1:3 a NUL byte is not allowed"));
  EXPECT_THAT(lex(std::string_view("'\\\0'", 4)), ElementsAre("error 1:4 a NUL byte is not allowed"));
}

TEST(Lexer, BoundsAWord) {
  const std::string fits(Lexer::kWordBytesMax, 'x');
  EXPECT_THAT(lex(fits), ElementsAre("<" + fits + ">"));
  EXPECT_THAT(lex(fits + "x"), ElementsAre("error 1:1 the word is too long"));
  EXPECT_THAT(lex("'" + fits + "x'"), ElementsAre("error 1:1 the word is too long"));
  // A backslash that stands for itself makes two bytes at once.
  EXPECT_THAT(lex(fits.substr(1) + "\\x"), ElementsAre("error 1:1 the word is too long"));
}

TEST(Lexer, TokensKnowTheirPlaceAndBytes) {
  const std::string_view text = "a\n  'b c' ;";
  Lexer lexer(text, 7);
  const Token a = lexer.next();
  EXPECT_EQ(a.at, (Position{7, 1, 1}));
  const Token b = lexer.next();
  EXPECT_EQ(b.at, (Position{7, 2, 3}));
  EXPECT_EQ(text.substr(b.begin, b.end - b.begin), "'b c'");
  EXPECT_EQ(lexer.next().at, (Position{7, 2, 9}));
  EXPECT_EQ(lexer.next().kind, Kind::End);
}

TEST(Lexer, QuotedWordsComeBackAsTheyWere) {
  const std::string nasty[] = {"",     "plain", "a b",  "a\"b", "a'b", "a\\b",  "\\t",  "a\tb",   "a\nb",
                               "a;b",  "{",     "}",    "#x",   "$x",  "${x}y", "a\\",  "\\\"",   "'",
                               "~^/x", "a{1}",  "\xff", "\r",   "a$",  "$$",    "\\'x", "\\\\\\", "x\\n"};
  for (const std::string& word : nasty) {
    EXPECT_THAT(lex(quote_word(word) + ";"), ElementsAre("<" + word + ">", ";")) << quote_word(word);
  }
}

}  // namespace
}  // namespace beamgate::config
