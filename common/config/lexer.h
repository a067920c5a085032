// Lexer: nginx's tokens, one at a time: words, ";", "{", "}".
//
// Grammar  Words end at white space, ";" or "{"; "${" opens no block; quotes are special at a word's first
//          byte only, and white space, ";" or "{" must follow the closing one.  A backslash takes the next
//          byte's meaning away; \" \' \\ \t \r \n are replaced, any other pair stays as it is.  "#" at a
//          word's place starts a comment.
// Owner    Borrows the text for its lifetime.
// Limits   kWordBytesMax; a longer word is an error.
// Errors   An Error token; its text says what is wrong.  Nothing follows it.  A regular expression's {4} is one of them,
//          since it would open a block in the middle of a word.
#pragma once

#include <string>
#include <string_view>

#include "common/config/diagnostic.h"

namespace beamgate::config {

struct Token {
  enum class Kind : uint8_t { Word, Semicolon, Open, Close, End, Error };

  Kind kind = Kind::End;
  Position at;
  std::string text;  // A word's value, or the error.
  size_t begin = 0;  // The bytes it was written with: [begin, end) of the text.
  size_t end = 0;
};

class Lexer {
 public:
  static constexpr size_t kWordBytesMax = 16 << 10;

  Lexer(std::string_view text, uint32_t source) : text_(text) {
    at_.source = source;
    at_.line = at_.column = 1;
  }

  Token next();

 private:
  bool done() const { return offset_ >= text_.size(); }
  char peek() const { return text_[offset_]; }
  char take();
  void skip_blank();
  Token word(Token token);
  Token quoted(Token token);
  bool in_braces() const;
  bool escapes() const;
  void take_escaped(std::string& out);
  Token finish(Token token) const;
  Token fail(Position at, std::string text) const;

  std::string_view text_;
  size_t offset_ = 0;
  Position at_;
};

// Writes a word so that the lexer reads it back as it was.
std::string quote_word(std::string_view word);

}  // namespace beamgate::config
