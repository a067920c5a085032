// Setting: one directive being applied; what a setter sees.
//
// A Frame is one block while it is read: the objects that its directives write to, and what was said in it.
// Inheritance is a copy: a server starts as a copy of what http says about servers and locations, a location
// as a copy of its server's, so that every object is complete and nothing is looked up afterwards.
//
// Owner      The Loader owns both for the duration of one load; setters keep no reference.
// Errors     fail() and error() add a diagnostic; the setter then returns, and the load yields no Config.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/directive.h"
#include "common/config/model.h"
#include "common/config/statement.h"

namespace beamgate::config {

struct Frame {
  Scopes scope = kMain;
  Frame* parent = nullptr;
  Server* server = nullptr;      // In http: what servers start from.
  Location* location = nullptr;  // In http and server: what locations start from.
  Upstream* upstream = nullptr;
  Webhook* webhook = nullptr;
  App* app = nullptr;
  ChannelRules* channels = nullptr;
  TokenRules* token = nullptr;
  LineServer* line = nullptr;
  const Statement* action = nullptr;                  // The one that chose the location's action.
  std::map<std::string_view, const Statement*> said;  // First statement of each name.
  std::set<std::string_view> begun;                   // Lists that have an entry of this block.
  std::vector<std::string> captures;                  // Names given by this block's regexes.
  Script* script = nullptr;                           // In server, location and if.
  size_t order = 0;                                   // Of the statement being set, within its block.
};

class Loader;

class Setting {
 public:
  Setting(Loader& loader_, Frame& frame_, const Directive& row_, Statement& statement_)
      : loader(loader_), frame(frame_), row(row_), statement(statement_) {}

  Loader& loader;
  Frame& frame;
  const Directive& row;
  Statement& statement;

  size_t count() const { return statement.args.size(); }
  const std::string& arg(size_t i = 0) const { return statement.args[i].text; }
  Position at(size_t i = 0) const { return statement.args[i].at; }

  // "invalid value "x" in "name" directive: expected ..."
  void fail(size_t i, const std::string& expected);
  void error(const std::string& message);  // At the directive.
  void error_at(Position at, const std::string& message);
  void warn_at(Position at, const std::string& message);

  // What argument 0 says is no secret when it is empty, which is an error; one that can be guessed is warned of.
  bool is_secret(std::string_view secret, size_t bytes_safe = 16);

  // True once per block and key: a list that is inherited starts anew with the block's first entry.
  bool first(std::string_view key);

  // Parses argument i, or a part of it, with its variables; false after it has reported an error.
  bool parse_template(size_t i, Template& out) { return parse_template(i, arg(i), out); }
  bool parse_template(size_t i, std::string_view text, Template& out);

  // The name of "$name", argument i, which is known as a variable from then on; empty after an error.
  std::string declare_variable(size_t i);

  // The path of argument i, made absolute; the dump then says so as well.
  std::string path(size_t i);

  // What the dump prints instead of argument i.
  void replace(size_t i, std::string text) { statement.args[i].text = std::move(text); }

  // Chooses the location's action; false, with an error that names both places, when it has one already.
  bool choose(Action action);
};

}  // namespace beamgate::config
