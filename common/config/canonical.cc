#include "common/config/canonical.h"

#include "common/config/lexer.h"

namespace beamgate::config {
namespace {

void write(const std::vector<Statement>& statements, size_t depth, std::string& out);

// first: what stands for the first argument, when that was expanded.
void write_statement(const Statement& statement, const std::string* first, size_t depth, std::string& out) {
  out.append(depth * 4, ' ');
  out += quote_word(statement.name.text);
  for (size_t i = 0; i < statement.args.size(); ++i) {
    out += ' ';
    out += quote_word(i == 0 && first != nullptr ? *first : statement.args[i].text);
  }
  if (!statement.block) {
    out += ";\n";
    return;
  }
  out += " {\n";
  write(statement.children, depth + 1, out);
  out.append(depth * 4, ' ');
  out += "}\n";
}

void write(const std::vector<Statement>& statements, size_t depth, std::string& out) {
  for (const Statement& statement : statements) {
    if (statement.expansion.empty()) write_statement(statement, nullptr, depth, out);
    for (const std::string& first : statement.expansion) write_statement(statement, &first, depth, out);
  }
}

}  // namespace

std::string canonical_text(const std::vector<Statement>& statements) {
  std::string out;
  write(statements, 0, out);
  return out;
}

}  // namespace beamgate::config
