// Script: what "set", "rewrite", "return", "break" and "if" of one block say, in the order written.
//
// Source   nginx's rewrite directives.  A server's script runs before a location is searched, a location's when
//          it is found; http/rewriter.h runs them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config/template.h"

namespace beamgate::config {

class Regex;      // common/config/regex.h
struct Location;  // common/config/model.h
struct Step;

using Script = std::vector<Step>;

struct ReturnAction {
  uint16_t status = 0;
  bool has_text = false;  // Without a text, a status from 300 on is one for error_page.
  Template text;          // The body, or the URL of a redirect (301, 302, 303, 307, 308).
};

// What stands in the parentheses of "if".
struct Condition {
  enum class Test : uint8_t { True, Equal, Matches, File, Directory, Exists, Executable };

  Test test = Test::True;  // True: neither empty nor "0".
  bool negated = false;
  Template subject;
  Template operand;                    // Equal.
  std::shared_ptr<const Regex> regex;  // Matches.
};

// "rewrite regex replacement [flag]"
struct Rewrite {
  enum class Flag : uint8_t { None, Last, Break, Redirect, Permanent };

  std::shared_ptr<const Regex> regex;
  Template replacement;    // Without the "?" at its end.
  bool keep_args = true;   // The request's arguments are appended.
  Flag flag = Flag::None;  // A replacement with a scheme is a redirect without saying so.
};

struct Step {
  enum class Kind : uint8_t { Set, Rewrite, Return, Break, If };

  Kind kind = Kind::Break;
  size_t order = 0;      // Where in the block it was written.
  std::string variable;  // Set: its name ...
  Template value;        // ... and value.
  Rewrite rewrite;
  ReturnAction answer;
  Condition condition;
  Script body;                           // If.
  std::shared_ptr<Location> location;    // If: whose settings hold from there on; null: they stay.
};

// Steps stand as they were written, whichever was read first.
void order_script(Script& script);

}  // namespace beamgate::config
