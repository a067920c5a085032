#include "common/config/restart.h"

#include <vector>

#include "common/config/directive.h"
#include "common/config/lexer.h"
#include "common/config/statement.h"

namespace beamgate::config {
namespace {

void wipe_words(std::vector<Statement>& statements) {
  for (Statement& statement : statements) {
    for (Word& word : statement.args) wipe(word.text);
    wipe_words(statement.children);
  }
}

// Such directives stand outside of all blocks, or in events.
void take(const std::vector<Statement>& statements, Scopes scope, RestartSettings& out) {
  for (const Statement& statement : statements) {
    if (scope == kMain && statement.name.text == "events") take(statement.children, kEvents, out);
    const Directive* row = find_directive(statement.name.text, scope);
    if (row == nullptr || row->applies != Applies::Restart) continue;
    std::string& value = out[row->name];
    value.clear();
    for (const Word& word : statement.args) value += (value.empty() ? "" : " ") + quote_word(word.text);
  }
}

}  // namespace

RestartSettings restart_settings(std::string_view text) {
  RestartSettings out;
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.applies == Applies::Restart) out[row.name] = row.fallback;
    }
  }
  std::vector<Source> sources;
  Diagnostics diagnostics;
  std::vector<Statement> statements;
  StatementReader reader(sources, diagnostics, "/");
  reader.read_text("configuration", std::string(text), statements);
  take(statements, kMain, out);
  wipe_words(statements);
  return out;
}

}  // namespace beamgate::config
