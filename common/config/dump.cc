// dump(): the sources as they were read, for -T.
#include "common/config/directive.h"
#include "common/config/lexer.h"
#include "common/config/load.h"

namespace beamgate::config {
namespace {

// Copies a text, but puts "********" in the place of each argument of a secret directive.
std::string masked(std::string_view text) {
  std::string out;
  size_t copied = 0;
  bool at_name = true;
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
      secret = is_secret(token.text);
    } else if (secret) {
      out += text.substr(copied, token.begin - copied);
      out += "********";
      copied = token.end;
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
