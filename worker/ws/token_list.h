// Token list: the comma-separated header grammar of RFC 9110 section 5.6, as the handshake needs it.
#pragma once

#include <string>
#include <string_view>

namespace beamgate::ws {

bool is_token(std::string_view text);  // RFC 9110 section 5.6.2: not empty, no separators.

// Reads a header value from left to right; every take_... skips white space in front and leaves the position
// alone when there is nothing of its kind.
class HeaderCursor {
 public:
  static constexpr size_t kEmptyElementsMax = 16;  // "A reasonable number" of them is ignored, section 5.6.1.2.

  explicit HeaderCursor(std::string_view text) : rest_(text) {}

  bool at_end();
  bool take(char separator);
  bool at_empty();  // An element that has nothing in it, between two commas or at either end.
  std::string_view take_token();            // Empty: there is none.
  bool take_value(std::string& out);        // A token or a quoted-string, unquoted.  False: neither.

 private:
  void skip_space();
  bool take_quoted(std::string& out);

  std::string_view rest_;
};

// True when `list` has this token among its elements, without regard to case.
bool has_token(std::string_view list, std::string_view token);

}  // namespace beamgate::ws
