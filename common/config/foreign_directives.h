// Foreign directives: those of nginx and nchan that are none here, for files that come from there.
//
// Kinds    Ignored: nothing would be different, so a warning says that it stands there in vain.  Otherwise the file would
//          mean something else without it: an error says what does its work here.
// Source   nginx's and nchan's lists of directives.
#pragma once

#include <string_view>

namespace beamgate::config {

struct ForeignDirective {
  std::string_view name;
  bool ignored;
  std::string_view hint;  // What to know instead.
};

const ForeignDirective* find_foreign(std::string_view name);  // Null: it is none of these.

}  // namespace beamgate::config
