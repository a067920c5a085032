// Words of a configuration: tokens cover the text in its order, and a word that is written is read as it was; numbers,
// sizes and times are read whole or not at all; addresses, templates and options of the command line are refused or
// written again as they were.
#include <vector>

#include "common/base/assert.h"
#include "common/config/command_line.h"
#include "common/config/lexer.h"
#include "common/config/network.h"
#include "common/config/template.h"
#include "common/config/value.h"
#include "common/log/syslog.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

using config::Token;

void check_tokens(std::string_view text) {
  config::Lexer lexer(text, 0);
  size_t before = 0;
  for (Token token = lexer.next(); token.kind != Token::Kind::End; token = lexer.next()) {
    if (token.kind == Token::Kind::Error) {
      BG_ASSERT(!token.text.empty());
      return;
    }
    BG_ASSERT(token.begin >= before && token.end > token.begin && token.end <= text.size());
    before = token.end;
    if (token.kind != Token::Kind::Word) continue;
    BG_ASSERT(token.text.size() <= config::Lexer::kWordBytesMax);
    std::string raw(text.substr(token.begin, token.end - token.begin));
    if (raw.ends_with('\\')) raw = config::quote_word(token.text);  // Something else would belong to it.
    for (const std::string& again : {raw, config::quote_word(token.text)}) {
      const std::string statement = again + ";";
      config::Lexer alone(statement, 0);
      const Token word = alone.next();
      BG_ASSERT(word.kind == Token::Kind::Word && word.text == token.text);
      BG_ASSERT(alone.next().kind == Token::Kind::Semicolon && alone.next().kind == Token::Kind::End);
    }
  }
}

void check_values(std::string_view text) {
  if (const auto number = config::parse_number(text)) BG_ASSERT(config::parse_number(std::to_string(*number)) == number);
  if (const auto size = config::parse_size(text)) BG_ASSERT(config::parse_size(std::to_string(*size)) == size);
  if (const auto time = config::parse_time_ms(text)) {
    BG_ASSERT(*time >= 0 && config::parse_time_ms(std::to_string(*time) + "ms") == time);
  }
}

void check_addresses(std::string_view text) {
  std::string error;
  for (const bool listens : {true, false}) {
    std::vector<config::Address> addresses;
    error.clear();
    const bool good = listens ? config::listen_addresses(text, config::Names::Refuse, addresses, error)
                              : config::server_addresses(text, 80, config::Names::Refuse, addresses, error);
    BG_ASSERT(good ? !addresses.empty() && addresses.size() <= config::kAddressesMax : !error.empty());
    for (const config::Address& address : good ? addresses : std::vector<config::Address>()) {
      std::vector<config::Address> again;
      BG_ASSERT(listens ? config::listen_addresses(address.text, config::Names::Refuse, again, error)
                        : config::server_addresses(address.text, 80, config::Names::Refuse, again, error));
      BG_ASSERT(again.size() == 1 && again[0].text == address.text);
    }
  }
  config::AccessRule rule;
  bool low_bits = false;
  config::parse_access_rule(text, rule, low_bits);
  std::string host;
  std::optional<uint16_t> port;
  config::split_authority(text, host, port, error);
  log::SyslogTarget target;
  if (log::is_syslog(text)) {
    error.clear();
    BG_ASSERT(log::parse_syslog(text, target, error) == error.empty());
    log::with_syslog_server(text, "127.0.0.1:514");
  }
}

void check_template(std::string_view text) {
  config::Template parsed, again;
  std::string error;
  if (!config::Template::parse(text, parsed, error)) {
    BG_ASSERT(!error.empty());
    return;
  }
  BG_ASSERT(parsed.source() == text);
  std::string plain, expanded;
  for (const auto& part : parsed.parts()) plain += part.variable ? "${" + part.text + '}' : part.text;
  parsed.expand([](std::string_view name, std::string& out) { out.append("${").append(name) += '}'; }, expanded);
  BG_ASSERT(plain == expanded);
  BG_ASSERT(config::Template::parse(plain, again, error) && again.parts().size() == parsed.parts().size());
}

// A word a line.
void check_command_line(Input input) {
  std::vector<std::string> words;
  while (!input.empty() && words.size() < 10) words.emplace_back(input.line().substr(0, 100));
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  config::CommandLine line;
  std::string error;
  const bool good = parse(arguments, line, error);
  BG_ASSERT(good == error.empty());
}

}  // namespace

FUZZ_TARGET(config_words) {
  check_tokens(bytes);
  check_values(bytes);
  check_addresses(bytes);
  check_template(bytes);
  check_command_line(Input(bytes));
}

}  // namespace beamgate::fuzz
