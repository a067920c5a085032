// HTTP date: the current date as a response's Date field wants it, formatted once a second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::http {

class HttpDate {
 public:
  std::string_view now();  // Good until the next call.

 private:
  int64_t second_ = -1;
  std::string text_;
};

}  // namespace beamgate::http
