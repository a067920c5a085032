#include "common/config/condition.h"

#include "common/config/loader.h"
#include "common/config/regex.h"

namespace beamgate::config {
namespace {

struct Piece {
  size_t argument = 0;  // For the position of an error.
  std::string text;
};

// The arguments between the parentheses; none after an error was reported.
std::vector<Piece> pieces_of(Setting& setting) {
  const size_t last = setting.count() - 1;
  if (!setting.arg(0).starts_with('(') || !setting.arg(last).ends_with(')')) {
    setting.error("\"if\" wants its condition in parentheses");
    return {};
  }
  std::vector<Piece> pieces;
  for (size_t i = 0; i <= last; ++i) {
    std::string text = setting.arg(i);
    if (i == last) text.pop_back();
    if (i == 0) text.erase(0, 1);
    const bool bare_parenthesis = text.empty() && (i == 0 || i == last) && setting.arg(i).size() == 1;
    if (!bare_parenthesis) pieces.push_back({i, std::move(text)});
  }
  return pieces;
}

bool parse_text(Setting& setting, const Piece& piece, Template& out) {
  std::string why;
  if (!Template::parse(piece.text, out, why)) {
    setting.fail(piece.argument, why);
    return false;
  }
  setting.loader.check_variables(setting.frame, out, setting.at(piece.argument));
  return true;
}

bool read_file_test(Setting& setting, const std::vector<Piece>& pieces, Condition& out) {
  std::string_view op = pieces[0].text;
  out.negated = op.starts_with('!');
  if (out.negated) op.remove_prefix(1);
  if (op == "-f") {
    out.test = Condition::Test::File;
  } else if (op == "-d") {
    out.test = Condition::Test::Directory;
  } else if (op == "-e") {
    out.test = Condition::Test::Exists;
  } else if (op == "-x") {
    out.test = Condition::Test::Executable;
  } else {
    setting.fail(pieces[0].argument, "expected a variable, or -f, -d, -e or -x with a path");
    return false;
  }
  return parse_text(setting, pieces[1], out.subject);
}

bool read_comparison(Setting& setting, const std::vector<Piece>& pieces, Condition& out) {
  if (!parse_text(setting, pieces[0], out.subject)) return false;
  std::string_view op = pieces[1].text;
  out.negated = op.starts_with('!');
  if (out.negated) op.remove_prefix(1);
  if (op == "=") {
    out.test = Condition::Test::Equal;
    return parse_text(setting, pieces[2], out.operand);
  }
  if (op != "~" && op != "~*") {
    setting.fail(pieces[1].argument, "expected =, !=, ~, ~*, !~ or !~*");
    return false;
  }
  out.test = Condition::Test::Matches;
  out.regex = compile_argument(setting, pieces[2].argument, pieces[2].text, op == "~*");
  return out.regex != nullptr;
}

}  // namespace

std::shared_ptr<const Regex> compile_argument(Setting& setting, size_t i, std::string_view pattern, bool ignore_case) {
  Regex::CompileError error;
  auto regex = Regex::compile(pattern, ignore_case, error);
  if (regex == nullptr) {
    setting.fail(i, error.text + " at offset " + std::to_string(error.offset));
    return nullptr;
  }
  for (const Regex::Name& name : regex->names()) setting.loader.declared.insert(name.name);
  return regex;
}

bool read_condition(Setting& setting, Condition& out) {
  const std::vector<Piece> pieces = pieces_of(setting);
  if (pieces.empty()) return false;
  const bool by_variable = pieces[0].text.starts_with('$');
  if (pieces.size() == 1 && by_variable) return parse_text(setting, pieces[0], out.subject);
  if (pieces.size() == 2 && !by_variable) return read_file_test(setting, pieces, out);
  if (pieces.size() == 3 && by_variable) return read_comparison(setting, pieces, out);
  setting.error("invalid condition of \"if\": expected ($x), ($x = text), ($x ~ regex) or (-f path)");
  return false;
}

}  // namespace beamgate::config
