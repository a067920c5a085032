#include "common/config/loader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/assert.h"
#include "common/base/unique_fd.h"
#include "common/config/directive.h"
#include "common/config/foreign_directives.h"
#include "common/config/lexer.h"
#include "common/config/variables.h"

namespace beamgate::config {
namespace {

constexpr size_t kNamedFileBytesMax = 4 << 20;

constexpr Scopes outermost(Scopes scopes) {
  return scopes & (~scopes + 1);
}

// A row's fallback as if it had been written.
Statement fallback_statement(const Directive& row) {
  Statement statement;
  statement.name.text = row.name;
  Lexer lexer(row.fallback, 0);
  for (Token token = lexer.next(); token.kind != Token::Kind::End; token = lexer.next()) {
    BG_ASSERT(token.kind == Token::Kind::Word);
    statement.args.push_back({std::move(token.text), {}});
  }
  return statement;
}

std::string expected_count(Arity arity) {
  if (arity.max == kMany) return "at least " + std::to_string(arity.min);
  if (arity.min == arity.max) return arity.min == 0 ? "none" : std::to_string(arity.min);
  return std::to_string(arity.min) + " to " + std::to_string(arity.max);
}

}  // namespace

Loader::Loader(const std::vector<Source>& sources, Diagnostics& diagnostics_, std::string prefix)
    : diagnostics(diagnostics_), sources_(sources), prefix_(std::move(prefix)) {}

void Loader::run(std::vector<Statement>& statements) {
  Frame frame;
  set_fallbacks(frame);
  frame.scope = kEvents;
  set_fallbacks(frame);
  frame.scope = kMain;
  run_block(frame, statements);
  check_pending();
}

void Loader::set_fallbacks(Frame& frame) {
  // Rows of server and location alone start where their inheritance does, in http.
  const Scopes begins = frame.scope == kHttp ? kHttpServerLocation : frame.scope;
  Frame unsaid = frame;
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.fallback.empty() || (outermost(row.scopes) & begins) == 0) continue;
      Statement statement = fallback_statement(row);
      Setting setting(*this, unsaid, row, statement);
      row.set(setting);
    }
  }
}

void Loader::run_block(Frame& frame, std::vector<Statement>& statements) {
  std::vector<const Directive*> rows;
  for (Statement& statement : statements) {
    if (diagnostics.full()) return;
    const Directive* row = find_row(frame, statement);
    if (row != nullptr && !check_form(*row, statement)) row = nullptr;
    if (row != nullptr && !row->repeatable) {
      const auto [known, added] = frame.said.emplace(row->name, &statement);
      if (!added) {
        diagnostics.error(
            statement.name.at,
            "\"" + statement.name.text + "\" directive is duplicate, first at " + place_of(*known->second));
        row = nullptr;
      }
    }
    rows.push_back(row);
  }
  for (const Phase phase : {Phase::Define, Phase::Set, Phase::Enter}) {
    for (size_t i = 0; i < statements.size(); ++i) {
      if (rows[i] == nullptr || rows[i]->phase != phase) continue;
      frame.order = i;
      Setting setting(*this, frame, *rows[i], statements[i]);
      rows[i]->set(setting);
    }
  }
}

const Directive* Loader::find_row(const Frame& frame, const Statement& statement) {
  const std::string& name = statement.name.text;
  const Directive* row = find_directive(name, frame.scope);
  if (row != nullptr) {
    if (report_missing_semicolon(frame, statement)) return nullptr;
    return row;
  }
  const Scopes elsewhere = scopes_of(name);
  if (elsewhere != 0) {
    diagnostics.error(statement.name.at, "\"" + name + "\" directive is not allowed here, in " +
                                             scope_names(frame.scope) + "; it belongs in " +
                                             scope_names(elsewhere));
    return nullptr;
  }
  if (const ForeignDirective* foreign = find_foreign(name)) {
    const std::string hint(foreign->hint);
    if (foreign->ignored(statement.args.size() == 1 ? statement.args[0].text : std::string())) {
      diagnostics.warn(statement.name.at, "\"" + name + "\" is ignored: " + hint);
    } else {
      diagnostics.error(statement.name.at, "unknown directive \"" + name + "\": " + hint);
    }
    return nullptr;
  }
  std::string message = "unknown directive \"" + name + "\"";
  const std::string_view similar = suggestion(name, frame.scope);
  if (!similar.empty()) message += ", did you mean \"" + std::string(similar) + "\"?";
  diagnostics.error(statement.name.at, std::move(message));
  return nullptr;
}

// An argument that begins a line and is a directive's name shows where a ";" is missing.
bool Loader::report_missing_semicolon(const Frame& frame, const Statement& statement) {
  uint32_t line = statement.name.at.line;
  for (const Word& word : statement.args) {
    if (word.at.line != line && find_directive(word.text, frame.scope) != nullptr) {
      diagnostics.error(statement.name.at, "directive \"" + statement.name.text +
                                               "\" is not terminated by \";\" before \"" + word.text +
                                               "\" at " + place(sources_, word.at));
      return true;
    }
    line = word.at.line;
  }
  return false;
}

bool Loader::check_form(const Directive& row, const Statement& statement) {
  const std::string name = "\"" + statement.name.text + "\"";
  if (row.body == Body::Block && !statement.block) {
    diagnostics.error(statement.end, "directive " + name + " has no opening \"{\"");
    return false;
  }
  if (row.body == Body::None && statement.block) {
    diagnostics.error(statement.end, "directive " + name + " is not terminated by \";\"");
    return false;
  }
  const size_t count = statement.args.size();
  if (count >= row.arity.min && count <= row.arity.max) return true;
  diagnostics.error(statement.name.at, "invalid number of arguments in " + name + " directive: expected " +
                                           expected_count(row.arity) + ", found " + std::to_string(count));
  return false;
}

void Loader::check_variables(const Frame& frame, const Template& text, Position at) {
  for (const Template::Part& part : text.parts()) {
    if (!part.variable) continue;
    if (part.text.starts_with("upstream_http_")) config->http.traces_upstream_fields = true;
    if (part.text.starts_with("sent_http_")) config->http.traces_sent_fields = true;
    if (is_known_variable(part.text)) continue;
    // What is inherited may meet any location's regex; a location knows its own and those around it.
    if (frame.scope != kLocation && frame.scope != kLocationIf) {
      pending_.push_back({part.text, at});
      continue;
    }
    bool known = declared.contains(part.text);
    for (const Frame* f = &frame; f != nullptr && !known; f = f->parent) {
      known = std::find(f->captures.begin(), f->captures.end(), part.text) != f->captures.end();
    }
    // It may still be made by a "set" further down.
    if (!known) pending_.push_back({part.text, at, true});
  }
}

bool Loader::read_file(const std::string& path, Position at, std::string& bytes) {
  files_at[path] = at;
  const auto known = files.find(path);
  if (known != files.end()) {
    bytes = known->second;
    return true;
  }
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[16 << 10];
  ssize_t got = file.valid() ? 1 : -1;
  while (got > 0 && bytes.size() <= kNamedFileBytesMax) {
    got = read(file.get(), buffer, sizeof buffer);
    if (got > 0) bytes.append(buffer, static_cast<size_t>(got));
  }
  const char* why = got < 0 ? strerror(errno) : bytes.size() > kNamedFileBytesMax ? "it is too large" : nullptr;
  if (why != nullptr) {
    unread_files.insert(path);
    diagnostics.error(at, "cannot read \"" + path + "\": " + why);
    return false;
  }
  explicit_bzero(buffer, sizeof buffer);
  files.emplace(path, bytes);
  return true;
}

void Loader::check_pending() {
  for (const PendingVariable& pending : pending_) {
    const bool known = declared.contains(pending.name) || (!pending.own && captures.contains(pending.name));
    if (!known) {
      diagnostics.error(pending.at, "unknown \"" + pending.name + "\" variable");
    }
  }
  pending_.clear();
}

}  // namespace beamgate::config
