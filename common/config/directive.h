// Directive: one row of the table that declares everything a configuration may say.
//
// Nothing else declares a directive: its parsing, place, default, range, the manual page and the masking of
// secrets all come from its row.  The rows stand in schema_<area>.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace beamgate::config {

class Setting;

// Where a directive may stand; a row holds a sum of these.
using Scopes = uint32_t;
inline constexpr Scopes kMain = 1 << 0;
inline constexpr Scopes kEvents = 1 << 1;
inline constexpr Scopes kHttp = 1 << 2;
inline constexpr Scopes kServer = 1 << 3;
inline constexpr Scopes kLocation = 1 << 4;
inline constexpr Scopes kUpstream = 1 << 5;
inline constexpr Scopes kWebhook = 1 << 6;
inline constexpr Scopes kServerIf = 1 << 7;    // "if" in a server,
inline constexpr Scopes kLocationIf = 1 << 8;  // and in a location.
inline constexpr Scopes kApp = 1 << 12;
inline constexpr Scopes kChannels = 1 << 9;    // "channels" and "users".
inline constexpr Scopes kToken = 1 << 11;
inline constexpr Scopes kLine = 1 << 16;  // Bits below are the HTTP blocks'.
inline constexpr Scopes kAnywhere = ~Scopes{0};
inline constexpr Scopes kHttpServerLocation = kHttp | kServer | kLocation;

// The name of one scope; "http, server or location" for several.
std::string scope_names(Scopes scopes);

struct Arity {
  unsigned min = 0;
  unsigned max = 0;  // kMany: no bound but the reader's.
};
inline constexpr unsigned kMany = ~0u;
constexpr Arity exactly(unsigned n) {
  return {n, n};
}
constexpr Arity between(unsigned min, unsigned max) {
  return {min, max};
}
constexpr Arity at_least(unsigned n) {
  return {n, kMany};
}

// When a change takes effect on a reload.
enum class Applies : uint8_t { Now, NewConnections, Restart };

// The order within one block: what others refer to comes first, what inherits comes last.
enum class Phase : uint8_t { Define, Set, Enter };

enum class Body : uint8_t { None, Block };

struct Directive {
  std::string_view name;
  Scopes scopes = 0;
  Arity arity = exactly(1);
  Body body = Body::None;
  Phase phase = Phase::Set;
  bool repeatable = false;  // May stand several times in one block.
  void (*set)(Setting& setting) = nullptr;
  std::string_view syntax;              // The arguments, for people: "number | auto".
  std::string_view fallback = {};       // Set where the first inheriting block begins; empty: none.
  std::string_view fallback_help = {};  // The default in words, where it's no argument list.
  std::string_view min = {};
  std::string_view max = {};
  Applies applies = Applies::NewConnections;
  bool secret = false;  // -T masks the arguments.
  std::string_view help;
};

// One schema_<area>.cc: a chapter of the manual.
struct Area {
  std::string_view title;
  std::string_view intro;
  std::span<const Directive> rows;
};

std::span<const Area> areas();

// The row called name in a scope; null when there is none.
const Directive* find_directive(std::string_view name, Scopes scope);

// All scopes in which a directive of this name is known; 0 when the name is unknown.
Scopes scopes_of(std::string_view name);

// True when a directive of this name holds a secret in some scope.
bool is_secret(std::string_view name);

// The known name that looks most like this one, preferring those of the scope; empty when none is close.
std::string_view suggestion(std::string_view name, Scopes scope);

// Every row has what the manual needs, and no two rows claim one name in one scope.  That each has a setter is
// left to a test: with UBSan, g++ 12 doesn't take the address of a template function for a constant.
constexpr bool sound(std::span<const Directive> rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const Directive& row = rows[i];
    if (row.name.empty() || row.scopes == 0 || row.help.empty()) return false;
    if (row.arity.max != 0 && row.syntax.empty()) return false;
    if (row.min.empty() != row.max.empty()) return false;
    for (size_t j = 0; j < i; ++j) {
      if (rows[j].name == row.name && (rows[j].scopes & row.scopes) != 0) return false;
    }
  }
  return true;
}

}  // namespace beamgate::config
