// Foreign directives: those of nginx and nchan that are none here, for files that come from there.
//
// Kinds    Ignored: nothing would be different, so a warning says that it stands there in vain.  Refused: the file would
//          mean something else without it, and an error says what does its work here.  OffAnyway, OnAnyway: the same,
//          unless its one word is "off", or "on", which says what is so.
// Source   nginx's and nchan's lists of directives.
#pragma once

#include <cstdint>
#include <string_view>

namespace beamgate::config {

struct ForeignDirective {
  enum class Kind : uint8_t { Ignored, Refused, OffAnyway, OnAnyway };

  std::string_view name;
  Kind kind;
  std::string_view hint;  // What to know instead.

  bool ignored(std::string_view only_word) const {
    return kind == Kind::Ignored || (kind == Kind::OffAnyway && only_word == "off") ||
           (kind == Kind::OnAnyway && only_word == "on");
  }
};

const ForeignDirective* find_foreign(std::string_view name);  // Null: it is none of these.  It may be a family: all names that begin so.

}  // namespace beamgate::config
