// dump(): the sources as they were read, for -T.
#include "common/config/directive.h"
#include "common/config/lexer.h"
#include "common/config/load.h"

namespace beamgate::config {
namespace {

constexpr std::string_view kMask = "********";

// "proxy_set_header Authorization ..." and what is like it: a field or a parameter that proves who asks.
bool names_secret(std::string_view directive, std::string_view field) {
  if (!directive.ends_with("_header") && !directive.ends_with("_param")) return false;
  std::string name(field);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '_' ? '-' : c;
  for (const std::string_view part : {"authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "apikey"}) {
    if (name.find(part) != name.npos) return true;
  }
  return false;
}

// A word that is one variable says nothing by itself.
bool is_variable(std::string_view word) {
  return word.size() > 1 && word[0] == '$' && word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", 1) == word.npos;
}

// "http://user:password@host/" without who and password (RFC 3986, section 3.2.1).
std::string without_userinfo(std::string_view word) {
  std::string out(word);
  for (size_t at = out.find("://"); at != out.npos; at = out.find("://", at + 1)) {
    const size_t begin = at + 3;
    const size_t end = out.find_first_of("/?#\"' ", begin);
    const size_t sign = out.rfind('@', end == out.npos ? end : end - 1);
    if (sign != out.npos && sign > begin) out.replace(begin, sign - begin, kMask);
  }
  return out;
}

// Copies a text, but puts "********" in the place of each argument of a secret directive, and of what else is known to be
// one.
std::string masked(std::string_view text) {
  std::string out;
  std::string directive;
  size_t copied = 0;
  bool at_name = true;
  bool at_field = false;
  bool secret = false;
  Lexer lexer(text, 0);
  for (Token token = lexer.next(); token.kind != Token::Kind::End; token = lexer.next()) {
    // What can't be read can't be masked for sure, and is kept back.
    if (token.kind == Token::Kind::Error) return out + "\n# the rest could not be read\n";
    if (token.kind != Token::Kind::Word) {
      at_name = true;
      secret = false;
    } else if (at_name) {
      at_name = false;
      at_field = true;
      directive = token.text;
      secret = is_secret(token.text);
    } else {
      const bool hidden = secret && (is_secret(directive) || !is_variable(token.text));
      out += text.substr(copied, token.begin - copied);
      out += hidden ? std::string(kMask) : without_userinfo(text.substr(token.begin, token.end - token.begin));
      copied = token.end;
      secret = is_secret(directive) || (at_field && names_secret(directive, token.text));
      at_field = false;
      continue;
    }
    out += text.substr(copied, token.end - copied);
    copied = token.end;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace

std::string dump(const std::vector<Source>& sources, bool mask_secrets) {
  std::string out;
  for (const Source& source : sources) {
    out += "# configuration file " + source.path + ":\n";
    out += mask_secrets ? masked(source.text) : std::string(source.text);
    out += '\n';
  }
  return out;
}

}  // namespace beamgate::config
