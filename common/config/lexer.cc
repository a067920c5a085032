#include "common/config/lexer.h"

#include <algorithm>

namespace beamgate::config {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Bytes that a word may hold without quotes wherever they stand.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-./:*=@%+,~^|?&<>()[]!").find(c) != std::string_view::npos;
}

}  // namespace

char Lexer::take() {
  const char c = text_[offset_++];
  if (c == '\n') {
    ++at_.line;
    at_.column = 1;
  } else {
    ++at_.column;
  }
  return c;
}

void Lexer::skip_blank() {
  while (!done()) {
    if (is_blank(peek())) {
      take();
    } else if (peek() == '#') {
      while (!done() && peek() != '\n') take();
    } else {
      return;
    }
  }
}

Token Lexer::finish(Token token) const {
  token.end = offset_;
  return token;
}

Token Lexer::fail(Position at, std::string text) const {
  Token token;
  token.kind = Token::Kind::Error;
  token.at = at;
  token.text = std::move(text);
  return token;
}

Token Lexer::next() {
  skip_blank();
  Token token;
  token.at = at_;
  token.begin = offset_;
  if (done()) return finish(token);
  switch (peek()) {
    case ';':
      token.kind = Token::Kind::Semicolon;
      break;
    case '{':
      token.kind = Token::Kind::Open;
      break;
    case '}':
      token.kind = Token::Kind::Close;
      break;
    case '"':
    case '\'':
      return quoted(token);
    default:
      return word(token);
  }
  take();
  return finish(token);
}

// A backslash says something of what comes next; a NUL byte is an error behind one, too.
bool Lexer::escapes() const { return !done() && peek() != '\0'; }

// Appends what a backslash and the byte after it stand for.
void Lexer::take_escaped(std::string& out) {
  const char c = take();
  if (c == '"' || c == '\'' || c == '\\') {
    out += c;
  } else if (c == 't') {
    out += '\t';
  } else if (c == 'r') {
    out += '\r';
  } else if (c == 'n') {
    out += '\n';
  } else {
    out += '\\';
    out += c;
  }
}

// At a "{" that another word's bytes follow at once, up to "}": no block is written so.
bool Lexer::in_braces() const {
  size_t at = offset_ + 1;
  while (at < text_.size() && !is_blank(text_[at]) && text_[at] != ';' && text_[at] != '{' && text_[at] != '}') ++at;
  return at > offset_ + 1 && at < text_.size() && text_[at] == '}';
}

Token Lexer::word(Token token) {
  token.kind = Token::Kind::Word;
  bool variable = false;  // The byte before was "$", so that "{" belongs to the word.
  while (!done()) {
    const char c = peek();
    if (c == '\0') return fail(at_, "a NUL byte is not allowed");
    if (c == '{' && !variable && in_braces()) {
      return fail(at_, "a \"{\" outside of quotes begins a block: put what begins with \"" + token.text +
                           "\" in quotes if the brace belongs to it, as in a regular expression");
    }
    if (is_blank(c) || c == ';' || (c == '{' && !variable)) break;
    take();
    variable = c == '$';
    if (c == '\\' && escapes()) {
      take_escaped(token.text);
    } else {
      token.text += c;
    }
    if (token.text.size() > kWordBytesMax) return fail(token.at, "the word is too long");
  }
  return finish(token);
}

Token Lexer::quoted(Token token) {
  token.kind = Token::Kind::Word;
  const char quote = take();
  while (true) {
    if (done()) return fail(token.at, std::string("the string that starts with ") + quote + " is not closed");
    const char c = take();
    if (c == quote) break;
    if (c == '\0') return fail(at_, "a NUL byte is not allowed");
    if (c == '\\' && escapes()) {
      take_escaped(token.text);
    } else {
      token.text += c;
    }
    if (token.text.size() > kWordBytesMax) return fail(token.at, "the word is too long");
  }
  // ")" as in nginx, whose "if" closes so.
  if (!done() && !is_blank(peek()) && peek() != ';' && peek() != '{' && peek() != ')') {
    return fail(at_, std::string("unexpected \"") + peek() + "\" after a closing quote");
  }
  return finish(token);
}

std::string quote_word(std::string_view word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return std::string(word);
  std::string out = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  return out;
}

}  // namespace beamgate::config
