#include "worker/http/http_date.h"

#include "common/base/clock.h"

namespace beamgate::http {

std::string_view HttpDate::now() {
  const int64_t second = wall_ms() / 1'000;
  if (second != second_) {
    second_ = second;
    text_ = format_http_date(second);
  }
  return text_;
}

}  // namespace beamgate::http
